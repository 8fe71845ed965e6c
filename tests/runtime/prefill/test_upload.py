"""Files go to moto's S3 over HTTP: whole, in parts, and not at all where S3 refuses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from runtime.prefill.bucket import Bucket, BucketError
from runtime.prefill.upload import upload

MIB = 2**20
CONTENT = bytes(range(256)) * 4096 * 11


@pytest.fixture
def bucket(aws_environment: dict[str, str]) -> Bucket:
    return Bucket.of("s3://artifacts/neff", aws_environment)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "model 1.neff"
    made.write_bytes(CONTENT)
    return made


@pytest.mark.parametrize(("part_bytes", "parts"), [(5 * MIB, 3), (64 * MIB, 0)])
def test_a_file_arrives_whole(bucket: Bucket, file: Path, s3: Any, part_bytes: int, parts: int) -> None:
    key = f"neff/{part_bytes}/model 1.neff"
    stored = upload(bucket, file, key, part_bytes=part_bytes)
    found = s3.get_object(Bucket="artifacts", Key=key)
    assert (found["Body"].read(), found["ETag"]) == (CONTENT, stored.etag)
    assert (stored.key, stored.size) == (key, len(CONTENT))
    assert found["ETag"].strip('"').endswith(f"-{parts}") is bool(parts)
    with bucket.open(stored, 0) as answer:
        assert answer.read(4) == CONTENT[:4]


def test_an_empty_file_arrives_too(bucket: Bucket, tmp_path: Path, s3: Any) -> None:
    (tmp_path / "done").touch()
    assert upload(bucket, tmp_path / "done", "neff/done").size == 0
    assert s3.head_object(Bucket="artifacts", Key="neff/done")["ContentLength"] == 0


def test_what_s3_refuses_leaves_no_parts_behind(bucket: Bucket, file: Path, s3: Any) -> None:
    with pytest.raises(BucketError, match="EntityTooSmall"):  # parts but the last have 5 MiB or more
        upload(bucket, file, "neff/small", part_bytes=MIB, pause=0.0)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="artifacts")


class _Unsteady(BaseHTTPRequestHandler):
    """Be an S3 that answers 503 to one PUT in two, and to the last POST with an error in the body of a 200."""

    asked: ClassVar[list[str]] = []

    def _answer(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.asked.append(f"{self.command} {self.path.partition('?')[2].partition('=')[0]}")
        if self.command == "PUT" and len(self.asked) % 2 == 0:
            self._send(503, b"SlowDown")
        elif "uploads" in self.path:
            self._send(200, b"<R><UploadId>u</UploadId></R>")
        elif self.command == "POST":
            self._send(200, b"<Error><Code>InternalError</Code></Error>")
        else:
            self._send(200, b"")

    do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - http.server's names

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"e"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def unsteady(aws_environment: dict[str, str]) -> Iterator[Bucket]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Unsteady) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        yield Bucket.of("s3://artifacts/neff", {**aws_environment, "AWS_ENDPOINT_URL": endpoint})
        server.shutdown()
        thread.join()


def test_a_part_that_fails_is_sent_again_and_an_error_under_200_is_one(unsteady: Bucket, file: Path) -> None:
    with pytest.raises(BucketError, match="S3 answers without ETag: <Error><Code>InternalError"):
        upload(unsteady, file, "neff/x", part_bytes=6 * MIB, pause=0.0)
    assert _Unsteady.asked[:4] == ["POST uploads", "PUT partNumber", "PUT partNumber", "PUT partNumber"]
    assert _Unsteady.asked[-1] == "DELETE uploadId"
