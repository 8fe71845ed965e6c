"""Credentials of another account are found before anything is deployed there."""

from __future__ import annotations

from tandem.doctor.result import Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import ACCOUNT, judge


def test_the_caller_is_named() -> None:
    result = judge("account", deployment(account=ACCOUNT))
    assert result.verdict is Verdict.PASS
    assert ACCOUNT in result.found


def test_any_account_will_do_where_the_file_names_none() -> None:
    assert judge("account", deployment()).verdict is Verdict.PASS


def test_another_account_fails() -> None:
    result = judge("account", deployment(account="111122223333"))
    assert result.verdict is Verdict.FAIL
    assert result.found == f"credentials of account {ACCOUNT}, the file names 111122223333"
