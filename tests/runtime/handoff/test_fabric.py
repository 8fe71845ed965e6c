"""What every worker is told of the fabric: EFA or nothing."""

from __future__ import annotations

from runtime.handoff import fabric


def test_kv_goes_by_efa_or_not_at_all() -> None:
    assert fabric.variables(5559) == {
        "FI_PROVIDER": "efa",
        "FI_EFA_USE_DEVICE_RDMA": "1",
        "FI_EFA_ENABLE_SHM_TRANSFER": "0",
        "VLLM_NIXL_SIDE_CHANNEL_PORT": "5559",
    }
    assert fabric.BACKENDS == ("LIBFABRIC",)
