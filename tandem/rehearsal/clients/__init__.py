"""Real clients of what was deployed, and what they ought to read."""
