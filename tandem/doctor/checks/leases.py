"""Check that KV is read before its lease ends."""

from __future__ import annotations

from typing import Final

from runtime.handoff import metrics
from tandem.doctor.aws import Aws
from tandem.doctor.published import MINUTES, nothing_published, over_stages
from tandem.doctor.result import Result, failed, passed
from tandem.spec.deployment import Deployment

_BAD: Final = {
    metrics.KV_LEASE_EXPIRED: "leases expired unread",
    metrics.KV_NOTIFIED_LATE: "readers were done after their lease",
    metrics.KV_TRANSFERS_FAILED: "transfers failed",
}


def check(deployment: Deployment, aws: Aws) -> Result:
    """Sum up what workers published; their blocks in use, among them those held for a reader, are only told."""
    if deployment.prefill is None:
        return passed("no worker is asked for")
    counted = {metric: over_stages(deployment, aws, metric) for metric in _BAD}
    if not any(counted.values()):
        raise nothing_published(metrics.KV_LEASE_EXPIRED)
    held = max(over_stages(deployment, aws, metrics.KV_CACHE_USAGE).values(), default=0.0)
    now = f"at most {held:.0%} of a worker's KV blocks in use"
    bad = {_BAD[metric]: int(sum(stages.values())) for metric, stages in counted.items()}
    if faults := [f"{count} {what}" for what, count in bad.items() if count]:
        found = f"in {MINUTES} minutes {', '.join(faults)}; {now}"
        return failed(found, "see whether decode keeps up, then raise prefill.kv_lease_seconds")
    return passed(f"no lease expired in {MINUTES} minutes; {now}")
