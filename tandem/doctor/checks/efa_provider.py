"""Check that KV really goes by EFA: what the running backend has open, not what it was told to use."""

from __future__ import annotations

from runtime.handoff import metrics
from tandem.doctor.aws import Aws
from tandem.doctor.published import MINUTES, nothing_published, over_stages
from tandem.doctor.result import Result, UndeterminedError, failed, passed
from tandem.doctor.workers import Worker, ask_workers
from tandem.spec.deployment import Deployment

_EFA = "efa"
_CHANGE = "read the worker's log for libfabric's reason, then replace its host"


def check(deployment: Deployment, aws: Aws) -> Result:
    """Ask each worker; where they are out of reach, CloudWatch, which cannot tell which of them it is."""
    if deployment.prefill is None:
        return passed("no worker is asked for")
    try:
        return _judged(ask_workers(deployment, aws))
    except UndeterminedError:
        return _published(deployment, aws)


def _judged(workers: list[Worker]) -> Result:
    providers = {worker.name: worker.said.get("provider") for worker in workers}
    other = [f"{name} uses {provider}" for name, provider in providers.items() if provider not in (None, _EFA)]
    if other:
        return failed("; ".join(other), _CHANGE)
    if silent := [name for name, provider in providers.items() if provider is None]:
        raise UndeterminedError(f"{', '.join(silent)} cannot tell yet", "wait until it serves, then ask again")
    return passed(f"{len(workers)} of {len(workers)} workers have EFA devices open")


def _published(deployment: Deployment, aws: Aws) -> Result:
    least = over_stages(deployment, aws, metrics.EFA_IN_USE)
    if not least:
        raise nothing_published(metrics.EFA_IN_USE)
    if without := [stage for stage, value in least.items() if value < 1]:
        return failed(f"a worker of {' and '.join(without)} went another way in the last {MINUTES} minutes", _CHANGE)
    return passed(f"every worker of {' and '.join(least)} had EFA devices open for {MINUTES} minutes (CloudWatch)")
