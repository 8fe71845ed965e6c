"""What a client asked for, as read once and told to each leg."""
