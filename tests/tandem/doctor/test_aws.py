"""The way to AWS hands out one client for each service and region."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from moto import mock_aws

from tandem.doctor.aws import connect


def test_a_client_is_made_once_also_by_many_threads() -> None:
    with mock_aws():
        aws = connect("us-east-2")
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda _: aws.client("ssm"), range(16)))
    assert len({id(client) for client in made}) == 1


def test_the_region_is_the_deployments_unless_named() -> None:
    with mock_aws():
        aws = connect("us-east-2")
        regions = [aws.client("ecr").meta.region_name, aws.client("ecr", "eu-west-1").meta.region_name]
    assert regions == ["us-east-2", "eu-west-1"]


def test_every_call_gives_up_soon() -> None:
    with mock_aws():
        aws = connect("us-east-2")
        configs = {name: aws.client(name).meta.config for name in ("sts", "ec2")}
    assert [(one.connect_timeout, one.read_timeout) for one in configs.values()] == [(1, 3), (2, 5)]
    assert [one.retries["total_max_attempts"] for one in configs.values()] == [1, 2]
