"""HTTP as the gateway speaks it, over httptools' parsers: towards its clients and its peers."""
