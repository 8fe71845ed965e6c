"""Weights come from moto's S3 over HTTP: whole, resumed, checked."""

from __future__ import annotations

import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from runtime.handoff import settings
from runtime.handoff.settings import SettingError
from runtime.prefill import weights
from runtime.prefill.bucket import BucketError
from runtime.prefill.fetch import FetchError

FILES = {"config.json": b"{}", "sub/model 1.safetensors": bytes(range(256)) * 4096, "empty": b""}


@pytest.fixture
def environment(s3: Any, aws_environment: dict[str, str]) -> dict[str, str]:
    for name, body in FILES.items():
        s3.put_object(Bucket="weights", Key=f"llama/70b/{name}", Body=body)
    s3.put_object(Bucket="weights", Key="llama/70b-other/config.json", Body=b"another's")
    s3.put_object(Bucket="weights", Key="llama/70b/sub/", Body=b"")
    return {**aws_environment, settings.WEIGHTS: "s3://weights/llama/70b"}


def fetch(environment: dict[str, str]) -> tuple[dict[str, bytes], list[str]]:
    """Fetch; return the files by name, and what was said."""
    said: list[str] = []
    folder = weights.fetch(environment, said.append, pause=0.0)
    assert folder is not None
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}, said


def folder(environment: dict[str, str]) -> Path:
    return Path(environment[settings.HOST_ROOT], "var/lib/tandem/weights/weights/llama/70b")


def test_every_file_below_the_prefix_is_there_and_nothing_else(environment: dict[str, str]) -> None:
    files, said = fetch(environment)
    assert files == FILES
    assert said[0] == "weights: 0 of 3 files of s3://weights/llama/70b are on disk"
    assert said[-1].startswith("weights: 0.00 of 0.00 GB, ")


def test_from_the_hub_nothing_is_fetched() -> None:
    assert weights.fetch({}, print) is None


def test_what_is_there_is_not_fetched_again(environment: dict[str, str], s3: Any) -> None:
    fetch(environment)
    s3.put_object(Bucket="weights", Key="llama/70b/config.json", Body=b"[]")
    files, said = fetch(environment)
    assert files["config.json"] == b"{}", "a file of the same size was fetched again"
    assert said == ["weights: 3 of 3 files of s3://weights/llama/70b are on disk"]


def test_a_file_of_another_size_is_fetched_again(environment: dict[str, str]) -> None:
    fetch(environment)
    (folder(environment) / "config.json").write_bytes(b"half of it")
    assert fetch(environment)[0] == FILES


def test_an_interrupted_file_goes_on_where_it_ended(environment: dict[str, str], s3: Any) -> None:
    name, begun = "sub/model 1.safetensors", b"already here"
    etag = s3.head_object(Bucket="weights", Key=f"llama/70b/{name}")["ETag"].strip('"')
    part = folder(environment) / f"{name}.{etag}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(begun)
    files, _ = fetch(environment)
    assert files[name] == begun + FILES[name][len(begun) :]


def test_the_beginning_of_an_older_object_is_not_used(environment: dict[str, str]) -> None:
    part = folder(environment) / "config.json.0123.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x")
    assert fetch(environment)[0]["config.json"] == FILES["config.json"]


def test_an_empty_prefix_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(FetchError, match="there is nothing below s3://weights/nothing"):
        weights.fetch({**environment, settings.WEIGHTS: "s3://weights/nothing"}, print)


def test_a_bucket_that_is_not_there_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(BucketError, match=r"HTTP 404 .*(?s:.)*NoSuchBucket") as raised:
        weights.fetch({**environment, settings.WEIGHTS: "s3://absent/llama"}, print)
    assert raised.value.lasting


@pytest.mark.parametrize("uri", ["http://weights/llama", "s3://weights", "s3:///llama", "weights/llama"])
def test_what_is_no_prefix_of_a_bucket_is_refused(uri: str) -> None:
    with pytest.raises(SettingError, match="s3://bucket/prefix is needed"):
        weights.fetch({settings.WEIGHTS: uri}, print)


def test_a_full_disk_is_named_before_anything_is_fetched(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(FetchError, match=r"0\.0 GB free and 0\.0 GB are missing"):
        fetch(environment)
    assert not [file for file in folder(environment).rglob("*") if file.is_file()]


def test_an_object_that_leads_elsewhere_is_refused(environment: dict[str, str], s3: Any) -> None:
    s3.put_object(Bucket="weights", Key="llama/evil/../../x", Body=b"x")
    with pytest.raises(FetchError, match="would be written outside"):
        fetch({**environment, settings.WEIGHTS: "s3://weights/llama/evil"})


LISTING = """<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<Contents><Key>llama/model</Key><Size>8</Size><ETag>"e"</ETag></Contents></ListBucketResult>"""


class _Unsteady(BaseHTTPRequestHandler):
    """Be an S3 that breaks off after three bytes, or answers 503 to one request in two."""

    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        if "list-type" in self.path:
            self._send(200, LISTING.encode(), len(LISTING))
            return
        ranged = self.headers["Range"]
        self.asked.append((ranged, self.headers["If-Match"]))
        if len(self.asked) % 2 == 0:
            self._send(503, b"SlowDown", 8)
            return
        rest = b"12345678"[int(ranged.removeprefix("bytes=").rstrip("-")) :]
        self._send(206, rest[:3], len(rest))

    def _send(self, status: int, body: bytes, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


def test_a_connection_that_breaks_is_taken_up_where_it_broke(environment: dict[str, str]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Unsteady) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        files, _ = fetch({**environment, "AWS_ENDPOINT_URL": endpoint, settings.WEIGHTS: "s3://weights/llama"})
        server.shutdown()
        thread.join()
    assert files["model"] == b"12345678"
    assert [offset for offset, _ in _Unsteady.asked] == ["bytes=0-", "bytes=3-", "bytes=3-", "bytes=6-", "bytes=6-"]
    assert {etag for _, etag in _Unsteady.asked} == {'"e"'}
