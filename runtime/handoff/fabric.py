"""Say how libfabric, NIXL and vLLM's handshake reach a peer: constructs deploy these variables, workers check them.

Sources: vllm-neuron's disaggregated inference design and tutorial (aws-neuron-sdk, 12 Aug 2026); libfabric's fi_efa(7).
"""

from __future__ import annotations

from typing import Final

PROVIDER_VARIABLE: Final = "FI_PROVIDER"
"""libfabric's own: the provider that it may use."""
EFA: Final = "efa"
"""The provider that bypasses the kernel; without it libfabric takes TCP, and only latency tells."""
BACKENDS: Final = ("LIBFABRIC",)
"""NIXL's backends for KV, by vLLM's ``kv_connector_extra_config``; UCX would take TCP in silence."""
SIDE_CHANNEL_HOST: Final = "VLLM_NIXL_SIDE_CHANNEL_HOST"
"""vLLM's own: the address that it binds its handshake to and gives to readers as ``remote_host``."""
SIDE_CHANNEL_PORT: Final = "VLLM_NIXL_SIDE_CHANNEL_PORT"
"""vLLM's own: the port of the handshake."""


def variables(side_channel_port: int) -> dict[str, str]:
    """Return what every worker of a deployment is told; a worker adds its own ``SIDE_CHANNEL_HOST`` at its start."""
    return {
        PROVIDER_VARIABLE: EFA,
        # libfabric ends a process whose device cannot do RDMA, instead of emulating it
        "FI_EFA_USE_DEVICE_RDMA": "1",
        # with shared memory between workers of one host Neuron's answers are silently wrong
        "FI_EFA_ENABLE_SHM_TRANSFER": "0",
        SIDE_CHANNEL_PORT: str(side_channel_port),
    }
