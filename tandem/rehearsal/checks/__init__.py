"""What the deployment's programs told its monitoring."""
