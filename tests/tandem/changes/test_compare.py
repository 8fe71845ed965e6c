"""One changed field of a real deployment, and what its templates say that does."""

from __future__ import annotations

from tandem.changes.compare import compare
from tandem.changes.consequence import Consequence
from tests.tandem.changes.deployments import REGION, after, consequences, kinds, stacks

QUIET = {Consequence.NOTHING, Consequence.IN_PLACE}


def test_nothing_comes_of_nothing() -> None:
    comparison = after()
    assert consequences(comparison) == {Consequence.NOTHING}
    assert (comparison.refusals, comparison.orphans) == ((), ())


def test_an_option_of_the_server_rolls_its_workers_alone() -> None:
    comparison = after(prefill__max_num_seqs=4)
    assert consequences(comparison) == {Consequence.ROLLING, Consequence.NOTHING}
    assert kinds(comparison, Consequence.ROLLING) == {("prefill", "ECS::Service"), ("prefill", "ECS::TaskDefinition")}


def test_more_hosts_replace_none() -> None:
    comparison = after(prefill__groups__0__count=3)
    assert ("prefill", "AutoScaling::AutoScalingGroup") in kinds(comparison, Consequence.IN_PLACE)
    assert consequences(comparison) <= {*QUIET, Consequence.CREATION}


def test_another_instance_type_is_for_new_hosts_only() -> None:
    comparison = after(prefill__groups__0__instance_type="trn1.32xlarge", prefill__groups__0__tensor_parallel=32)
    assert kinds(comparison, Consequence.ROLLING) >= {
        ("prefill", "EC2::LaunchTemplate"),
        ("prefill", "AutoScaling::AutoScalingGroup"),
    }
    [group] = [each for each in comparison.changes if each.kind == "AWS::AutoScaling::AutoScalingGroup"]
    assert group.verdict.reason.endswith("hosts started from now on; those that run stay as they are")


def test_another_address_range_replaces_the_network_and_all_that_stands_in_it() -> None:
    comparison = after(network__cidr="10.99.0.0/16")
    assert kinds(comparison, Consequence.REPLACEMENT) >= {
        ("network", "EC2::VPC"),
        ("network", "EC2::Subnet"),
        ("network", "EC2::NatGateway"),
        ("network", "EC2::VPCEndpoint"),
        ("network", "ServiceDiscovery::PrivateDnsNamespace"),
        ("prefill", "EC2::SecurityGroup"),
        ("gateway", "ElasticLoadBalancingV2::TargetGroup"),
    }
    assert ("gateway", "ECS::Service") in kinds(comparison, Consequence.ROLLING)


def test_what_other_stacks_import_cannot_be_replaced_under_them() -> None:
    refusals = after(network__cidr="10.99.0.0/16").refusals
    [vpc] = [each for each in refusals if "RefNetworkVpc7" in each]
    assert vpc.startswith("small-network: the export small-network:")
    assert vpc.endswith("imported by small-decode, small-gateway, small-prefill")


def test_without_prefill_its_stack_is_an_orphan_and_its_secret_at_risk() -> None:
    comparison = after("openai")
    assert comparison.orphans == ("small-prefill",)
    assert ("prefill", "SecretsManager::Secret") in kinds(comparison, Consequence.DATA_AT_RISK)
    assert ("prefill", "AutoScaling::AutoScalingGroup") in kinds(comparison, Consequence.REMOVAL)
    assert any("imported by small-prefill" in each for each in comparison.refusals)


def test_prefill_that_comes_is_created() -> None:
    comparison = compare(stacks("openai"), stacks(), REGION)
    assert ("prefill", "AutoScaling::AutoScalingGroup") in kinds(comparison, Consequence.CREATION)
    assert comparison.count(Consequence.DATA_AT_RISK) == 0


def test_another_name_is_another_deployment_beside_the_first() -> None:
    comparison = after(name="other")
    assert len(comparison.orphans) == len(stacks())
    assert kinds(comparison, Consequence.LEFT_BEHIND) >= {("storage", "S3::Bucket"), ("storage", "KMS::Key")}
    assert kinds(comparison, Consequence.DATA_AT_RISK) >= {("gateway", "SecretsManager::Secret")}
    assert ("network", "EC2::VPC") in kinds(comparison, Consequence.REMOVAL) & kinds(comparison, Consequence.CREATION)
    assert not consequences(comparison) & {Consequence.NOTHING, Consequence.IN_PLACE, Consequence.ROLLING}


def test_how_long_logs_are_kept_is_changed_in_place() -> None:
    assert consequences(after(observability__log_retention_days=7)) == QUIET


def test_a_first_deployment_is_all_creation() -> None:
    comparison = compare({}, stacks(), REGION)
    assert consequences(comparison) == {Consequence.CREATION}


def test_a_parameter_with_another_default_changes_who_uses_it() -> None:
    def template(default: str) -> dict[str, object]:
        image = {"LaunchTemplateData": {"ImageId": {"Ref": "Image"}}}
        return {
            "Parameters": {"Image": {"Type": "String", "Default": default}},
            "Resources": {"Hosts": {"Type": "AWS::EC2::LaunchTemplate", "Properties": image}},
        }

    [change] = compare({"s": template("ami-1")}, {"s": template("ami-2")}, REGION).changes
    assert change.verdict.consequence is Consequence.ROLLING


def test_a_way_of_replacements_is_followed_to_its_end() -> None:
    def chain(cidr: str) -> dict[str, object]:
        route = {"RouteTableId": {"Ref": "Table"}}
        bodies = {
            "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": cidr}},
            "Table": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Ref": "Vpc"}}},
            "Route": {"Type": "AWS::EC2::Route", "Properties": route},
        }
        return {"Resources": dict(reversed(bodies.items()))}

    comparison = compare({"s": chain("10.0.0.0/16")}, {"s": chain("10.1.0.0/16")}, REGION)
    assert comparison.count(Consequence.REPLACEMENT) == 3
