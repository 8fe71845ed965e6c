"""Draw what a simulation or a plan found, as one file for a browser."""
