"""Request traces: when requests came, and how long their prompts and answers were."""
