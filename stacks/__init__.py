"""Deployment units: each puts constructs together and holds no resource logic of its own."""
