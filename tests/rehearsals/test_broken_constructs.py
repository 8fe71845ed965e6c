"""Take something out of a construct: the rehearsal must fail and name it."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.rehearsal

GATEWAY, TASK, PROBE = "constructs/gateway/service.py", "constructs/serving/task.py", "constructs/decode/probe.py"

CASES = {
    "variable": (
        GATEWAY,
        "        self.container.add_environment(settings.KV_LEASE_SECONDS, str(workers.workers.kv_lease_seconds))\n",
        "",
        "TANDEM_KV_LEASE_SECONDS",
    ),
    "path to a worker's state": (
        GATEWAY,
        '        self.service.connections.allow_to(workers.security_group, workers.status_port, "readiness")\n',
        "",
        "port 8099",
    ),
    "secret grant": (PROBE, "        secret.grant_read(self.function)\n", "", "not authorized"),
    "port mapping": (
        TASK,
        "(workers.api_port, workers.side_channel_port, workers.status_port)",
        "(workers.api_port, workers.status_port)",
        "port 5559",
    ),
    "network path": (
        GATEWAY,
        '        self.service.connections.allow_to(workers.security_group, workers.api_port, "gateway to workers")\n',
        "",
        "port 8100",
    ),
    "device": (
        TASK,
        "for index in range(kind.neuron_devices)]",
        "for index in range(kind.neuron_devices - 1)]",
        "1 of 16 devices /dev/neuron* are not in the container, the first is /dev/neuron15",
    ),
    "flag of vLLM": (
        "constructs/serving/vllm.py",
        "--max-num-seqs=",
        "--max-number-of-seqs=",
        "--max-number-of-seqs",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_rehearsal_names_what_is_missing(checkout: Any, case: str) -> None:
    file, old, new, named = CASES[case]
    checkout.replace(file, old, new)
    status, output = checkout.run("rehearse", "deployments/rehearsal.yaml")
    assert status == 1, output
    assert named in output
    assert "Traceback" not in output
    report = checkout.report()
    assert report["ok"] is False
    assert named in report["error"]
    assert checkout.left_running() == []
