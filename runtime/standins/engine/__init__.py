"""SmolLM2-135M-Instruct in numpy: what computes and reads KV on a laptop."""
