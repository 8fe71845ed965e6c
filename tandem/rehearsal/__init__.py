"""Rehearse a deployment on this machine: deploy it for real to an embedded AWS, then run what was deployed."""
