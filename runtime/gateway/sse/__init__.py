"""Server-sent events, read out of bytes."""
