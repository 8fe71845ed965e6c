"""Read and write objects of an S3 bucket below a prefix: list, open from any byte on, write on a condition."""

from __future__ import annotations

import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import Final, Self
from urllib.parse import urlsplit

from runtime.handoff.settings import SettingError, required
from runtime.prefill import aws

_TIMEOUT_SECONDS: Final = 60.0
_LASTING: Final = frozenset(range(400, 500)) - {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT}
_CHANGED: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED)
"""What S3 answers to a conditional write that comes too late, 409 where another is under way (S3 user guide,
conditional writes)."""
_XML: Final = "{http://s3.amazonaws.com/doc/2006-03-01/}"


class BucketError(RuntimeError):
    """Tell what S3 answered; ``status`` is 0 where it did not, ``lasting`` where asking again will not help."""

    def __init__(self, message: str, *, status: int = 0, lasting: bool = False) -> None:
        super().__init__(message)
        self.status, self.lasting = status, lasting or status in _LASTING


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """Describe an object; ``etag`` is that of its content."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """Name a bucket and a prefix in it, in the worker's own region.

    Addresses have the path style, which needs no certificate for names with dots. Every method raises ``BucketError``
    and ``CredentialsError``.
    """

    name: str
    prefix: str
    environment: Mapping[str, str]

    @classmethod
    def of(cls, uri: str, environment: Mapping[str, str]) -> Self:
        """Read ``s3://bucket/prefix``; raise ``SettingError``."""
        parts = urlsplit(uri)
        prefix = parts.path.strip("/")
        if parts.scheme != "s3" or not parts.netloc or not prefix:
            raise SettingError(f"{uri!r} names no place in a bucket: s3://bucket/prefix is needed")
        return cls(name=parts.netloc, prefix=prefix, environment=environment)

    def list(self) -> Iterator[Stored]:
        """Yield the objects below the prefix."""
        query = {"list-type": "2", "prefix": f"{self.prefix}/"}
        while True:
            with self.ask("GET", "", query) as answer:
                page = ElementTree.fromstring(answer.read())  # noqa: S314 - S3's own answer over TLS
            for entry in page.iter(f"{_XML}Contents"):
                found = {child.tag.removeprefix(_XML): child.text or "" for child in entry}
                yield Stored(key=found["Key"], size=int(found["Size"]), etag=found["ETag"])
            more = page.findtext(f"{_XML}NextContinuationToken")
            if not more:
                return
            query["continuation-token"] = more

    def open(self, stored: Stored, offset: int) -> HTTPResponse:
        """Return the object's bytes from ``offset`` on, as long as it is the one listed."""
        return self.ask("GET", stored.key, headers={"Range": f"bytes={offset}-", "If-Match": stored.etag})

    def read(self, name: str) -> tuple[bytes, str] | None:
        """Return the whole content of ``name`` below the prefix and its ETag; None where there is none."""
        try:
            with self.ask("GET", f"{self.prefix}/{name}") as answer:
                return answer.read(), answer.headers["ETag"]
        except BucketError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def write(self, name: str, body: bytes, *, replacing: str | None = None) -> str | None:
        """Write ``name`` where it is not there yet, or still is the version ``replacing``; return the new ETag.

        None where the condition does not hold.
        """
        condition = {"If-Match": replacing} if replacing else {"If-None-Match": "*"}
        try:
            with self.ask("PUT", f"{self.prefix}/{name}", body=body, headers=condition) as answer:
                return str(answer.headers["ETag"])
        except BucketError as error:
            if error.status in _CHANGED:
                return None
            raise

    def ask(
        self,
        method: str,
        key: str,
        query: Mapping[str, str] | None = None,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> HTTPResponse:
        """Return S3's answer about the object ``key``, or about the bucket where ``key`` is empty."""
        region = required(self.environment, "AWS_REGION")
        endpoint = self.environment.get("AWS_ENDPOINT_URL") or f"https://s3.{region}.amazonaws.com"
        keys = aws.credentials(self.environment)
        url = f"{endpoint}/{self.name}" + (f"/{key}" if key else "")
        request = aws.signed(method, url, query or {}, body, service="s3", region=region, keys=keys)
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            answer: HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)  # noqa: S310 - as above
        except urllib.error.HTTPError as error:
            said = error.read(500).decode(errors="replace")
            raise BucketError(f"{method} {url}: HTTP {error.code} {said}", status=error.code) from error
        except (OSError, HTTPException) as error:
            raise BucketError(f"{method} {url}: {type(error).__name__}: {error}") from error
        return answer


@dataclass(frozen=True, slots=True)
class Item:
    """Hold one object of a bucket, as a claim or a record needs it."""

    bucket: Bucket
    name: str

    def read(self) -> tuple[bytes, str] | None:
        """Return content and ETag; None where there is none."""
        return self.bucket.read(self.name)

    def create(self, body: bytes) -> str | None:
        """Write where there is none; return the ETag, None where there is one."""
        return self.bucket.write(self.name, body)

    def replace(self, body: bytes, etag: str) -> str | None:
        """Write where the version still is ``etag``; return the new ETag, None where it is another."""
        return self.bucket.write(self.name, body, replacing=etag)
