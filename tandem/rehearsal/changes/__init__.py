"""A deployment's life after the first day: updates, rolling versions, processes that die, teardown."""
