"""Rehearse a deployment's life: deploy, update, a failing update, recovery, and teardown with the data kept."""

from __future__ import annotations

from tandem.rehearsal import teardown, update
from tandem.rehearsal.prompts import Prompt
from tandem.rehearsal.run import Rehearsal


def rehearse_changes(rehearsal: Rehearsal, prompt: Prompt) -> None:
    """Go through it in order, asking ``prompt`` of whatever is deployed after each change."""
    with rehearsal.site() as here:
        rehearsal.deploy(here)
        answers = rehearsal.serve(here, [prompt])
        changed = update.update(rehearsal, here)
        answers += rehearsal.serve(here, [prompt], step="answer_after_update")
        update.fail_halfway(rehearsal, here, changed)
        answers += rehearsal.serve(here, [prompt], step="answer_after_rollback")
        update.recover(rehearsal, here, changed)
        rehearsal.compare(answers)
        teardown.keep_storage(rehearsal, here)
        data = teardown.destroy_all(rehearsal, here)
        teardown.deploy_beside(rehearsal, here, data)
    rehearsal.report.ok = True
