"""Run every deployed job to its end, as an operator does by RunTask before the services start."""

from __future__ import annotations

import subprocess
from typing import Any

from tandem.rehearsal.machine.processes import Process, Processes
from tandem.rehearsal.tasks.launch import READY_SECONDS, Launcher
from tandem.rehearsal.tasks.task import Task, deployed_jobs


def run_jobs(launcher: Launcher) -> list[dict[str, Any]]:
    """Return what the report holds of each job; raise ``ProcessError`` for one that fails or does not end."""
    started = [(job, launcher.start(launcher.place(job))) for job in deployed_jobs(launcher.aws)]
    return [_end(job, process, launcher.processes) for job, process in started]


def _end(job: Task, process: Process, processes: Processes) -> dict[str, Any]:
    try:
        status = process.popen.wait(READY_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise process.failure() from error
    if status:
        raise process.failure()
    processes.stop(process)
    return {"name": job.service, "task_definition": job.task_definition, "command": list(job.command), "status": status}
