"""A changed file is another valid deployment of the same name; a failing one, as far as a rule can know."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.rehearsal.changes.variants import NO_SUCH_CERTIFICATE, VariantError, changed, failing, paired
from tandem.spec.deployment import Deployment
from tandem.spec.findings import has_errors
from tandem.spec.read import read

FOLDER = Path(__file__).parents[4] / "deployments"


def good(file: Path) -> Deployment:
    deployment, findings = read(file)
    assert not has_errors(findings), findings
    assert deployment
    return deployment


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_has_a_valid_change(file: Path, tmp_path: Path) -> None:
    old = good(file)
    new = good(changed(file, old, tmp_path / "changed.yaml"))
    assert new.name == old.name
    assert new.gateway.cpu != old.gateway.cpu
    if old.prefill:
        assert new.prefill
        assert new.prefill.warm_start_seconds == old.prefill.warm_start_seconds - 1


def test_a_change_of_a_change_is_one(tmp_path: Path) -> None:
    once = changed(FOLDER / "rehearsal.yaml", good(FOLDER / "rehearsal.yaml"), tmp_path / "once.yaml")
    twice = changed(once, good(once), tmp_path / "twice.yaml")
    assert good(once).gateway.cpu != good(twice).gateway.cpu


@pytest.mark.parametrize("name", ["rehearsal", "llama-3.3-70b-trn2-cs3"])
def test_what_fails_only_at_aws_differs_in_the_certificate_and_in_another_stack(name: str, tmp_path: Path) -> None:
    file = FOLDER / f"{name}.yaml"
    first = good(file)
    deployed = changed(file, first, tmp_path / "changed.yaml")
    account = first.account or "123456789012"
    wrong = good(failing(deployed, first, account, tmp_path / "failing.yaml"))
    expected = f"arn:aws:acm:us-east-2:{account}:{NO_SUCH_CERTIFICATE}"
    assert wrong.gateway.certificate_arn == expected
    assert wrong.gateway.domain == first.gateway.domain or first.gateway.domain is None
    assert wrong.prefill == first.prefill != good(deployed).prefill


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_pair_has_two_of_each_process(file: Path, tmp_path: Path) -> None:
    old = good(file)
    new = paired(file, old, tmp_path / "paired.yaml")
    assert new == good(tmp_path / "paired.yaml")
    assert new.gateway.max_count >= new.gateway.min_count >= 2
    if old.prefill:
        assert new.prefill
        assert sum(group.count for group in new.prefill.groups) >= 2
    if new.decode.provider == "cs3":
        assert len({new.decode.endpoint, *new.decode.more_endpoints}) >= 2


def test_what_has_pairs_already_stays_as_it_is(tmp_path: Path) -> None:
    file = FOLDER / "rehearsal.yaml"
    once = paired(file, good(file), tmp_path / "once.yaml")
    assert paired(tmp_path / "once.yaml", once, tmp_path / "twice.yaml") == once


def test_a_file_that_admits_no_pair_is_named(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text((FOLDER / "rehearsal.yaml").read_text().replace("trn2.48xlarge", "trn2.1xlarge"))
    with pytest.raises(VariantError, match=r"wrong\.yaml with two of each process is no valid deployment: .*trn2"):
        paired(file, good(FOLDER / "rehearsal.yaml"), tmp_path / "paired.yaml")
