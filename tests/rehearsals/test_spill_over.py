"""Fill the CS-3 endpoint: requests spill over to an OpenAI-compatible one, and come back once there is room."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from runtime.handoff import contract
from tandem.rehearsal.checks.published import printed_object
from tandem.rehearsal.clients.prompts import Answer, Prompt
from tandem.rehearsal.clients.prompts import ask as asked
from tandem.rehearsal.clients.reference import single_process
from tandem.rehearsal.run import Rehearsal
from tandem.rehearsal.tasks.endpoint import Endpoint
from tandem.rehearsal.tasks.part import EndpointPart
from tandem.rehearsal.tasks.service import Service
from tandem.spec.read import parse
from tests.patience import HUNG_SECONDS
from tests.rehearsals.test_kills import ROOT

pytestmark = pytest.mark.rehearsal

PROMPT = Prompt(name="short", text="What is the capital of France?", max_tokens=8)
SPARE = {"endpoint": "https://api.example.com", "model": "theirs"}


def test_what_a_full_endpoint_refuses_spills_over_and_what_it_takes_comes_back(tmp_path: Path) -> None:
    document = yaml.safe_load((ROOT / "deployments" / "rehearsal.yaml").read_text())
    document["gateway"]["spill_over"] = SPARE
    document["observability"]["trace_ratio"] = 1
    file = tmp_path / "spilling.yaml"
    file.write_text(yaml.safe_dump(document))
    deployment, findings = parse(file.read_text(), file)
    assert deployment, findings
    rehearsal = Rehearsal(file, deployment, root=ROOT, work=tmp_path, say=lambda text, end="": None)
    rehearsal.run([], hold=lambda service, _: scenario(service))


def scenario(service: Service) -> None:
    [alone] = single_process(ROOT, [PROMPT])
    reasons: list[str] = []
    assert _ask(service, reasons).token_ids == alone["token_ids"]
    held = list(_filled(service))
    spilled = _ask(service, reasons)
    assert (spilled.text, spilled.token_ids, spilled.kv_bytes) == (alone["text"], alone["token_ids"], 0)
    assert reasons == ["load", "spill_over"]
    for each in held:
        _call(service, "DELETE", f"{contract.RESERVATIONS}/{each}")
    deadline = time.monotonic() + HUNG_SECONDS
    while not _ask(service, reasons).kv_bytes:  # the gateway hears every ten seconds how full an endpoint is
        assert time.monotonic() < deadline
    assert reasons[-1] == "load"
    for reason in set(reasons):
        assert _counted(service, reason) == reasons.count(reason)
    _require_traced(service, reasons)


def _ask(service: Service, reasons: list[str]) -> Answer:
    """Return an answer, and add to ``reasons`` why its decoder was chosen, as the gateway's log tells."""
    answer = asked(service.url, service.key, service.model, PROMPT, lambda _: None)
    [log] = [part.process.log for part in service.parts if part.url]
    deadline = time.monotonic() + HUNG_SECONDS
    while len(lines := _events(log, "request")) <= len(reasons):  # written once the answer has gone out
        assert time.monotonic() < deadline
        time.sleep(0.02)
    reasons.append(lines[-1]["decided"]["decoder"])
    return answer


def _filled(service: Service) -> Iterator[str]:
    """Reserve at the endpoint until it has no room for one token more; yield each reservation."""
    for tokens in (8_000, 1):
        number = 0
        while True:
            body = {"model": _endpoint(service).model, "attempt": 1, "prompt_tokens": tokens, "max_tokens": 1}
            try:
                answer = _call(service, "POST", contract.RESERVATIONS, body | {"request_id": f"full-{tokens}-{number}"})
            except urllib.error.HTTPError as error:
                if json.load(error)["error"]["code"] != "capacity":
                    raise
                break
            number += 1
            yield json.loads(answer)["reservation_id"]


def _endpoint(service: Service) -> Endpoint:
    [found] = [part.endpoint for part in service.parts if isinstance(part, EndpointPart) and part.endpoint.ticket_key]
    return found


def _call(service: Service, method: str, path: str, body: object = None) -> bytes:
    endpoint = _endpoint(service)
    request = urllib.request.Request(
        f"https://{endpoint.address}:{endpoint.port}{path}",
        method=method,
        data=json.dumps(body).encode() if body else None,
        headers={"Authorization": f"Bearer {endpoint.api_key}", "Content-Type": "application/json"},
    )
    context = ssl._create_unverified_context()  # noqa: S323 - an address, not its name
    with urllib.request.urlopen(request, context=context, timeout=HUNG_SECONDS) as answer:  # noqa: S310 - as just said
        said: bytes = answer.read()
    return said


def _events(log: Path, event: str) -> list[dict[str, Any]]:
    return [told for line in log.read_text().splitlines() if (told := printed_object(line)).get("event") == event]


def _counted(service: Service, reason: str) -> float:
    entry = next(entry for entry in service.entries if "gateway" in entry["name"])
    with urllib.request.urlopen(
        f"http://{entry['address']}:{entry['ports'][1]}/metrics", timeout=HUNG_SECONDS
    ) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = (each for family in families for each in family.samples if each.name == "tandem_gateway_decisions_total")
    return sum(each.value for each in samples if (each.labels["what"], each.labels["reason"]) == ("decoder", reason))


def _require_traced(service: Service, reasons: list[str]) -> None:
    """Wait until the gateway has exported each request's span, with the reason in it."""
    [log] = [process.log for process in service.processes.running if process.name.endswith("-collector")]
    deadline, told = time.monotonic() + HUNG_SECONDS, list[str]()
    while sorted(told) != sorted(reasons):
        assert time.monotonic() < deadline, (told, reasons)
        time.sleep(0.5)  # polled, since nothing announces it
        chats = [span for span in _events(log, "span") if span["name"] == "chat"]
        told = [span["said"]["tandem.decided.decoder"] for span in chats]
