"""Go on with a broken answer at another decode endpoint: no token lost, repeated or out of order."""
