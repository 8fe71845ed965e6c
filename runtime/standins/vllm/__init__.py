"""Stand in for the ``vllm`` program on a laptop: its flags, HTTP protocol, KV blocks and NIXL side channel."""
