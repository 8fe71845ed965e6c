"""Who there is to ask: workers, endpoints and other gateways, and the seam by which all are asked."""
