"""Kill one process during an answer: an error for the client, and nothing held by those that live on."""

from __future__ import annotations

import os
import re
import signal
import ssl
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from openai import APIError, DefaultHttpxClient, OpenAI

from tandem.rehearsal.machine.processes import Process
from tandem.rehearsal.run import Rehearsal
from tandem.rehearsal.tasks.service import Service
from tandem.spec.read import parse
from tests.patience import HUNG_SECONDS, LONG_SECONDS

pytestmark = pytest.mark.rehearsal

ROOT = Path(__file__).parents[2]
LEASE_SECONDS = 12
ASKED = 20
LONG = "alpha beta gamma delta epsilon " * 350


def rehearsed(tmp_path: Path, scenario: Callable[[Service], None], lease: int = LONG_SECONDS) -> None:
    """Hold a rehearsal of the small deployment, with another lease, for as long as the scenario takes."""
    text = (ROOT / "deployments" / "rehearsal.yaml").read_text()
    text = text.replace("kv_lease_seconds: 105", f"kv_lease_seconds: {lease}")
    file = tmp_path / "deployment.yaml"
    file.write_text(text)
    deployment, _ = parse(text, file)
    assert deployment
    rehearsal = Rehearsal(file, deployment, root=ROOT, work=tmp_path, say=lambda text, end="": None)
    rehearsal.run([], hold=lambda service, _: scenario(service))


def victim(service: Service, name: str) -> Process:
    running = service.processes.running
    # beside the gateway runs the collector of its spans
    return next(process for process in running if name in process.name and "collector" not in process.name)


def kill(process: Process) -> None:
    os.killpg(process.popen.pid, signal.SIGKILL)
    process.popen.wait()


def metric(service: Service, process: str, name: str) -> float:
    entry = next(entry for entry in service.entries if process in entry["name"])
    context = ssl._create_unverified_context()  # noqa: S323 - an address, not its name
    url = f"https://{entry['address']}:{entry['ports'][0]}/metrics"
    with urllib.request.urlopen(url, context=context, timeout=HUNG_SECONDS) as answer:
        text = answer.read().decode()
    found = re.search(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", text, flags=re.MULTILINE)
    assert found, f"{name} is not among the metrics of {process}"
    return float(found[1])


def becomes(read: Callable[[], float], value: float, seconds: float) -> None:
    """Wait until a metric has a value; it is polled, since nothing announces it."""
    deadline = time.monotonic() + seconds
    while read() != value:
        assert time.monotonic() < deadline, f"still {read()} after {seconds} s"
        time.sleep(0.1)


def client(service: Service) -> OpenAI:
    http = DefaultHttpxClient(trust_env=False, verify=False)
    return OpenAI(
        base_url=f"{service.url}/v1", api_key=service.key, max_retries=0, timeout=LONG_SECONDS, http_client=http
    )


def ask(service: Service, text: str, *, then: Callable[[], None]) -> str:
    """Stream an answer, and call ``then`` once its first piece is there."""
    received = ""
    with client(service) as openai:
        stream = openai.chat.completions.create(
            model=service.model,
            messages=[{"role": "user", "content": text}],
            max_tokens=400,
            temperature=2,  # so hot, and with this seed, it neither is empty nor ends by itself
            seed=1,
            stream=True,
        )
        for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                if not received:
                    then()
                received += chunk.choices[0].delta.content
    return received


def ask_while(service: Service, text: str, during: Callable[[], None]) -> Future[str]:
    """Ask for an answer, call ``during`` as its prompt is prefilled, and return what the client got, which has ended.

    A busy machine may look only once the prefill has ended: then it is asked for again.
    """
    with ThreadPoolExecutor() as pool:
        for _ in range(ASKED):
            before = prefilled(service)
            answer = pool.submit(ask, service, text, then=lambda: None)
            if seen_prefilling(service, before):
                during()
                return answer
    raise AssertionError(f"none of {ASKED} prefills was seen")


def prefilled(service: Service) -> float:
    return metric(service, "prefill", "vllm:request_prefill_time_seconds_count")


def seen_prefilling(service: Service, before: float) -> bool:
    """Wait for a prefill; return False where it has ended unseen, ``before`` being how many had ended."""
    deadline = time.monotonic() + HUNG_SECONDS
    while not metric(service, "prefill", "vllm:num_requests_running"):
        if prefilled(service) > before:
            return False
        assert time.monotonic() < deadline, f"no prefill within {HUNG_SECONDS} s"
        time.sleep(0.1)
    return True


def nothing_held(service: Service, *, within: float, but: str = "") -> None:
    checks = {"endpoint-cs3": "tandem_decode_reservations", "prefill": "vllm:kv_cache_usage_perc"}
    for process, name in checks.items():
        if process != but:
            becomes(partial(metric, service, process, name), 0.0, within)


def test_killed_prefill_worker_fails_the_request_and_frees_the_reservation(tmp_path: Path) -> None:
    def scenario(service: Service) -> None:
        error = ask_while(service, LONG, lambda: kill(victim(service, "prefill"))).exception()
        assert isinstance(error, APIError)
        assert error.body["code"] in ("prefill_failed", "prefill_unavailable")  # type: ignore[index]  # OpenAI's object
        nothing_held(service, within=HUNG_SECONDS, but="prefill")

    rehearsed(tmp_path, scenario)


def test_killed_endpoint_breaks_the_stream_with_an_error_and_leaves_no_block(tmp_path: Path) -> None:
    def scenario(service: Service) -> None:
        with pytest.raises(APIError, match="decode"):
            ask(service, "Tell me a long story.", then=lambda: kill(victim(service, "endpoint-cs3")))
        nothing_held(service, within=HUNG_SECONDS, but="endpoint-cs3")

    rehearsed(tmp_path, scenario)


def test_endpoint_killed_before_it_reads_leaves_blocks_no_longer_than_their_lease(tmp_path: Path) -> None:
    def scenario(service: Service) -> None:
        error = ask_while(service, LONG, lambda: kill(victim(service, "endpoint-cs3"))).exception()
        assert isinstance(error, APIError)
        assert error.body["code"] == "decode_unavailable"  # type: ignore[index]  # OpenAI's object
        nothing_held(service, within=LEASE_SECONDS + HUNG_SECONDS, but="endpoint-cs3")

    rehearsed(tmp_path, scenario, LEASE_SECONDS)


def test_killed_gateway_leaves_nothing_at_either_side(tmp_path: Path) -> None:
    def scenario(service: Service) -> None:
        with pytest.raises(Exception, match=r"(?i)connection|peer|incomplete|disconnect"):
            ask(service, "Tell me a long story.", then=lambda: kill(victim(service, "gateway")))
        nothing_held(service, within=HUNG_SECONDS)

    rehearsed(tmp_path, scenario)


def test_gateway_killed_during_prefill_leaves_nothing_beyond_the_reservation(tmp_path: Path) -> None:
    def scenario(service: Service) -> None:
        assert ask_while(service, LONG, lambda: kill(victim(service, "gateway"))).exception()
        nothing_held(service, within=LEASE_SECONDS + HUNG_SECONDS)

    rehearsed(tmp_path, scenario, LEASE_SECONDS)
