"""Stand-ins take the place of what cannot run on a laptop; they are never shipped."""
