"""The schemas are AWS's, and a second source, CDK's own database, agrees with them on the types that we deploy."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tandem.changes import schemas
from tandem.changes.schemas import SchemaError, schema, stateful_types
from tests.templates import templates

ROOT = Path(__file__).parents[3]
DATABASE = ROOT / "node_modules" / "aws-cdk" / "db.json.gz"

DIFFERENCES = {
    "AWS::EC2::EIP": {"Domain"},
    "AWS::ECS::Service": {"DeploymentController"},
    "AWS::S3::Bucket": {"ObjectLockEnabled"},
}
"""Properties that CDK's database calls fixed and AWS's schemas do not; our stacks set ``Domain`` alone, to ``vpc``."""


def _deployed_types() -> set[str]:
    stacks = [*templates("cs3").values(), *templates("vllm").values()]
    return {body["Type"] for template in stacks for body in template["Resources"].values()}


def _fixed_by_cdk() -> dict[str, set[str]]:
    database = json.loads(gzip.decompress(DATABASE.read_bytes()))
    return {
        each["cloudFormationType"]: {
            name for name, entry in each["properties"].items() if entry.get("causesReplacement") == "yes"
        }
        for each in database["schema"]["resource"]["entities"]
    }


def test_both_sources_agree_on_what_we_deploy() -> None:
    cdk = _fixed_by_cdk()
    found = {}
    for kind in _deployed_types() & cdk.keys():
        known = schema(kind, "us-east-2")
        assert known is not None, kind
        ours = {path[0] for path in (*known.create_only, *known.conditional)}
        if missed := cdk[kind] - ours:
            found[kind] = missed
    assert found == DIFFERENCES


def test_our_stacks_leave_alone_what_the_sources_differ_on() -> None:
    for template in (*templates("cs3").values(), *templates("vllm").values()):
        for body in template["Resources"].values():
            properties = body.get("Properties", {})
            set_here = {name: properties[name] for name in DIFFERENCES.get(body["Type"], ()) if name in properties}
            assert set_here in ({}, {"Domain": "vpc"})


def test_what_holds_data_is_known() -> None:
    assert stateful_types() >= {
        "AWS::KMS::Key",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
        "AWS::SecretsManager::Secret",
    }


def test_a_type_of_our_own_has_no_schema() -> None:
    assert schema("Custom::Ours", "us-east-2") is None


def test_a_region_that_is_not_known_uses_the_one_that_has_every_type() -> None:
    assert schema("AWS::EC2::VPC", "xx-nowhere-1") == schema("AWS::EC2::VPC", "us-east-1")


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"SecurityGroupIds": ["b", "a"]}, {"SecurityGroupIds": ["a", "b"]}),
        ({"ServiceName": "b"}, {"ServiceName": "b"}),
        ({"NotInTheSchema": ["b", "a"]}, {"NotInTheSchema": ["b", "a"]}),
    ],
)
def test_lists_without_an_order_are_sorted(properties: dict[str, Any], expected: dict[str, Any]) -> None:
    known = schema("AWS::EC2::VPCEndpoint", "us-east-2")
    assert known is not None
    assert known.normalize(properties) == expected


def test_a_list_with_an_order_keeps_it() -> None:
    known = schema("AWS::ECS::TaskDefinition", "us-east-2")
    assert known is not None
    command = {"ContainerDefinitions": [{"Command": ["serve", "--port=1"], "Name": "a", "Image": "b"}]}
    assert known.normalize(command) == command


def test_looking_up_a_type_reads_two_files_and_loads_no_cfn_lint() -> None:
    code = "; ".join(
        [
            "import sys",
            "from tandem.changes.schemas import schema",
            "opened = []",
            "sys.addaudithook(lambda event, about: opened.append(about[0]) if event == 'open' else None)",
            "schema('AWS::ECS::Service', 'us-east-2')",
            "print(len(opened), 'cfnlint' in sys.modules)",
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"], "a region's index and the type's own file"


def test_missing_schemas_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    schemas._data.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SchemaError, match="got no cfn-lint"):
        schemas._data()
    schemas._data.cache_clear()
