"""vLLM's command line and environment, derived from the task's."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.handoff import fabric, settings
from runtime.handoff.settings import SettingError
from runtime.prefill import launch
from runtime.prefill.launch import ArgumentError

ADDRESS = "10.0.1.7"


def test_the_flags_are_kept_and_the_address_is_added() -> None:
    flags = ["serve", "org/model", "--port=8100", '--kv-transfer-config={"kv_connector":"NixlConnector"}']
    assert launch.command(flags, ADDRESS) == ["vllm", *flags, "--host", ADDRESS]


def test_weights_on_disk_take_the_place_of_the_hub() -> None:
    flags = ["serve", "org/model", "--port=8100"]
    given = launch.command(flags, ADDRESS, Path("/weights"))
    assert given == ["vllm", "serve", "/weights", "--port=8100", "--host", ADDRESS]


@pytest.mark.parametrize("arguments", [[], ["serve"], ["serve", "--port=1"], ["bench", "org/model"]])
def test_anything_but_serve_model_is_refused(arguments: list[str]) -> None:
    with pytest.raises(ArgumentError, match="serve MODEL"):
        launch.command(arguments, ADDRESS)


@pytest.mark.parametrize("host", [["--host", "0.0.0.0"], ["--host=0.0.0.0"]])  # noqa: S104 - what is refused
def test_another_address_is_refused(host: list[str]) -> None:
    with pytest.raises(ArgumentError, match="--host is given"):
        launch.command(["serve", "org/model", *host], ADDRESS)


def test_the_key_is_told_under_vllm_s_name_only() -> None:
    task = {settings.PREFILL_KEY: "secret", "FI_PROVIDER": "efa", fabric.SIDE_CHANNEL_HOST: "0.0.0.0"}  # noqa: S104
    assert launch.environment(task, ADDRESS) == {
        "FI_PROVIDER": "efa",
        "VLLM_API_KEY": "secret",
        "VLLM_NIXL_SIDE_CHANNEL_HOST": ADDRESS,
    }


def test_without_a_key_no_worker_starts() -> None:
    with pytest.raises(SettingError, match=settings.PREFILL_KEY):
        launch.environment({}, ADDRESS)
