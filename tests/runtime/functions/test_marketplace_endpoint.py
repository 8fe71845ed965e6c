"""The marketplace registrar: its decisions, and its life against SageMaker endpoints of moto's."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.functions import marketplace_endpoint
from runtime.functions.custom_resource import Done, Refused, Waiting
from runtime.functions.marketplace_endpoint import Deregister, Found, Register, Wanted, next_action
from tandem.rehearsal.cloud.server import EmbeddedCloud
from tests.runtime.functions.conftest import ACCOUNT, REGION, CloudFormation

_ROLE = f"arn:aws:iam::{ACCOUNT}:role/sagemaker"
_ONE, _TWO = (f"arn:aws:sagemaker:{REGION}:aws:hub-content/SageMakerPublicHub/Model/{n}/1.0.0" for n in ("one", "two"))


@pytest.mark.parametrize(
    ("source", "ours", "found", "action"),
    [
        ("a", False, Found(), Register("a")),
        ("a", True, Found("a", "REGISTERED"), Done({"EndpointArn": "e"})),
        ("a", True, Found("a", None), Waiting("registration of e is without a status")),
        ("a", True, Found("b", "REGISTERED"), Deregister()),
        (None, True, Found("a", "INCOMPATIBLE_ENDPOINT"), Deregister()),
        (None, True, Found(), Done()),
    ],
)
def test_every_state_has_its_next_action(source: str | None, ours: bool, found: Found, action: object) -> None:
    assert next_action(Wanted("e", source, ours), found) == action


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (Found("b", "REGISTERED"), "e is registered for b already"),
        (Found("a", "INCOMPATIBLE_ENDPOINT", "why"), "e is INCOMPATIBLE_ENDPOINT: why; it needs network isolation"),
    ],
)
def test_what_cannot_be_registered_is_refused(found: Found, told: str) -> None:
    with pytest.raises(Refused, match=told):
        next_action(Wanted("e", "a", ours=False), found)


@pytest.fixture
def stack(cloud: EmbeddedCloud) -> CloudFormation:
    return CloudFormation(cloud, marketplace_endpoint.handler)


def _endpoint(cloud: EmbeddedCloud, name: str, *, isolated: bool = True) -> str:
    sagemaker = cloud.api.client("sagemaker")
    image = {"Image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/x:1"}
    sagemaker.create_model(
        ModelName=name, ExecutionRoleArn=_ROLE, PrimaryContainer=image, EnableNetworkIsolation=isolated
    )
    variant = {"VariantName": "v", "ModelName": name, "InstanceType": "ml.c5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    arn: str = sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)["EndpointArn"]
    return arn


def _source(stack: CloudFormation, arn: str) -> str | None:
    bedrock = stack.cloud.api.client("bedrock")
    try:
        found: str = bedrock.get_marketplace_model_endpoint(endpointArn=arn)["marketplaceModelEndpoint"][
            "modelSourceIdentifier"
        ]
    except bedrock.exceptions.ResourceNotFoundException:
        return None
    return found


def _properties(arn: str, source: str = _ONE) -> dict[str, Any]:
    return {"EndpointArn": arn, "ModelSource": source}


def test_a_registration_comes_and_goes_and_the_endpoint_stays(stack: CloudFormation) -> None:
    arn = _endpoint(stack.cloud, "life")
    event = stack.event("Create", _properties(arn))
    made = stack.deliver(event)
    assert made is not None
    assert (made["Status"], made["PhysicalResourceId"], made["Data"]) == ("SUCCESS", arn, {"EndpointArn": arn})
    event["ResponseURL"] = stack.cloud.mailbox.open(stack.cloud.endpoint)
    assert stack.deliver(event) == made
    for _ in range(2):
        assert stack.send("Delete", _properties(arn), PhysicalResourceId=arn)["Status"] == "SUCCESS"
    assert _source(stack, arn) is None
    assert stack.cloud.api.client("sagemaker").describe_endpoint(EndpointName="life")["EndpointArn"] == arn


def test_an_endpoint_without_isolation_is_refused_and_rolled_back(stack: CloudFormation) -> None:
    arn = _endpoint(stack.cloud, "open", isolated=False)
    failed = stack.send("Create", _properties(arn))
    assert failed["Status"] == "FAILED"
    assert "INCOMPATIBLE_ENDPOINT: network isolation is not enabled" in failed["Reason"]
    gone = stack.send("Delete", _properties(arn), PhysicalResourceId=failed["PhysicalResourceId"])
    assert gone["Status"] == "SUCCESS"
    assert _source(stack, arn) is None


def test_an_endpoint_that_is_not_there_is_refused(stack: CloudFormation) -> None:
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/absent"
    failed = stack.send("Create", _properties(arn))
    assert f"there is no endpoint {arn}" in failed["Reason"]
    assert stack.send("Delete", _properties(arn), PhysicalResourceId=arn)["Status"] == "SUCCESS"


def test_somebody_elses_registration_survives_a_failed_create(stack: CloudFormation) -> None:
    arn = _endpoint(stack.cloud, "theirs")
    bedrock = stack.cloud.api.client("bedrock")
    bedrock.register_marketplace_model_endpoint(endpointIdentifier=arn, modelSourceIdentifier=_TWO)
    failed = stack.send("Create", _properties(arn))
    assert "already" in failed["Reason"]
    assert failed["PhysicalResourceId"] == marketplace_endpoint.NOT_OURS
    stack.send("Delete", _properties(arn), PhysicalResourceId=failed["PhysicalResourceId"])
    assert _source(stack, arn) == _TWO


def test_another_model_registers_the_endpoint_anew(stack: CloudFormation) -> None:
    arn = _endpoint(stack.cloud, "changed")
    stack.send("Create", _properties(arn))
    changed = stack.send("Update", _properties(arn, _TWO), PhysicalResourceId=arn)
    assert (changed["Status"], changed["PhysicalResourceId"]) == ("SUCCESS", arn)
    assert _source(stack, arn) == _TWO


def test_another_endpoint_replaces_the_first(stack: CloudFormation) -> None:
    old, new = (_endpoint(stack.cloud, name) for name in ("first", "second"))
    stack.send("Create", _properties(old))
    changed = stack.send("Update", _properties(new), PhysicalResourceId=old)
    assert changed["PhysicalResourceId"] == new
    assert (_source(stack, old), _source(stack, new)) == (_ONE, _ONE)
    stack.send("Delete", _properties(old), PhysicalResourceId=old)
    assert (_source(stack, old), _source(stack, new)) == (None, _ONE)


def test_a_failed_change_of_endpoint_leaves_the_first_its_id(stack: CloudFormation) -> None:
    old, new = _endpoint(stack.cloud, "good"), _endpoint(stack.cloud, "bad", isolated=False)
    stack.send("Create", _properties(old))
    failed = stack.send("Update", _properties(new), PhysicalResourceId=old)
    assert (failed["Status"], failed["PhysicalResourceId"]) == ("FAILED", old)
    back = stack.send("Update", _properties(old), PhysicalResourceId=old)
    assert (back["Status"], _source(stack, old)) == ("SUCCESS", _ONE)
