"""Rehearse a deployment file: deploy it into an embedded AWS, start what was deployed, and ask it something.

``Rehearsal.run`` is the order of things; each step is a module of this folder.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from tandem.rehearsal.checks.published import printed, require_published
from tandem.rehearsal.checks.traces import require_traces
from tandem.rehearsal.clients.prompts import Answer, Prompt, ask
from tandem.rehearsal.clients.reference import single_process
from tandem.rehearsal.clients.route import NAME, AgentCoreRoute, deployed_route
from tandem.rehearsal.cloud import preconditions
from tandem.rehearsal.cloud.server import EmbeddedCloud
from tandem.rehearsal.deploy import stacks
from tandem.rehearsal.deploy.site import Site, site
from tandem.rehearsal.errors import RehearsalError
from tandem.rehearsal.report import Report, phase_table, prompt_entry
from tandem.rehearsal.tasks.functions import run_scheduled
from tandem.rehearsal.tasks.service import Service, serving
from tandem.spec.deployment import Deployment

Hold = Callable[[Service, EmbeddedCloud], None]
"""Keep a service up as long as this runs."""


class Say(Protocol):
    """Tell the person at the terminal something."""

    def __call__(self, text: str, end: str = "\n") -> None:
        """Print ``text``."""


class DifferenceError(RehearsalError):
    """Say where a rehearsal found something other than it must."""


class Rehearsal:
    """Run one deployment file on this machine; ``report`` is filled as it goes, also where it fails.

    ``setup_seconds`` passed since the person's command before this program ran; they count. ``transport`` is what
    stand-ins move KV by; of each service ``most`` tasks run.
    """

    def __init__(
        self,
        file: Path,
        deployment: Deployment,
        *,
        root: Path,
        work: Path,
        say: Say,
        setup_seconds: float = 0.0,
        transport: str = "UCX",
        most: int = 1,
    ) -> None:
        self._transport, self._most = transport, most
        self.file, self.deployment, self.root, self.work, self.say = file, deployment, root, work, say
        self._started = time.monotonic() - setup_seconds
        self.report = Report(deployment=deployment.name, file=str(file))
        self.report.seconds["setup"] = round(setup_seconds, 3)

    def run(self, prompts: Sequence[Prompt], *, hold: Hold | None = None) -> None:
        """Deploy, serve, ask, compare, deploy again and destroy; ``hold`` keeps everything up as long as it runs."""
        with self.site() as here:
            self.deploy(here)
            answers = self.serve(here, prompts, hold)
            self.compare(answers)
            self._deploy_again(here)
            self.destroy(here)
        self.report.ok = True

    def site(self) -> AbstractContextManager[Site]:
        """Return an empty account to rehearse in."""
        return site(self.deployment, self.root, self.work, self.say, transport=self._transport)

    def deploy(self, here: Site) -> None:
        """Bootstrap the account and deploy the file."""
        self.say("synthesizing and bootstrapping")
        with self.timed("synth_and_bootstrap"), ThreadPoolExecutor(1) as pool:
            bootstrapped = pool.submit(here.cdk.bootstrap, here.cloud.account, here.cloud.region)
            here.cdk.synth(self.file)
            bootstrapped.result()
        gateway = self.deployment.gateway
        if gateway.certificate_arn and gateway.domain:
            preconditions.certificate(gateway.certificate_arn, gateway.domain)
        preconditions.model(here.aws, self.deployment.model)
        self.say("deploying")
        with self.timed("deploy"):
            here.cdk.deploy()
        self.report.stacks = stacks.describe(here.aws)

    def serve(
        self, here: Site, prompts: Sequence[Prompt], hold: Hold | None = None, *, step: str = "start_and_answer"
    ) -> list[Answer]:
        """Start what is deployed, ask it everything, and stop it; the time goes to ``step``."""
        self.say("starting what was deployed")
        with self.timed(step), serving(here.aws, here.machine, most=self._most) as service:
            self.report.processes, self.report.jobs = service.entries, service.jobs
            answers = self._ask(service, prompts, deployed_route(here.aws))
            functions = run_scheduled(here.aws)
            self.report.functions = [dataclasses.asdict(run) for run in functions]
            if hold:
                hold(service, here.cloud)
        lines = list(printed(self.work / "logs", functions))
        if not hold:  # what somebody else does meanwhile may well end programs before they have told everything
            self.report.metrics = require_published(here.aws, lines)
            self.report.traces = require_traces(lines)
        return answers

    def compare(self, answers: Sequence[Answer]) -> None:
        """Raise ``DifferenceError`` for an answer that differs from a single process's to the same prompt."""
        self.say("comparing with a single-process run")
        with self.timed("single_process"):
            alone = single_process(self.root, [answer.prompt for answer in answers])
        for answer, reference in zip(answers, alone, strict=True):
            equal = (answer.token_ids, answer.text) == (reference["token_ids"], reference["text"])
            self.report.prompts.append(prompt_entry(answer, equal=equal))
            if not equal:
                raise DifferenceError(f"prompt {answer.prompt.name}: the tokens differ from the single-process run's")

    def destroy(self, here: Site) -> None:
        """Destroy every stack, protected ones too; raise ``DifferenceError`` where one is left."""
        self.say("destroying")
        self.report.retained = stacks.retained(here.aws)
        with self.timed("destroy"):
            stacks.unprotect(here.aws)
            here.cdk.destroy()
        if left := stacks.left(here.aws):
            raise DifferenceError(f"the destroy left {', '.join(left)}")
        self.report.destroyed = True

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Put how long the context lasts into the report, under ``step``."""
        started = time.monotonic()
        yield
        self.report.seconds[step] = round(time.monotonic() - started, 3)

    def _ask(self, service: Service, prompts: Sequence[Prompt], route: AgentCoreRoute | None) -> list[Answer]:
        answers = []
        for prompt in prompts:
            self.say(f"\n[{prompt.name}] ", end="")
            answers.append(ask(service.url, service.key, service.model, prompt, self._show))
            self.report.seconds.setdefault("command_to_first_answer", self._elapsed())
        if route:
            prompt = dataclasses.replace(prompts[0], name=NAME)
            self.say(f"\n[{prompt.name}] ", end="")
            # the gateway's key is the target's to add: this client has none
            answer = ask(route.url, "unused", service.model, prompt, self._show, route.client())
            answers.append(dataclasses.replace(answer, route=NAME))
        self.say("\n\n" + phase_table(answers) + "\n")
        return answers

    def _show(self, text: str) -> None:
        self.say(text, end="")

    def _deploy_again(self, here: Site) -> None:
        self.say("deploying again: nothing may change")
        with self.timed("second_deploy"):
            changed = here.cdk.deploy()
        self.report.second_deploy_changed = [name for name, whether in changed.items() if whether]
        if self.report.second_deploy_changed or len(changed) != len(self.report.stacks):
            raise DifferenceError(f"a second deploy of the same file changed {self.report.second_deploy_changed}")

    def _elapsed(self) -> float:
        return round(time.monotonic() - self._started, 3)
