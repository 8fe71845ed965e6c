"""Change what is deployed: an update as foretold, one that fails half-way, and the way back from it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

from tandem.rehearsal.changes import variants
from tandem.rehearsal.changes.operator import tandem
from tandem.rehearsal.changes.prediction import differences
from tandem.rehearsal.deploy import events as stack_events
from tandem.rehearsal.deploy.cdk import CdkError
from tandem.rehearsal.deploy.site import Site
from tandem.rehearsal.run import DifferenceError, Rehearsal

_ROLLED_BACK: Final = "UPDATE_ROLLBACK_COMPLETE"


def update(rehearsal: Rehearsal, here: Site) -> Path:
    """Deploy a changed file, and return it; raise ``DifferenceError`` where ``tandem diff`` foretold anything else."""
    file = variants.changed(rehearsal.file, rehearsal.deployment, rehearsal.work / "changed.yaml")
    rehearsal.say("updating: another size of the gateway, another time for the workers' start")
    rehearsal.report.changes["update"] = _as_foretold(rehearsal, here, file, "update")
    return file


def fail_halfway(rehearsal: Rehearsal, here: Site, deployed: Path) -> None:
    """Deploy a file that CloudFormation refuses in the midst, after other stacks went ahead, over ``deployed``."""
    target = rehearsal.work / "failing.yaml"
    file = variants.failing(deployed, rehearsal.deployment, here.cloud.account, target)
    rehearsal.say("updating with a certificate that does not exist: it must roll back")
    before, seen = _gateway(rehearsal, here), stack_events.event_ids(here.aws)
    with rehearsal.timed("failing_update"):
        here.cdk.synth(file)
        try:
            here.cdk.deploy()
        except CdkError as error:
            said = str(error)
        else:
            raise DifferenceError("an update to a certificate that does not exist was accepted")
    if variants.NO_SUCH_CERTIFICATE not in said:
        raise DifferenceError(f"the refused update does not name the certificate: {said}")
    if (after := _gateway(rehearsal, here)) != {**before, "status": _ROLLED_BACK}:
        raise DifferenceError(f"the gateway's stack was {before} and is {after}")
    ahead = {stack for stack, _ in stack_events.actions(here.aws, seen)} - {_stack(rehearsal)}
    rehearsal.report.changes["rollback"] = {"status": after["status"], "went_ahead": sorted(ahead)}


def recover(rehearsal: Rehearsal, here: Site, good: Path) -> None:
    """Deploy the last good file again: only the stacks that went ahead may change."""
    rehearsal.say("deploying the good file again")
    told = _as_foretold(rehearsal, here, good, "recovery")
    ahead = rehearsal.report.changes["rollback"]["went_ahead"]
    if told["stacks"] != ahead:
        raise DifferenceError(f"the way back changed {told['stacks']}, ahead were {ahead}")
    rehearsal.report.changes["recovery"] = told


def _as_foretold(rehearsal: Rehearsal, here: Site, file: Path, step: str) -> dict[str, Any]:
    """Deploy ``file``; return what changed, by consequence and by stack."""
    with rehearsal.timed(f"{step}_diff"):
        here.cdk.synth(file)
        told = tandem(here, "diff", str(file), "--app", str(here.cdk.assembly))
    before, seen = stack_events.physical_ids(here.aws), stack_events.event_ids(here.aws)
    with rehearsal.timed(step):
        here.cdk.deploy()
    after, done = stack_events.physical_ids(here.aws), stack_events.actions(here.aws, seen)
    if found := differences(told["changes"], done, before, after):
        raise DifferenceError("tandem diff foretold another update: " + "; ".join(found))
    if not done:
        raise DifferenceError("the changed file changed nothing that is deployed")
    counts = Counter(row["consequence"] for row in told["changes"])
    rehearsal.say(f"  as tandem diff foretold: {', '.join(f'{count} {name}' for name, count in counts.items())}")
    return {"foretold": dict(counts), "stacks": sorted({stack for stack, _ in done})}


def _stack(rehearsal: Rehearsal) -> str:
    return f"{rehearsal.deployment.name}-gateway"


def _gateway(rehearsal: Rehearsal, here: Site) -> dict[str, Any]:
    """Return what an update that was rolled back must leave as it was, and the stack's status."""
    cloudformation, name = here.aws.client("cloudformation"), _stack(rehearsal)
    [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    ids = stack_events.physical_ids(here.aws)
    return {
        "status": stack["StackStatus"],
        "outputs": stack.get("Outputs", []),
        "template": cloudformation.get_template(StackName=name)["TemplateBody"],
        "resources": {key: value for (stack_name, key), value in ids.items() if stack_name == name},
    }
