"""Rehearse a deployment's life: deploy, update, a failing update, recovery, and teardown with the data kept."""

from __future__ import annotations

from pathlib import Path

from tandem.rehearsal.changes import teardown, update
from tandem.rehearsal.changes.rollout import update_under_load
from tandem.rehearsal.clients.prompts import Prompt
from tandem.rehearsal.run import Rehearsal


def rehearse_changes(rehearsal: Rehearsal, prompt: Prompt) -> None:
    """Go through it in order, asking ``prompt`` of whatever is deployed after each change."""
    with rehearsal.site() as here:
        rehearsal.deploy(here)
        changed = list[Path]()
        answers = rehearsal.serve(
            here, [prompt], lambda service, _: changed.append(update_under_load(rehearsal, here, service))
        )
        answers += rehearsal.serve(here, [prompt], step="answer_after_update")
        update.fail_halfway(rehearsal, here, changed[0])
        answers += rehearsal.serve(here, [prompt], step="answer_after_rollback")
        update.recover(rehearsal, here, changed[0])
        rehearsal.compare(answers)
        teardown.keep_storage(rehearsal, here)
        data = teardown.destroy_all(rehearsal, here)
        teardown.deploy_beside(rehearsal, here, data)
    rehearsal.report.ok = True
