"""Each test has moto's account for itself; one authority signs for localhost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws

from tandem.rehearsal.machine.certificates import Certificate, issue


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    with mock_aws():
        yield


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return issue(tmp_path_factory.mktemp("certificates"), "localhost")


@pytest.fixture
def trusted(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    """Return the certificate after its authority was made known to this process."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.authority))
    return certificate
