"""Every host of a rehearsal gets a loopback address of its own, and every process finds it by name."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from tandem.rehearsal.machine.addresses import AddressError, Addresses, require_free


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    return tmp_path / "hosts.json"


def test_gives_each_host_its_own_loopback_address(hosts: Path) -> None:
    addresses = Addresses(hosts)
    taken = [addresses.take() for _ in range(254)]
    assert len(set(taken)) == 254
    assert all(address.startswith("127.") and not address.startswith("127.0.") for address in taken)
    with pytest.raises(AddressError, match="more than 254 hosts"):
        addresses.take()


def test_two_rehearsals_want_different_addresses(hosts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Addresses(hosts).take()
    next_pid = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: next_pid)
    assert Addresses(hosts).take() != first


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://cs3.example.com", "cs3.example.com:443"),
        ("https://CS3.example.com/v1", "cs3.example.com:443"),
        ("https://cs3.example.com:8000", "cs3.example.com:8000"),
        ("http://cs3.example.com", "cs3.example.com:80"),
    ],
)
def test_keeps_names_with_the_port_of_their_url(hosts: Path, url: str, name: str) -> None:
    addresses = Addresses(hosts)
    assert json.loads(hosts.read_text()) == {}
    addresses.name(url, "127.64.0.1", 8443)
    addresses.name("https://other.example.com", "127.64.0.2", 1)
    assert json.loads(hosts.read_text()) == {name: ["127.64.0.1", 8443], "other.example.com:443": ["127.64.0.2", 1]}
    assert os.listdir(hosts.parent) == [hosts.name]


def test_a_free_port_is_free_on_its_own_address_only(hosts: Path) -> None:
    addresses = Addresses(hosts)
    mine, other = addresses.take(), addresses.take()
    with socket.create_server((mine, 0)) as listening:
        port = listening.getsockname()[1]
        require_free(other, port, "worker")
        with pytest.raises(AddressError, match=f"port {port} for worker is in use on {mine}: free it"):
            require_free(mine, port, "worker")
    require_free(mine, port, "worker")


def test_says_why_an_address_cannot_be_used() -> None:
    with pytest.raises(AddressError, match=r"port 80 for worker is cannot assign requested address on 192\.0\.2\.1"):
        require_free("192.0.2.1", 80, "worker")
