"""Compiled artifacts in moto's S3: fetched whole or not at all, published once, compiled by one."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runtime.handoff import settings
from runtime.handoff.settings import SettingError
from runtime.handoff.worker_status import State
from runtime.prefill.artifacts import Artifacts
from runtime.prefill.bucket import BucketError
from runtime.prefill.compiling import holding, prepare, publish
from runtime.prefill.fetch import FetchError
from runtime.prefill.status import Status
from tests.patience import HUNG_SECONDS

GRAPHS = {"abc/model.neff": b"\x7fNEFF" * 1000, "abc/done": b"", "def/model.neff": b"other"}
SDK = {"neuronx-cc": "2.20.1", "vllm": "0.24.0"}


def on(environment: Mapping[str, str], host: str, versions: Mapping[str, str] = SDK) -> Artifacts:
    """Return the artifacts as the worker of another host sees them."""
    root = str(Path(environment[settings.HOST_ROOT], host))
    return Artifacts.of({**environment, settings.HOST_ROOT: root}, versions)


def compile_graphs(artifacts: Artifacts) -> None:
    for name, content in {**GRAPHS, "abc.lock": b""}.items():
        file = artifacts.cache / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def files(artifacts: Artifacts) -> dict[str, bytes]:
    found = (path for path in artifacts.cache.rglob("*") if path.is_file())
    return {str(path.relative_to(artifacts.cache)): path.read_bytes() for path in found}


def always() -> bool:
    return True


def ignore(_: str) -> None:
    """Say nothing."""


def test_vllms_own_cache_lies_below_its_root_on_the_hosts_disk(aws_environment: dict[str, str]) -> None:
    artifacts = Artifacts.of(aws_environment, SDK)
    local = Path(aws_environment[settings.HOST_ROOT], "var/lib/tandem/vllm")
    assert artifacts.cache == artifacts.root / "neuron/compile_cache"
    assert artifacts.root.is_relative_to(local)


def test_what_one_publishes_another_fetches(aws_environment: dict[str, str]) -> None:
    first, second = on(aws_environment, "first"), on(aws_environment, "second")
    assert not second.fetch(ignore)
    compile_graphs(first)
    said: list[str] = []
    assert first.publish(always, said.append)
    assert said == ["artifacts: 3 files, 0.00 GB, are in the bucket"]
    assert second.fetch(ignore)
    assert files(second) == GRAPHS
    assert second.entries() == {"abc", "def"}


def test_another_sdk_has_another_set(aws_environment: dict[str, str]) -> None:
    first, second = on(aws_environment, "first"), on(aws_environment, "second", {**SDK, "neuronx-cc": "2.21.0"})
    compile_graphs(first)
    assert first.publish(always, ignore)
    assert not second.fetch(ignore)
    assert first.root.name != second.root.name


def test_a_half_filled_set_is_not_taken(aws_environment: dict[str, str], s3: Any) -> None:
    first, second = on(aws_environment, "first"), on(aws_environment, "second")
    compile_graphs(first)
    turns = iter([True, True, False])
    said: list[str] = []
    assert not first.publish(lambda: next(turns), said.append)
    assert said == ["artifacts: another worker has taken over: this one's artifacts stay here"]
    assert len(s3.list_objects_v2(Bucket="artifacts", Prefix=first.bucket.prefix)["Contents"]) == 2
    assert not second.fetch(ignore)


def test_of_two_that_publish_the_first_prevails_and_nothing_of_the_second_is_mixed_in(
    aws_environment: dict[str, str],
) -> None:
    first, second, third = (on(aws_environment, host) for host in ("first", "second", "third"))
    compile_graphs(first)
    compile_graphs(second)
    (second.cache / "def/model.neff").write_bytes(b"another's")
    said: list[str] = []
    assert first.publish(always, ignore)
    assert second.publish(always, said.append)
    assert said == ["artifacts: 3 files, 0.00 GB, are in the bucket already, by another worker"]
    assert third.fetch(ignore)
    assert files(third) == GRAPHS


def test_nothing_compiled_is_not_published(aws_environment: dict[str, str]) -> None:
    said: list[str] = []
    assert not on(aws_environment, "first").publish(always, said.append)
    assert "nothing is published" in said[0]


@pytest.mark.parametrize("manifest", [b"", b"[]", b'{"prefix": "x", "files": [{"key": 1}]}'])
def test_a_manifest_that_nobody_can_read_is_named(aws_environment: dict[str, str], s3: Any, manifest: bytes) -> None:
    artifacts = on(aws_environment, "first")
    s3.put_object(Bucket="artifacts", Key=f"{artifacts.bucket.prefix}/manifest.json", Body=manifest)
    with pytest.raises(FetchError, match="the manifest of compiled artifacts is unreadable"):
        artifacts.fetch(ignore)


def test_a_file_that_the_manifest_names_and_nobody_has_is_named(aws_environment: dict[str, str], s3: Any) -> None:
    first, second = on(aws_environment, "first"), on(aws_environment, "second")
    compile_graphs(first)
    first.publish(always, ignore)
    manifest = json.loads(s3.get_object(Bucket="artifacts", Key=f"{first.bucket.prefix}/manifest.json")["Body"].read())
    assert manifest["versions"] == SDK
    s3.delete_object(Bucket="artifacts", Key=manifest["files"][-1]["key"])
    with pytest.raises(BucketError, match="HTTP 404"):
        second.fetch(ignore)


def test_without_a_place_it_says_so() -> None:
    with pytest.raises(SettingError, match=settings.ARTIFACTS):
        Artifacts.of({}, SDK)


async def test_one_compiles_while_the_others_wait_and_then_fetch(aws_environment: dict[str, str]) -> None:
    first, second = on(aws_environment, "first"), on(aws_environment, "second")
    claim = prepare(first, Status(), ignore)
    assert claim is not None
    state, results = Status(), []
    waiting = threading.Thread(target=lambda: results.append(prepare(second, state, ignore, poll=0.01)))
    waiting.start()
    deadline = time.monotonic() + HUNG_SECONDS
    while state.state is not State.AWAITING and time.monotonic() < deadline:
        time.sleep(0.01)  # polled, since nothing announces it
    compile_graphs(first)
    with holding(claim, ignore) as held:
        await publish(first, held, ignore)
    waiting.join(HUNG_SECONDS)
    assert results == [None]
    assert files(second) == GRAPHS


async def test_one_that_gives_up_leaves_the_compilation_to_the_next(aws_environment: dict[str, str]) -> None:
    with holding(prepare(on(aws_environment, "first"), Status(), ignore), ignore):
        pass  # vLLM ends before it serves
    assert prepare(on(aws_environment, "second"), Status(), ignore) is not None


async def test_a_worker_serves_also_where_it_cannot_publish(aws_environment: dict[str, str]) -> None:
    artifacts = on(aws_environment, "first")
    claim = prepare(artifacts, Status(), ignore)
    compile_graphs(artifacts)
    gone = Artifacts(
        type(artifacts.bucket)(name="absent", prefix="x", environment=artifacts.bucket.environment), artifacts.root, SDK
    )
    said: list[str] = []
    with holding(claim, said.append) as held:
        await publish(gone, held, said.append)
    assert said[0].startswith("artifacts: not published, another start compiles again: PUT ")
    shutil.rmtree(artifacts.root)
