"""The deployment file: what it may say, and what follows from it."""
