"""Put files into the bucket: whole, or in parts where one request would be too long."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Final

from runtime.prefill.bucket import Bucket, BucketError, Stored

PART_BYTES: Final = 64 * 2**20
"""S3 takes up to 10,000 parts of 5 MiB or more (S3 user guide, multipart upload limits): files up to 640 GB."""
_ATTEMPTS: Final = 5
_XML: Final = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def upload(bucket: Bucket, file: Path, key: str, *, part_bytes: int = PART_BYTES, pause: float = 1.0) -> Stored:
    """Write ``file`` as the object ``key``; raise ``BucketError`` and ``OSError``.

    Each request is repeated after ``pause`` seconds, twice as many after each further failure.
    """
    size = file.stat().st_size
    put = _whole if size <= part_bytes else _in_parts
    return Stored(key=key, size=size, etag=put(bucket, file, key, part_bytes, pause))


def _whole(bucket: Bucket, file: Path, key: str, _: int, pause: float) -> str:
    body = file.read_bytes()

    def put() -> str:
        with bucket.ask("PUT", key, body=body) as answer:
            return str(answer.headers["ETag"])

    return _insist(put, pause)


def _in_parts(bucket: Bucket, file: Path, key: str, part_bytes: int, pause: float) -> str:
    with bucket.ask("POST", key, {"uploads": ""}) as answer:
        upload_id = _text(answer.read(), "UploadId")
    try:
        etags: list[str] = []
        with file.open("rb") as content:
            while part := content.read(part_bytes):
                query = {"partNumber": str(len(etags) + 1), "uploadId": upload_id}
                etags.append(_insist(lambda: _part(bucket, key, query, part), pause))  # noqa: B023 - called at once
        return _insist(lambda: _complete(bucket, key, upload_id, etags), pause)
    except BaseException:
        bucket.ask("DELETE", key, {"uploadId": upload_id}).close()  # its parts would be paid for
        raise


def _part(bucket: Bucket, key: str, query: dict[str, str], part: bytes) -> str:
    with bucket.ask("PUT", key, query, body=part) as answer:
        return str(answer.headers["ETag"])


def _complete(bucket: Bucket, key: str, upload_id: str, etags: list[str]) -> str:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
    )
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    with bucket.ask("POST", key, {"uploadId": upload_id}, body=body) as answer:
        return _text(answer.read(), "ETag")


def _text(answer: bytes, name: str) -> str:
    """Return one element of an answer; S3 may answer 200 and tell of an error in the body."""
    root = ElementTree.fromstring(answer)  # noqa: S314 - S3's own answer over TLS
    found = root.findtext(f"{_XML}{name}") or root.findtext(name)
    if not found:
        raise BucketError(f"S3 answers without {name}: {answer[:500].decode(errors='replace')}")
    return found


def _insist(request: Callable[[], str], pause: float) -> str:
    for attempt in range(_ATTEMPTS - 1):
        try:
            return request()
        except BucketError as error:
            if error.lasting:
                raise
            time.sleep(pause * 2**attempt)
    return request()
