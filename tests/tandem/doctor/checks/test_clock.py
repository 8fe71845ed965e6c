"""A clock that is off is found by the Date of AWS's answers, refusals among them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from tandem.doctor.result import Verdict
from tests.documents import deployment
from tests.patience import HUNG_SECONDS
from tests.tandem.doctor.accounts import answering, client, judge


def metadata(ahead: float) -> dict[str, Any]:
    """Return an answer's metadata as a clock that is ``ahead`` seconds ahead of AWS's sees it."""
    date = datetime.now(UTC) - timedelta(seconds=ahead)
    return {"HTTPHeaders": {"date": format_datetime(date, usegmt=True)}}


def twice(answer: dict[str, Any]) -> Any:
    """Answer the doctor's first call and the check's."""
    return answering("sts", ("get_caller_identity", answer), ("get_caller_identity", answer))


def test_motos_clock_is_ours() -> None:
    result = judge("clock", deployment())
    assert (result.verdict, result.change) == (Verdict.PASS, "")


@pytest.mark.parametrize(
    ("ahead", "verdict", "words"),
    [(30, "PASS", "ahead of"), (-50, "PASS", "behind"), (70, "FAIL", "ahead of"), (-90, "FAIL", "behind")],
)
def test_a_minute_is_allowed(ahead: float, verdict: str, words: str) -> None:
    result = judge("clock", deployment(), sts=twice({"ResponseMetadata": metadata(ahead)}))
    assert result.verdict == verdict
    assert words in result.found


def test_a_refusal_tells_the_time_as_well() -> None:
    sts = client("sts")
    with Stubber(sts) as stubber:
        for _ in range(2):
            stubber.add_client_error("get_caller_identity", "SignatureDoesNotMatch", response_meta=metadata(-600))
        result = judge("clock", deployment(), sts=sts)
    assert result.verdict is Verdict.FAIL
    behind, words = result.found.split(" ", 1)
    assert words == "s behind AWS"
    assert 600 - HUNG_SECONDS < int(behind) <= 600


def test_an_answer_without_a_date_says_nothing() -> None:
    assert judge("clock", deployment(), sts=twice({})).verdict is Verdict.UNKNOWN
