"""A decode endpoint learns which of the fields it needs are not there."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.handoff import fields

PARAMS: dict[str, Any] = {
    fields.REMOTE_ENGINE_ID: "engine",
    fields.REMOTE_REQUEST_ID: "cmpl-1",
    fields.REMOTE_BLOCK_IDS: [[1, 2, 3]],
    fields.REMOTE_HOST: "10.0.0.1",
    fields.REMOTE_PORT: 5559,
    fields.REMOTE_NUM_TOKENS: 40,
}


def test_finds_nothing_missing_in_what_vllm_returns() -> None:
    assert fields.missing(PARAMS) == []
    assert fields.missing({**PARAMS, fields.DO_REMOTE_PREFILL: True, fields.TP_SIZE: 1}) == []


@pytest.mark.parametrize("name", fields.REQUIRED)
@pytest.mark.parametrize("value", [None, True, False, "", 0, [], {}, 1.5, b"x", ("a",)])
def test_names_a_field_with_an_empty_or_unusable_value(name: str, value: object) -> None:
    assert fields.missing({**PARAMS, name: value}) == [name]


@pytest.mark.parametrize("name", fields.REQUIRED)
def test_names_an_absent_field(name: str) -> None:
    assert fields.missing({key: value for key, value in PARAMS.items() if key != name}) == [name]


@pytest.mark.parametrize("params", [None, "remote_host", 1, [], [PARAMS], {}])
def test_names_all_where_there_are_no_params(params: object) -> None:
    assert fields.missing(params) == list(fields.REQUIRED)


def test_asks_a_worker_for_nothing_remote() -> None:
    assert fields.PREFILL_REQUEST[fields.DO_REMOTE_DECODE] is True
    others = {name: value for name, value in fields.PREFILL_REQUEST.items() if name != fields.DO_REMOTE_DECODE}
    assert not any(others.values())
