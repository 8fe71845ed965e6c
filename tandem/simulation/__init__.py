"""Replay requests through a deployment, event by event, under the policies that the gateway and the wire run."""
