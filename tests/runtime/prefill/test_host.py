"""A host is refused for what it lacks; ``fi_info`` is a real program each time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from runtime.handoff import fabric, settings
from runtime.handoff.settings import SettingError
from runtime.prefill import host
from runtime.prefill.host import HostError, ImageError

ROOT = Path(__file__).parents[3]
STAND_IN = f'cd "{ROOT}" && exec {sys.executable} -m runtime.standins.fi_info "$@"'
DOMAINS = "echo '    domain: rdmap0s0-rdm'; echo '    domain: rdmap0s0-dgrm'; echo '    domain: rdmap1s0-rdm'"


def program(folder: Path, script: str) -> None:
    path = folder / "fi_info"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Give a whole host: two Neuron devices, two EFA interfaces, a libfabric that sees them."""
    for device in ("neuron0", "neuron1", "infiniband/uverbs0", "infiniband/uverbs1"):
        path = tmp_path / "dev" / device
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    program(tmp_path, STAND_IN)
    return {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        settings.HOST_ROOT: str(tmp_path),
        settings.NEURON_DEVICES: "2",
        settings.EFA_INTERFACES: "2",
        fabric.PROVIDER_VARIABLE: "efa",
    }


def test_a_whole_host_is_taken(environment: dict[str, str]) -> None:
    host.check(environment)


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("neuron1", r"1 of 2 devices /dev/neuron\* are not in the container, the first is /dev/neuron1"),
        ("infiniband/uverbs0", r"1 of 2 devices /dev/infiniband/uverbs\* .* the first is /dev/infiniband/uverbs0"),
    ],
)
def test_a_missing_device_is_named(environment: dict[str, str], tmp_path: Path, device: str, said: str) -> None:
    (tmp_path / "dev" / device).unlink()
    with pytest.raises(HostError, match=said):
        host.check(environment)


@pytest.mark.parametrize("name", [settings.NEURON_DEVICES, settings.EFA_INTERFACES])
def test_a_host_of_which_nothing_was_promised_is_refused(environment: dict[str, str], name: str) -> None:
    del environment[name]
    with pytest.raises(SettingError, match=name):
        host.check(environment)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'fi_getinfo: -61 (No data available)' >&2; exit 61", r"libfabric has none: .*fi_getinfo: -61"),
        ("exit 1", "libfabric has none"),
        (DOMAINS.replace("1s0", "0s0"), r"sees 1 of 2 interfaces \(rdmap0s0\)"),
        ("echo 'provider: tcp'", r"sees 0 of 2 interfaces \(none\)"),
    ],
)
def test_a_host_without_all_of_efa_is_refused(
    environment: dict[str, str], tmp_path: Path, script: str, said: str
) -> None:
    program(tmp_path, script)
    with pytest.raises(HostError, match=said):
        host.check(environment)


def test_an_interface_counts_once_however_many_endpoints_it_has(environment: dict[str, str], tmp_path: Path) -> None:
    program(tmp_path, DOMAINS)
    host.check(environment)


def test_an_image_without_the_program_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "fi_info").unlink()
    with pytest.raises(ImageError, match="there is no fi_info on PATH or in /opt/amazon/efa/bin"):
        host.check(environment)


def test_a_program_that_cannot_run_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "fi_info").write_bytes(b"\x7fELF")
    with pytest.raises(HostError, match="fi_info -p efa cannot be run"):
        host.check(environment)


def test_another_provider_is_not_asked_for(environment: dict[str, str], tmp_path: Path) -> None:
    program(tmp_path, "exit 1")
    host.check({**environment, fabric.PROVIDER_VARIABLE: "tcp"})
