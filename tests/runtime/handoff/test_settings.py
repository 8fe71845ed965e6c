"""A program says which environment variable its task definition forgot."""

from __future__ import annotations

import pytest

from runtime.handoff import settings
from runtime.handoff.settings import SettingError, required, required_int


def test_returns_what_is_set() -> None:
    environment = {settings.MODEL: "m", settings.LISTEN_PORT: "8080"}
    assert required(environment, settings.MODEL) == "m"
    assert required_int(environment, settings.LISTEN_PORT) == 8080


@pytest.mark.parametrize("environment", [{}, {settings.MODEL: ""}])
@pytest.mark.parametrize("read", [required, required_int])
def test_names_a_variable_that_is_not_set(environment: dict[str, str], read: object) -> None:
    assert callable(read)
    with pytest.raises(SettingError, match=r"TANDEM_MODEL is not set: the task definition must supply it"):
        read(environment, settings.MODEL)


@pytest.mark.parametrize("value", ["0", "00", "-1", "1.5", "8080 ", "0x10", "1e3", "many", "²"])
def test_shows_what_is_no_positive_whole_number(value: str) -> None:
    with pytest.raises(SettingError, match=r"TANDEM_LISTEN_PORT is .*: a positive whole number is needed") as raised:
        required_int({settings.LISTEN_PORT: value}, settings.LISTEN_PORT)
    assert repr(value) in str(raised.value)


def test_no_two_variables_share_a_name() -> None:
    names = [value for name, value in vars(settings).items() if name.isupper() and value.startswith("TANDEM_")]
    assert len(names) == len(set(names))
