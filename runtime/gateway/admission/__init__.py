"""Decide which request runs, waits or is refused: values and times in, decisions out, for gateway and simulator."""
