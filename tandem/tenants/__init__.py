"""Manage who may call a deployment's gateway."""
