"""Every refusal of the contract has a status and OpenAI's shape."""

from __future__ import annotations

import pytest

from runtime.handoff.contract import STATUS, Code, HandoffError


def test_every_code_has_a_status() -> None:
    assert STATUS.keys() == set(Code)


@pytest.mark.parametrize("code", Code)
def test_an_error_has_the_shape_that_openai_clients_read(code: Code) -> None:
    error = HandoffError(code, "what happened")
    kind = "server_error" if error.status >= 500 else "invalid_request_error"
    assert 400 <= error.status < 600
    assert error.body() == {"error": {"message": "what happened", "type": kind, "param": None, "code": code.value}}
    assert type(error.body()["error"]["code"]) is str


@pytest.mark.parametrize(
    ("code", "status"), [(Code.CAPACITY, 429), (Code.UNAUTHORIZED, 401), (Code.TICKET_INVALID, 403)]
)
def test_clients_retry_and_ask_again_by_status(code: Code, status: int) -> None:
    assert HandoffError(code, "").status == status
