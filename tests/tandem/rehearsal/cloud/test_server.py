"""The embedded AWS starts empty, on the loopback interface, and says why it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.rehearsal.cloud.server import EmbeddedCloud, EmbeddedCloudError


def test_account_environment_and_fresh_start(tmp_path: Path) -> None:
    with EmbeddedCloud("444455556666", "us-east-1", tmp_path) as cloud:
        identity = cloud.api.client("sts").get_caller_identity()
        assert identity["Account"] == "444455556666"
        assert cloud.environment()["AWS_ENDPOINT_URL"] == cloud.endpoint == f"http://localhost:{cloud.port}"
        cloud.api.client("s3").create_bucket(Bucket="left-over")
    with EmbeddedCloud("444455556666", "us-east-1", tmp_path) as cloud:
        assert cloud.api.client("s3").list_buckets()["Buckets"] == []


def test_port_in_use(tmp_path: Path) -> None:
    with EmbeddedCloud("444455556666", "us-east-1", tmp_path) as cloud:
        other = EmbeddedCloud("444455556666", "us-east-1", tmp_path, port=cloud.port)
        with pytest.raises(EmbeddedCloudError, match=f"port {cloud.port} of 127.0.0.1 cannot be used"):
            other.start()


def test_account_must_be_a_number(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedCloudError, match="12 digits"):
        EmbeddedCloud("mine", "us-east-1", tmp_path)
