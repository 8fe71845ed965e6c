"""Templates come from a fresh synth by the real CDK CLI, or from a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tandem.assembly import AssemblyError, read_templates, templates_of
from tandem.rehearsal.deploy.cdk import CdkError

ROOT = Path(__file__).parents[2]


def test_a_fresh_synth_has_every_stack_and_the_place_of_each_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{ROOT / 'node_modules' / '.bin'}{os.pathsep}{os.environ['PATH']}")
    found = templates_of(ROOT / "deployments" / "gpt-oss-120b-cerebras-cloud.yaml", ROOT)
    assert {name.removeprefix("gpt-oss-120b-cerebras-") for name in found} == {
        "network",
        "storage",
        "decode",
        "gateway",
        "observability",
    }
    key = found["gpt-oss-120b-cerebras-gateway"]["Resources"]["GatewayTenantsE147A12F"]
    assert key["Metadata"]["aws:cdk:path"] == "gpt-oss-120b-cerebras-gateway/Gateway/Tenants/Resource"


def test_a_synth_that_cannot_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CdkError, match="cdk is not on PATH"):
        templates_of(ROOT / "deployments" / "rehearsal.yaml", ROOT)


@pytest.mark.parametrize("content", ["[]", "{", '"text"'])
def test_what_is_no_template_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "small-network.template.json").write_text(content)
    with pytest.raises(AssemblyError, match="got an unreadable template"):
        read_templates(tmp_path)


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(AssemblyError, match=r"got no \*\.template\.json"):
        read_templates(tmp_path)
