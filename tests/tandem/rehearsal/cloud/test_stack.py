"""Stacks roll back with their cause, follow what they refer to, and keep what they must."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.tandem.rehearsal.cloud.conftest import Deployer

PARAMETER = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "1"}}


def parameter(value: Any, **more: Any) -> dict[str, Any]:
    return {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value}, **more}


def test_unknown_type_names_resource_and_type(deployer: Deployer) -> None:
    with pytest.raises(ClientError, match=r"no such resource types: Gizmo \(AWS::Mars::Gizmo\)"):
        deployer.create("unknown", {"Gizmo": {"Type": "AWS::Mars::Gizmo"}})


def test_failed_creation_rolls_back_with_its_cause(deployer: Deployer) -> None:
    before = deployer.client("ssm").describe_parameters()["Parameters"]
    wrong = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "1", "Colour": "red"}}
    stack = deployer.create("broken", {"Good": PARAMETER, "Wrong": {**wrong, "DependsOn": "Good"}})
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "unknown property Colour" in stack["StackStatusReason"]
    events = deployer.cloudformation.describe_stack_events(StackName="broken")["StackEvents"]
    failed = [event for event in events if event["ResourceStatus"] == "CREATE_FAILED"]
    assert failed[0]["LogicalResourceId"] == "Wrong"
    assert deployer.ids("broken") == {}
    assert deployer.client("ssm").describe_parameters()["Parameters"] == before


def test_dependents_follow_a_change(deployer: Deployer) -> None:
    def resources(value: str) -> dict[str, Any]:
        return {"First": parameter(value), "Second": parameter({"Fn::GetAtt": ["First", "Value"]})}

    ids = deployer.round_trip("chain", resources("old"))
    assert deployer.update("chain", resources("new"))["StackStatus"] == "UPDATE_COMPLETE"
    assert deployer.client("ssm").get_parameter(Name=ids["Second"])["Parameter"]["Value"] == "new"
    assert deployer.delete("chain") == "DELETE_COMPLETE"


def test_failed_update_changes_back(deployer: Deployer) -> None:
    ids = deployer.round_trip("back", {"One": parameter("old")})
    wrong = {"Two": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String"}, "DependsOn": "One"}}
    stack = deployer.update("back", {"One": parameter("new"), **wrong})
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "required properties are missing: Value" in stack["StackStatusReason"]
    assert deployer.client("ssm").get_parameter(Name=ids["One"])["Parameter"]["Value"] == "old"
    assert deployer.ids("back") == ids
    deployer.delete("back")


def test_removed_resources_go_unless_retained(deployer: Deployer) -> None:
    kept = parameter("k", DeletionPolicy="Retain")
    ids = deployer.round_trip("removed", {"Stays": PARAMETER, "Goes": PARAMETER, "Kept": kept})
    deployer.update("removed", {"Stays": PARAMETER})
    names = {one["Name"] for one in deployer.client("ssm").describe_parameters()["Parameters"]}
    assert {ids["Stays"], ids["Kept"]} <= names
    assert ids["Goes"] not in names
    deployer.delete("removed")


@pytest.mark.parametrize(("policy", "left"), [("Retain", True), ("RetainExceptOnCreate", False)])
def test_retention_when_creation_fails(deployer: Deployer, policy: str, left: bool) -> None:
    wrong = {"Type": "AWS::SSM::Parameter", "Properties": {}, "DependsOn": "Kept"}
    kept = {"Type": "AWS::SSM::Parameter", "Properties": {"Name": policy, "Type": "String", "Value": "1"}}
    deployer.create(f"created-{policy}", {"Kept": {**kept, "DeletionPolicy": policy}, "Wrong": wrong})
    names = {one["Name"] for one in deployer.client("ssm").describe_parameters()["Parameters"]}
    assert (policy in names) is left


def test_exports_in_use_hold_their_stack(deployer: Deployer) -> None:
    output = {"Out": {"Value": {"Ref": "One"}, "Export": {"Name": "shared"}}}
    deployer.round_trip("exporter", {"One": PARAMETER}, Outputs=output)
    deployer.round_trip("importer", {"Two": parameter({"Fn::ImportValue": "shared"})})
    with pytest.raises(ClientError, match="in use by importer"):
        deployer.cloudformation.delete_stack(StackName="exporter")
    assert deployer.delete("importer") == deployer.delete("exporter") == "DELETE_COMPLETE"


def test_protected_stacks_stay(deployer: Deployer) -> None:
    body = json.dumps({"Resources": {"One": PARAMETER}})
    deployer.cloudformation.create_stack(StackName="safe", TemplateBody=body, EnableTerminationProtection=True)
    with pytest.raises(ClientError, match="TerminationProtection is enabled"):
        deployer.cloudformation.delete_stack(StackName="safe")
    deployer.cloudformation.update_termination_protection(StackName="safe", EnableTerminationProtection=False)
    assert deployer.delete("safe") == "DELETE_COMPLETE"


def test_previous_value_of_a_defaulted_parameter(deployer: Deployer) -> None:
    parameters = {"Image": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/tandem/image"}}
    deployer.client("ssm").put_parameter(Name="/tandem/image", Type="String", Value="ami-1")
    ids = deployer.round_trip("defaults", {"One": parameter({"Ref": "Image"})}, Parameters=parameters)
    assert deployer.client("ssm").get_parameter(Name=ids["One"])["Parameter"]["Value"] == "ami-1"
    body = json.dumps({"Resources": {"One": parameter({"Ref": "Image"}), "Two": PARAMETER}, "Parameters": parameters})
    previous = [{"ParameterKey": "Image", "UsePreviousValue": True}]
    deployer.cloudformation.update_stack(StackName="defaults", TemplateBody=body, Parameters=previous)
    assert deployer.stack("defaults")["StackStatus"] == "UPDATE_COMPLETE"
    deployer.delete("defaults")


def test_circle_is_refused(deployer: Deployer) -> None:
    stack = deployer.create("circle", {"A": parameter({"Ref": "B"}), "B": parameter({"Ref": "A"})})
    assert "circular dependency" in stack["StackStatusReason"]
    deployer.delete("circle")
