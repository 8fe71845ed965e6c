"""Read objects of an S3 bucket: list a prefix, and open one from any byte on."""

from __future__ import annotations

import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Final, Self
from urllib.parse import urlsplit

from runtime.handoff.settings import SettingError, required
from runtime.prefill import aws

_TIMEOUT_SECONDS: Final = 60.0
_LASTING: Final = range(400, 500)
_XML: Final = "{http://s3.amazonaws.com/doc/2006-03-01/}"


class BucketError(RuntimeError):
    """Tell what S3 answered; ``lasting`` where asking again will not help."""

    def __init__(self, message: str, *, lasting: bool) -> None:
        super().__init__(message)
        self.lasting = lasting


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """Describe an object; ``etag`` is that of its content."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """Name a bucket and a prefix in it, in the worker's own region.

    Addresses have the path style, which needs no certificate for names with dots.
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
            raise SettingError(f"the source of weights is {uri!r}: s3://bucket/prefix is needed")
        return cls(name=parts.netloc, prefix=prefix, environment=environment)

    def list(self) -> Iterator[Stored]:
        """Yield the objects below the prefix; raise ``BucketError``."""
        query = {"list-type": "2", "prefix": f"{self.prefix}/"}
        while True:
            with self._ask("", query) as answer:
                page = ElementTree.fromstring(answer.read())  # noqa: S314 - S3's own answer over TLS
            for entry in page.iter(f"{_XML}Contents"):
                found = {child.tag.removeprefix(_XML): child.text or "" for child in entry}
                yield Stored(key=found["Key"], size=int(found["Size"]), etag=found["ETag"])
            more = page.findtext(f"{_XML}NextContinuationToken")
            if not more:
                return
            query["continuation-token"] = more

    def open(self, stored: Stored, offset: int) -> HTTPResponse:
        """Return the object's bytes from ``offset`` on, as long as it is the one listed; raise ``BucketError``."""
        return self._ask(f"/{stored.key}", {}, {"Range": f"bytes={offset}-", "If-Match": stored.etag})

    def _ask(self, path: str, query: Mapping[str, str], headers: Mapping[str, str] | None = None) -> HTTPResponse:
        region = required(self.environment, "AWS_REGION")
        endpoint = self.environment.get("AWS_ENDPOINT_URL") or f"https://s3.{region}.amazonaws.com"
        keys = aws.credentials(self.environment)
        url = f"{endpoint}/{self.name}{path}"
        request = aws.signed_get(url, query, service="s3", region=region, keys=keys)
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            answer: HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)  # noqa: S310 - as above
        except urllib.error.HTTPError as error:
            said = error.read(500).decode(errors="replace")
            raise BucketError(f"GET {url}: HTTP {error.code} {said}", lasting=error.code in _LASTING) from error
        except (OSError, HTTPException) as error:
            raise BucketError(f"GET {url}: {type(error).__name__}: {error}", lasting=False) from error
        return answer
