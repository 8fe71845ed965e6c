"""Read a peer's registered memory over plain TCP: for machines without NIXL, and for faults that repeat exactly."""
