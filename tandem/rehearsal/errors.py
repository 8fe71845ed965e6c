"""Name what all expected failures of a rehearsal have in common: the command line prints them without a traceback."""


class RehearsalError(Exception):
    """Say what failed, in words that tell what to change."""
