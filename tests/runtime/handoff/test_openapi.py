"""The OpenAPI document says what the contract's constants say, and what the emulator serves."""

from __future__ import annotations

import json
import re
from typing import Any, cast

import pytest
from openapi_spec_validator import validate

from runtime.handoff import contract, fields
from runtime.handoff.contract import STATUS, Code, Phase
from runtime.handoff.seal import ALGORITHM, Seal

DOCUMENT: dict[str, Any] = json.loads(contract.DOCUMENT.read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]


def test_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_is_of_the_contracts_version() -> None:
    assert DOCUMENT["info"]["version"] == contract.VERSION
    assert SCHEMAS["Capabilities"]["properties"]["contract"] == {"const": contract.VERSION}


def test_has_the_contracts_routes() -> None:
    constants = [value for name, value in vars(contract).items() if name.isupper() and isinstance(value, str)]
    routes = {value for value in constants if value.startswith("/")}
    assert {path.removesuffix("/{id}") for path in DOCUMENT["paths"]} == routes


def test_knows_every_code_and_phase() -> None:
    error = SCHEMAS["Error"]["properties"]["error"]["properties"]
    assert error["code"]["enum"] == list(Code)
    assert error["phase"]["enum"] == list(Phase)


@pytest.mark.parametrize("path", DOCUMENT["paths"])
def test_codes_stand_at_their_status(path: str) -> None:
    for operation in DOCUMENT["paths"][path].values():
        for status, response in cast(dict[str, Any], operation["responses"]).items():
            if int(status) >= 400:
                codes = re.findall(r"`(\w+)`", response["description"])
                assert codes
                assert {STATUS[Code(code)] for code in codes} == {int(status)}


def test_parameters_are_those_that_are_checked() -> None:
    params = SCHEMAS["KvTransferParams"]
    assert set(params["required"]) == {*fields.REQUIRED, fields.TANDEM}
    assert set(params["properties"][fields.TANDEM]["properties"]) == {fields.TICKET, fields.SEAL}


@pytest.mark.parametrize("name", ["ChatCompletion", "Completion"])
def test_what_is_taken_up_is_named_as_it_is_sent(name: str) -> None:
    assert fields.RECEIVED in SCHEMAS[name]["properties"]


def test_a_seal_is_what_is_sent() -> None:
    sent = Seal(generation="g", model_digest="", block_tokens=1, digests=b"").params()
    assert set(SCHEMAS["Seal"]["required"]) == set(sent) == set(SCHEMAS["Seal"]["properties"])
    assert SCHEMAS["Seal"]["properties"]["algorithm"] == {"const": ALGORITHM}
