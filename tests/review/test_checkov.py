"""Checkov over every template of every example and registrar: the tier of ``make review``.

Checkov pins other versions of our own dependencies, so it lives in an environment of its own.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.review

_ROOT = Path(__file__).parents[2]
_CHECKOV = _ROOT / ".review" / "bin" / "checkov"
_ACCEPTED = yaml.safe_load(Path(__file__).with_name("checkov.yaml").read_text())


@dataclass(frozen=True, slots=True)
class _Finding:
    check: str
    resource: str
    template: str

    def accepted_by(self, entry: Mapping[str, Any]) -> bool:
        return self.check == entry["check"] and any(fnmatchcase(self.resource, each) for each in entry["resources"])


def _run(folder: Path) -> Iterator[_Finding]:
    options = ["--framework", "cloudformation", "--compact", "--quiet", "--skip-download", "--output", "json"]
    command = [str(_CHECKOV), "--directory", str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, f"checkov said nothing; run `make review`, which installs it: {done.stderr[-2000:]}"
    result = json.loads(done.stdout)
    assert result["summary"]["parsing_errors"] == 0
    for each in result["results"]["failed_checks"]:
        yield _Finding(each["check_id"], each["resource"], each["file_path"])


@pytest.fixture(scope="module")
def findings(assemblies: dict[str, Path]) -> list[_Finding]:
    [folder] = {path.parent for path in assemblies.values()}
    found = list(_run(folder))
    assert len({each.template for each in found}) > 1
    return found


def test_no_finding_is_left(findings: list[_Finding]) -> None:
    left = [each for each in findings if not any(each.accepted_by(entry) for entry in _ACCEPTED)]
    assert sorted({(each.check, each.resource) for each in left}) == []


@pytest.mark.parametrize("entry", _ACCEPTED, ids=lambda entry: f"{entry['check']}-{entry['resources'][0]}")
def test_every_acknowledgement_has_a_reason_and_a_finding(findings: list[_Finding], entry: dict[str, Any]) -> None:
    assert entry.keys() == {"check", "resources", "reason"}
    assert entry["reason"]
    same = [each.resource for each in findings if each.check == entry["check"]]
    idle = [pattern for pattern in entry["resources"] if not any(fnmatchcase(each, pattern) for each in same)]
    assert idle == []


def test_checkov_finds_what_is_wrong(tmp_path: Path) -> None:
    careless = {"Type": "AWS::S3::Bucket", "Properties": {"AccessControl": "PublicRead"}}
    (tmp_path / "careless.template.json").write_text(json.dumps({"Resources": {"Careless": careless}}))
    assert "CKV_AWS_20" in {each.check for each in _run(tmp_path)}
