"""Rehearse a deployment file: deploy it into an embedded AWS, start what was deployed, and ask it something.

``Rehearsal.run`` is the order of things; each step is a module of this folder.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tandem.rehearsal import stacks
from tandem.rehearsal.cdk import Cdk
from tandem.rehearsal.cloud import docker, preconditions
from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.cloud.images import STORE_VARIABLE
from tandem.rehearsal.cloud.server import EmbeddedCloud
from tandem.rehearsal.errors import RehearsalError
from tandem.rehearsal.functions import run_scheduled
from tandem.rehearsal.launch import Machine
from tandem.rehearsal.prompts import Answer, Prompt, ask
from tandem.rehearsal.reference import single_process
from tandem.rehearsal.report import Report, phase_table, prompt_entry
from tandem.rehearsal.route import NAME, AgentCoreRoute, deployed_route
from tandem.rehearsal.service import Service, serving
from tandem.spec.deployment import Deployment

_ACCOUNT = "123456789012"


class Say(Protocol):
    """Tell the person at the terminal something."""

    def __call__(self, text: str, end: str = "\n") -> None:
        """Print ``text``."""


class DifferenceError(RehearsalError):
    """Say where a rehearsal found something other than it must."""


class Rehearsal:
    """Run one deployment file on this machine; ``report`` is filled as it goes, also where it fails.

    ``setup_seconds`` passed since the person's command before this program ran; they count.
    """

    def __init__(
        self, file: Path, deployment: Deployment, *, root: Path, work: Path, say: Say, setup_seconds: float = 0.0
    ) -> None:
        self._file, self._deployment, self._root, self._work, self._say = file, deployment, root, work, say
        self._started = time.monotonic() - setup_seconds
        self.report = Report(deployment=deployment.name, file=str(file))
        self.report.seconds["setup"] = round(setup_seconds, 3)

    def run(self, prompts: Sequence[Prompt], *, hold: Callable[[Service, EmbeddedCloud], None] | None = None) -> None:
        """Deploy, serve, ask, compare, deploy again and destroy; ``hold`` keeps everything up as long as it runs."""
        account = self._deployment.account or _ACCOUNT
        with EmbeddedCloud(account, self._deployment.region, self._work / "cloud") as cloud:
            machine = Machine(root=self._root, work=self._work, endpoint=cloud.endpoint, region=cloud.region)
            cloud.functions.prelude = machine.resolver.read_text()
            # Lambda's Node runtime brings the AWS SDK along; here npm did
            cloud.functions.environment = {**machine.environment(), "NODE_PATH": str(self._root / "node_modules")}
            aws = cloud.api
            cdk = self._cdk(cloud)
            self._deploy(cloud, cdk, aws)
            self._serve(aws, machine, cloud, prompts, hold)
            self._deploy_again(cdk)
            self._destroy(cdk, aws)
        self.report.ok = True

    def _serve(
        self,
        aws: Api,
        machine: Machine,
        cloud: EmbeddedCloud,
        prompts: Sequence[Prompt],
        hold: Callable[[Service, EmbeddedCloud], None] | None,
    ) -> None:
        self._say("starting what was deployed")
        with self._timed("start_and_answer"), serving(aws, machine) as service:
            self.report.processes = service.entries
            answers = self._ask(service, prompts, deployed_route(aws))
            self.report.functions = [dataclasses.asdict(run) for run in run_scheduled(aws)]
            if hold:
                hold(service, cloud)
        self._compare(answers)

    def _cdk(self, cloud: EmbeddedCloud) -> Cdk:
        program = docker.write_program(self._work / "docker", self._root)
        environment = {**os.environ, **cloud.environment(), "CDK_DOCKER": str(program)}
        environment[STORE_VARIABLE] = str(self._work / "images")
        return Cdk(self._root, self._work / "cdk.out", environment, self._work / "cdk.log", self._say)

    def _deploy(self, cloud: EmbeddedCloud, cdk: Cdk, aws: Api) -> None:
        self._say("synthesizing and bootstrapping")
        with self._timed("synth_and_bootstrap"), ThreadPoolExecutor(1) as pool:
            bootstrapped = pool.submit(cdk.bootstrap, cloud.account, cloud.region)
            cdk.synth(self._file)
            bootstrapped.result()
        gateway = self._deployment.gateway
        if gateway.certificate_arn and gateway.domain:
            preconditions.certificate(gateway.certificate_arn, gateway.domain)
        if self._deployment.model.weights:
            preconditions.weights(aws, self._deployment.model.weights)
        self._say("deploying")
        with self._timed("deploy"):
            cdk.deploy()
        self.report.stacks = stacks.describe(aws)

    def _ask(self, service: Service, prompts: Sequence[Prompt], route: AgentCoreRoute | None) -> list[Answer]:
        answers = []
        for prompt in prompts:
            self._say(f"\n[{prompt.name}] ", end="")
            answers.append(ask(service.url, service.key, service.model, prompt, self._show))
            self.report.seconds.setdefault("command_to_first_answer", self._elapsed())
        if route:
            prompt = dataclasses.replace(prompts[0], name=NAME)
            self._say(f"\n[{prompt.name}] ", end="")
            # the gateway's key is the target's to add: this client has none
            answer = ask(route.url, "unused", service.model, prompt, self._show, route.client())
            answers.append(dataclasses.replace(answer, route=NAME))
        self._say("\n\n" + phase_table(answers) + "\n")
        return answers

    def _show(self, text: str) -> None:
        self._say(text, end="")

    def _compare(self, answers: Sequence[Answer]) -> None:
        self._say("comparing with a single-process run")
        with self._timed("single_process"):
            alone = single_process(self._root, [answer.prompt for answer in answers])
        for answer, reference in zip(answers, alone, strict=True):
            equal = answer.token_ids == reference["token_ids"] and answer.text == reference["text"]
            self.report.prompts.append(prompt_entry(answer, equal=equal))
            if not equal:
                raise DifferenceError(f"prompt {answer.prompt.name}: the tokens differ from the single-process run's")

    def _deploy_again(self, cdk: Cdk) -> None:
        self._say("deploying again: nothing may change")
        with self._timed("second_deploy"):
            changed = cdk.deploy()
        self.report.second_deploy_changed = [name for name, whether in changed.items() if whether]
        if self.report.second_deploy_changed or len(changed) != len(self.report.stacks):
            raise DifferenceError(f"a second deploy of the same file changed {self.report.second_deploy_changed}")

    def _destroy(self, cdk: Cdk, aws: Api) -> None:
        self._say("destroying")
        self.report.retained = stacks.retained(aws)
        with self._timed("destroy"):
            stacks.unprotect(aws)
            cdk.destroy()
        if left := stacks.left(aws):
            raise DifferenceError(f"the destroy left {', '.join(left)}")
        self.report.destroyed = True

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.report.seconds[step] = round(time.monotonic() - started, 3)

    def _elapsed(self) -> float:
        return round(time.monotonic() - self._started, 3)
