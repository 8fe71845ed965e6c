"""The program: command line, TLS, signals."""

from __future__ import annotations

import datetime
import ipaddress
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from runtime.handoff import contract
from tests.patience import HUNG_SECONDS
from tests.runtime.standins.cs3.flow import (
    DECODE_KEY,
    EMULATOR_HOST,
    SECRETS,
    Gateway,
    chat_body,
    emulator,
    signed,
)

COMMAND = [f"--host={EMULATOR_HOST}", "--port=1", "--served-model-name=m"]


def run(*flags: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program where it must not start."""
    command = [sys.executable, "-m", "runtime.standins.cs3", *flags]
    return subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, timeout=HUNG_SECONDS, check=False
    )


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "--host"),
        ([*COMMAND, "--tls-key=key.pem"], "give both or neither"),
        ([*COMMAND, "--memory-gib=0"], "0 is not a number above 0"),
        ([*COMMAND, "--model=x"], "unrecognized arguments: --model=x"),
        ([*COMMAND, "--serve=x"], "unrecognized arguments: --serve=x"),
    ],
)
def test_a_command_line_it_does_not_understand(flags: list[str], told: str) -> None:
    ended = run(*flags)
    assert ended.returncode == 2
    assert told in ended.stderr


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_that_is_missing(name: str) -> None:
    ended = run(*COMMAND, **SECRETS | {name: ""})
    assert ended.returncode == 1
    assert f"environment variable {name} is not set" in ended.stderr


@pytest.mark.parametrize(
    ("transport", "told"),
    [
        ("LIBFABRIC", "LIBFABRIC"),  # this machine has no EFA: it must not come up on TCP instead
        ("EFA", "TANDEM_TRANSPORT is 'EFA', allowed: UCX, LIBFABRIC, TCP"),
    ],
)
def test_a_transport_that_is_not_there(transport: str, told: str) -> None:
    ended = run(*COMMAND, **SECRETS, TANDEM_TRANSPORT=transport)
    assert ended.returncode == 1
    assert "cs3 emulator cannot run" in ended.stderr
    assert told in ended.stderr


def test_a_port_in_use() -> None:
    with socket.create_server((EMULATOR_HOST, 0)) as taken:
        ended = run(f"--host={EMULATOR_HOST}", f"--port={taken.getsockname()[1]}", "--served-model-name=m", **SECRETS)
    assert ended.returncode == 1
    assert "address already in use" in ended.stderr


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    ended = run(*COMMAND, *[f"--tls-{kind}={tmp_path / 'empty.pem'}" for kind in ("certificate", "key")], **SECRETS)
    assert ended.returncode == 1
    assert "empty.pem" in ended.stderr


async def test_a_signal_ends_an_answer_and_the_program_with_status_0(
    gateway: Gateway, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    with emulator(tmp_path / "emulator.log") as (process, url):
        mortal = Gateway(http, url, gateway.worker)
        params = signed(await mortal.prefill(), await mortal.reserve(max_tokens=5000))
        body = chat_body(params, max_tokens=5000, temperature=2, seed=1, stream=True)
        headers = {"Authorization": f"Bearer {DECODE_KEY}"}
        async with http.post(url + contract.CHAT_COMPLETIONS, json=body, headers=headers) as response:
            await response.content.readline()
            process.send_signal(signal.SIGTERM)
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        assert process.wait(timeout=HUNG_SECONDS) == 0
    assert "Traceback" not in (tmp_path / "emulator.log").read_text()


def test_https_with_a_certificate_of_our_own_authority(tmp_path: Path) -> None:
    certificate, key = _self_signed(tmp_path)
    trusting = ssl.create_default_context(cafile=str(certificate))
    flags = (f"--tls-certificate={certificate}", f"--tls-key={key}")
    with emulator(tmp_path / "emulator.log", *flags, tls=trusting) as (process, url):
        assert url.startswith("https://")
        with urllib.request.urlopen(url + contract.HEALTH, context=trusting) as answer:  # noqa: S310 - our own URL
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=HUNG_SECONDS) == 0


def _self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rehearsal")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(EMULATOR_HOST))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    signed_certificate = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(signed_certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, private
