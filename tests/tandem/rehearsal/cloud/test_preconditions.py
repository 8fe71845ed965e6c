"""What an account holds before a deployment."""

from __future__ import annotations

import pytest

from runtime.gateway.request.tokenizer import Tokenizer
from tandem.rehearsal.cloud import preconditions
from tests.documents import deployment
from tests.tandem.rehearsal.cloud.conftest import ACCOUNT, REGION, Deployer


def test_certificate_is_issued_under_its_arn(deployer: Deployer) -> None:
    arn = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/1"
    preconditions.certificate(arn, "llm.example.com")
    preconditions.certificate(arn, "llm.example.com")
    found = deployer.client("acm").describe_certificate(CertificateArn=arn)["Certificate"]
    assert (found["Status"], found["DomainName"]) == ("ISSUED", "llm.example.com")
    with pytest.raises(ValueError, match="must be of acm"):
        preconditions.certificate("arn:aws:iam::1:server-certificate/x", "x")


def test_weights_are_below_their_prefix_with_a_tokenizer_beside_them(deployer: Deployer) -> None:
    preconditions.model(deployer.cloud.api, deployment(model__weights="s3://weights.example/llama/70b").model)
    listed = deployer.client("s3").list_objects_v2(Bucket="weights.example", Prefix="llama/70b/")["Contents"]
    assert [entry["Key"] for entry in listed] == ["llama/70b/config.json", "llama/70b/tokenizer.json"]


def test_a_tokenizer_is_where_the_file_names_it(deployer: Deployer) -> None:
    preconditions.model(deployer.cloud.api, deployment(model__tokenizer="s3://elsewhere.example/t.json").model)
    stored = deployer.client("s3").get_object(Bucket="elsewhere.example", Key="t.json")
    assert Tokenizer.read(stored["Body"].read()).byte_level


def test_neuron_ami_is_known(deployer: Deployer) -> None:
    name = "/aws/service/ecs/optimized-ami/amazon-linux-2023/neuron/recommended/image_id"
    assert deployer.client("ssm").get_parameter(Name=name)["Parameter"]["Value"].startswith("ami-")
