"""Walk a deployment's worker stages and their instance groups, each with its path in the file."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.spec.decode import VllmDecode
from tandem.spec.deployment import Deployment
from tandem.spec.workers import InstanceGroup, Workers


def stages(deployment: Deployment) -> Iterator[tuple[str, Workers]]:
    """Yield each stage that runs vLLM workers here."""
    if deployment.prefill:
        yield "prefill", deployment.prefill
    if isinstance(deployment.decode, VllmDecode):
        yield "decode", deployment.decode


def groups(deployment: Deployment) -> Iterator[tuple[str, InstanceGroup]]:
    """Yield each instance group of each stage."""
    for stage, workers in stages(deployment):
        for index, group in enumerate(workers.groups):
            yield f"{stage}.groups.{index}", group
