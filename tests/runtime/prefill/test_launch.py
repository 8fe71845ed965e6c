"""vLLM's command line and environment, derived from the task's."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.handoff import fabric
from runtime.prefill import launch
from runtime.prefill.launch import ArgumentError

ROOT = str(Path(__file__).parents[3])
ADDRESS = "10.0.1.7"
PEM = "/proc/1/fd/3"
OWN = ["--host", ADDRESS, "--ssl-certfile", PEM, "--ssl-keyfile", PEM]


def test_the_flags_are_kept_and_the_workers_own_are_added() -> None:
    flags = ["serve", "org/model", "--port=8100", '--kv-transfer-config={"kv_connector":"NixlConnector"}']
    assert launch.command(flags, ADDRESS, PEM) == ["vllm", *flags, *OWN]


def test_weights_on_disk_take_the_place_of_the_hub() -> None:
    flags = ["serve", "org/model", "--port=8100"]
    given = launch.command(flags, ADDRESS, PEM, Path("/weights"))
    assert given == ["vllm", "serve", "/weights", "--port=8100", *OWN]


@pytest.mark.parametrize("arguments", [[], ["serve"], ["serve", "--port=1"], ["bench", "org/model"]])
def test_anything_but_serve_model_is_refused(arguments: list[str]) -> None:
    with pytest.raises(ArgumentError, match="serve MODEL"):
        launch.command(arguments, ADDRESS, PEM)


@pytest.mark.parametrize("flag", ["--host", "--ssl-certfile", "--ssl-keyfile"])
def test_another_address_or_certificate_is_refused(flag: str) -> None:
    for given in ([flag, "other"], [f"{flag}=other"]):
        with pytest.raises(ArgumentError, match=f"{flag} is given"):
            launch.command(["serve", "org/model", *given], ADDRESS, PEM)


def test_the_key_and_the_address_are_told_by_vllm_s_names() -> None:
    task = {"FI_PROVIDER": "efa", fabric.SIDE_CHANNEL_HOST: "0.0.0.0"}  # noqa: S104 - what is replaced
    assert launch.environment(task, ADDRESS, "secret") == {
        "FI_PROVIDER": "efa",
        "VLLM_API_KEY": "secret",
        "VLLM_NIXL_SIDE_CHANNEL_HOST": ADDRESS,
        "PYTHONPATH": ROOT,
    }


def test_vllm_finds_our_connector_and_what_it_found_before() -> None:
    task = {"PYTHONPATH": "/opt/a:/opt/b"}
    assert launch.environment(task, ADDRESS, "secret")["PYTHONPATH"] == f"{ROOT}:/opt/a:/opt/b"
