"""The worker image's entrypoint: tells vLLM what only the host knows."""
