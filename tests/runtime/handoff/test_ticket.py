"""A ticket holds exactly what was signed, for as long as it was signed for, and nothing else passes for one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.handoff import fields
from runtime.handoff.ticket import Ticket, TicketError, digest, key_id, sign, verify

KEY = b"k" * 32
NOW = 1_000_000.0
PARAMS: dict[str, Any] = {
    fields.REMOTE_ENGINE_ID: "engine",
    fields.REMOTE_REQUEST_ID: "cmpl-1",
    fields.REMOTE_BLOCK_IDS: [[1, 2, 3]],
    fields.REMOTE_HOST: "10.0.0.1",
    fields.REMOTE_PORT: 5559,
    fields.REMOTE_NUM_TOKENS: 40,
}
CLAIMS: dict[str, Any] = {
    "tenant": "a",
    "request_id": "r",
    "attempt": 1,
    "model": "m",
    "reservation_id": "s",
    "lease_ms": 30_000,
    "prefill_gap_ms": 2,
    "expires_at": NOW + 60,
}
TICKET = Ticket.for_params(PARAMS, **CLAIMS)
tickets = st.builds(Ticket, expires_at=st.floats(min_value=NOW + 1, max_value=1e12))


def seal(payload: bytes) -> str:
    """Sign any payload as the gateway signs a ticket's."""
    signed = f"{key_id(KEY)}.{_encoded(payload)}"
    return f"{signed}.{_encoded(hmac.new(KEY, signed.encode(), hashlib.sha256).digest())}"


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


@given(ticket=tickets, key=st.binary())
def test_comes_back_as_signed(ticket: Ticket, key: bytes) -> None:
    assert verify(sign(ticket, key), [b"older", key], now=NOW) == ticket


@given(data=st.data())
def test_refuses_any_changed_character(data: st.DataObject) -> None:
    token = sign(TICKET, KEY)
    index = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda character: character != token[index]))
    with pytest.raises(TicketError):
        verify(token[:index] + other + token[index + 1 :], [KEY], now=NOW)


def test_refuses_each_other_spelling_of_the_last_character() -> None:
    # the last of 43 characters carries four bits of the signature, so 4 of 64 decode to the same bytes
    token = sign(TICKET, KEY)
    others = [chr(code) for code in range(33, 127) if chr(code) != token[-1]]
    for other in others:
        with pytest.raises(TicketError):
            verify(token[:-1] + other, [KEY], now=NOW)


@given(key=st.binary(min_size=1).filter(lambda key: key != KEY))
def test_refuses_the_signature_of_another_key(key: bytes) -> None:
    token = sign(TICKET, key)
    with pytest.raises(TicketError, match="unknown key id"):
        verify(token, [KEY], now=NOW)
    with pytest.raises(TicketError, match="wrong signature"):
        verify(token.replace(key_id(key), key_id(KEY)), [KEY], now=NOW)


def test_keys_rotate_without_a_refused_ticket() -> None:
    old, new = b"old" * 9, b"new" * 9
    for accepted, signer in (([old], old), ([new, old], old), ([new, old], new), ([new], new)):
        assert verify(sign(TICKET, signer), accepted, now=NOW) == TICKET
    with pytest.raises(TicketError, match="unknown key id"):
        verify(sign(TICKET, old), [new], now=NOW)


def test_covers_what_the_worker_says_of_its_kv() -> None:
    seal = {"generation": "g", "digests": "AAAA"}
    sealed = {**PARAMS, fields.TANDEM: {fields.SEAL: seal}}
    ticket = Ticket.for_params(sealed, **CLAIMS)
    assert ticket.covers({**PARAMS, fields.TANDEM: {fields.SEAL: dict(reversed(seal.items())), fields.TICKET: "…"}})
    for other in (None, {}, {**seal, "digests": "AAAB"}):
        assert not ticket.covers({**PARAMS, fields.TANDEM: {fields.SEAL: other}})
    assert not ticket.covers(PARAMS)


@pytest.mark.parametrize("late", [0, 0.001, 1e9])
def test_refuses_an_expired_ticket(late: float) -> None:
    token = sign(TICKET, KEY)
    assert verify(token, [KEY], now=TICKET.expires_at - 0.001) == TICKET
    with pytest.raises(TicketError, match="expired"):
        verify(token, [KEY], now=TICKET.expires_at + late)


def test_a_ticket_without_an_end_has_expired() -> None:
    with pytest.raises(TicketError, match="expired"):
        verify(sign(replace(TICKET, expires_at=math.nan), KEY), [KEY], now=NOW)


@given(token=st.text())
def test_refuses_any_text(token: str) -> None:
    with pytest.raises(TicketError):
        verify(token, [KEY], now=NOW)


@pytest.mark.parametrize(
    "token",
    [
        None,
        1,
        1.5,
        True,
        [],
        {},
        b"a.b",
        sign(TICKET, KEY).encode(),
        "",
        ".",
        "..",
        "é.é",
        "a.b",
        "a.b.c.d",
        "A.A",
        "a.====.====",
    ],
)
def test_refuses_what_is_no_token(token: object) -> None:
    with pytest.raises(TicketError, match=r"malformed|key id"):
        verify(token, [KEY], now=NOW)


def test_refuses_padding_and_the_other_alphabet() -> None:
    token = sign(TICKET, KEY)
    for other in (token + "=", token + "\n", token.replace("_", "/").replace("-", "+") + "=", " " + token):
        with pytest.raises(TicketError, match=r"malformed|key id"):
            verify(other, [KEY], now=NOW)


@given(payload=st.one_of(st.binary(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)))
def test_refuses_any_other_signed_payload(payload: bytes | str) -> None:
    with pytest.raises(TicketError, match="another version"):
        verify(seal(payload.encode() if isinstance(payload, str) else payload), [KEY], now=NOW)


@pytest.mark.parametrize("name", asdict(TICKET))
@pytest.mark.parametrize("value", [None, True, [], {}, "1", 1.5])
def test_refuses_signed_claims_of_a_wrong_type(name: str, value: object) -> None:
    claims = asdict(TICKET)
    claims[name] = value if type(value) is not type(claims[name]) else [value]
    with pytest.raises(TicketError, match="another version"):
        verify(seal(json.dumps(claims).encode()), [KEY], now=NOW)


@pytest.mark.parametrize("name", asdict(TICKET))
def test_refuses_signed_claims_with_one_missing_or_one_more(name: str) -> None:
    claims = asdict(TICKET)
    value = claims.pop(name)
    for other in (claims, {**claims, name: value, "more": 1}):
        with pytest.raises(TicketError, match="another version"):
            verify(seal(json.dumps(other).encode()), [KEY], now=NOW)


def test_covers_what_it_was_signed_for() -> None:
    assert TICKET.covers(PARAMS)
    assert TICKET.covers({**PARAMS, fields.TANDEM: {fields.TICKET: "…"}, fields.TP_SIZE: 4})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (fields.REMOTE_ENGINE_ID, "other"),
        (fields.REMOTE_REQUEST_ID, "cmpl-2"),
        (fields.REMOTE_BLOCK_IDS, [[1, 2, 4]]),
        (fields.REMOTE_BLOCK_IDS, [[1, 2]]),
        (fields.REMOTE_BLOCK_IDS, [[2, 1, 3]]),
        (fields.REMOTE_BLOCK_IDS, [[1], [2, 3]]),
        (fields.REMOTE_BLOCK_IDS, [1, 2, 3]),
        (fields.REMOTE_HOST, "10.0.0.2"),
        (fields.REMOTE_PORT, 5560),
        (fields.REMOTE_NUM_TOKENS, 41),
    ],
)
def test_does_not_cover_a_changed_field(name: str, value: object) -> None:
    assert not TICKET.covers({**PARAMS, name: value})


def test_digest_is_the_sha256_of_compact_json() -> None:
    assert digest([[1, 2]]) == hashlib.sha256(b"[[1,2]]").hexdigest()
