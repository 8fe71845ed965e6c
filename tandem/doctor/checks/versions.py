"""Check that the workers of a stage run one and the same software: two may disagree about the KV layout."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

from tandem.doctor.aws import Aws
from tandem.doctor.deployed import running_tasks, stage_services
from tandem.doctor.result import Result, UndeterminedError, failed, passed
from tandem.doctor.workers import Worker, ask_workers
from tandem.spec.deployment import Deployment
from tandem.spec.stages import stages

_Seen = tuple[str, str]
"""A worker's or task's name, and the version it runs."""


def check(deployment: Deployment, aws: Aws) -> Result:
    """Compare the image digests that ECS resolved and, in reach, the packages that each worker reports."""
    if deployment.prefill is None:
        return passed("no worker is asked for")
    digests = {stage: list(_digests(deployment, aws, stage)) for stage, _ in stages(deployment)}
    reported = _reported(deployment, aws)
    odd = [each for seen in (*digests.values(), reported) for each in _odd(seen)]
    if odd:
        return failed("; ".join(odd), "wait for the rollout to end, then force a new deployment of the service")
    if not reported and not any(digests.values()):
        raise UndeterminedError("no task is running", "see what check services says")
    return passed("; ".join(dict.fromkeys(version for seen in (*digests.values(), reported) for _, version in seen)))


def _digests(deployment: Deployment, aws: Aws, stage: str) -> Iterator[_Seen]:
    for service in stage_services(aws, deployment, stage):
        for task in running_tasks(aws, service):
            for container in task.get("containers", []):
                if "imageDigest" in container:
                    yield f"{stage} task {task['taskArn'].rpartition('/')[2]}", container["imageDigest"]


def _reported(deployment: Deployment, aws: Aws) -> list[_Seen]:
    try:
        workers: list[Worker] = ask_workers(deployment, aws)
    except UndeterminedError:
        return []  # out of reach: tasks of one digest have one software
    return [
        (worker.name, json.dumps(worker.said["versions"], sort_keys=True))
        for worker in workers
        if "versions" in worker.said
    ]


def _odd(seen: list[_Seen]) -> list[str]:
    """Return those that run another version than most."""
    [(most, _)] = Counter(version for _, version in seen).most_common(1) or [("", 0)]
    return [f"{name} runs {version}, most run {most}" for name, version in seen if version != most]
