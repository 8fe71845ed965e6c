"""Who answers what."""

from __future__ import annotations

import pytest

from runtime.gateway.http.message import Answer, Body, HttpError, Request
from runtime.gateway.http.routes import Routes


async def first(_: Request) -> Answer:
    return Answer(b"1")


async def second(_: Request) -> Answer:
    return Answer(b"2")


ROUTES: Routes[Request] = Routes()
ROUTES.add("GET", "/models", first)
ROUTES.add("POST", "/models", second)
ROUTES.add("GET", "/models/{name:.+}", first)
ROUTES.add("POST", "/model/{name}/ask", second)


def asked(method: str, target: str) -> Request:
    def begin(*_: object) -> None:
        raise AssertionError

    return Request(method, target, {}, Body(lambda _: None), begin)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "target", "handler", "names"),
    [
        ("GET", "/models", first, {}),
        ("HEAD", "/models?x=1", first, {}),
        ("POST", "/models", second, {}),
        ("GET", "/models/org/model", first, {"name": "org/model"}),
        ("POST", "/model/org%2Fmodel%20x/ask", second, {"name": "org/model x"}),
    ],
)
def test_found(method: str, target: str, handler: object, names: dict[str, str]) -> None:
    request = asked(method, target)
    assert ROUTES.find(request) is handler
    assert request.names == names


@pytest.mark.parametrize(
    ("method", "target", "status", "headers"),
    [
        ("GET", "/", 404, {}),
        ("GET", "/models/", 404, {}),
        ("POST", "/model/a/b/ask", 404, {}),
        ("GET", "/models/x\n", 404, {}),
        ("PUT", "/models", 405, {"Allow": "GET,HEAD,POST"}),
        ("HEAD", "/model/a/ask", 405, {"Allow": "POST"}),
    ],
)
def test_not_found(method: str, target: str, status: int, headers: dict[str, str]) -> None:
    with pytest.raises(HttpError) as refused:
        ROUTES.find(asked(method, target))
    assert (refused.value.status, refused.value.headers) == (status, headers)
