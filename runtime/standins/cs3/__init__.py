"""The CS-3 emulator: the reference implementation of the decode endpoint contract, version 1."""
