"""How an answer is decoded: one file each provider."""
