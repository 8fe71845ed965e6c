"""The engineer's tool: read, check, plan and rehearse a deployment."""
