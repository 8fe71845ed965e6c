"""Move registered memory between processes: one interface (``agent``), a file or folder for each transport."""
