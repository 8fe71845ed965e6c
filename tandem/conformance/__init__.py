"""Hold a decode endpoint against the contract, clause by clause: ``tandem conformance URL``."""
