"""vLLM's NIXL connector with a seal on what it hands over; vLLM loads it by ``kv_connector_module_path``."""
