"""Whatever goes wrong becomes a result, soon."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore import httpsession
from botocore.exceptions import ClientError, NoCredentialsError, ProfileNotFound
from botocore.httpsession import URLLib3Session

from tandem.doctor import examine as examination
from tandem.doctor.aws import Aws, connect
from tandem.doctor.checks import BEFORE
from tandem.doctor.examine import examine
from tandem.doctor.result import Result, UndeterminedError, Verdict, failed, passed
from tandem.spec.deployment import Deployment
from tests.documents import deployment
from tests.patience import HUNG_SECONDS

ANSWERS = Aws("us-east-2", lambda *_: SimpleNamespace(get_caller_identity=dict))


def judged(error: Exception) -> Result:
    """Return what becomes of an error inside a check."""

    def check(_: Deployment, aws: Aws) -> Result:
        raise error

    return examine(deployment(), lambda: ANSWERS, {"one": check})["one"]


@pytest.fixture
def silent() -> Iterator[str]:
    """Yield the URL of a server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> pytest.MonkeyPatch:
    """Be somebody without AWS credentials, wherever they may come from."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return monkeypatch


def test_results_keep_the_order_of_the_checks() -> None:
    checks = {name: lambda *_: passed("yes") for name in ("b", "a", "c")}
    assert list(examine(deployment(), lambda: ANSWERS, checks)) == ["b", "a", "c"]


def refusal(code: str, message: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.parametrize(
    ("error", "found", "change"),
    [
        (UndeterminedError("not yet", "wait"), "not yet", "wait"),
        (refusal("Throttling", "slow\ndown", "Ask"), "Throttling for Ask: slow down", "see what AWS says"),
        (
            refusal("UnauthorizedOperation", "no", "DescribeVpcs"),
            "UnauthorizedOperation for DescribeVpcs: no",
            "have DescribeVpcs allowed for these credentials",
        ),
        (
            ProfileNotFound(profile="x"),
            "AWS could not be asked: The config profile (x) could not be found",
            "check the network, the region and the AWS profile",
        ),
        (KeyError("Value"), "KeyError: 'Value'", "this is a fault of the doctor: report it"),
    ],
)
def test_an_error_is_unknown_with_its_reason(error: Exception, found: str, change: str) -> None:
    assert judged(error) == Result(Verdict.UNKNOWN, found, change)


def test_one_fault_does_not_hide_other_results() -> None:
    def broken(*_: object) -> Result:
        raise ZeroDivisionError

    results = examine(deployment(), lambda: ANSWERS, {"a": broken, "b": lambda *_: failed("no", "do")})
    assert [result.verdict for result in results.values()] == [Verdict.UNKNOWN, Verdict.FAIL]


def test_a_check_that_does_not_end_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "_CHECK_SECONDS", 3.0)
    ended = threading.Event()

    def slow(*_: object) -> Result:
        ended.wait(HUNG_SECONDS)
        return passed("late")

    results = examine(deployment(), lambda: ANSWERS, {"slow": slow, "quick": lambda *_: passed("yes")})
    ended.set()
    assert results["slow"].found == "no answer within 3 s"
    assert results["quick"].verdict is Verdict.PASS


def test_checks_run_side_by_side() -> None:
    meeting = threading.Barrier(len(BEFORE), timeout=HUNG_SECONDS)

    def meet(*_: object) -> Result:
        meeting.wait()
        return passed("met")

    results = examine(deployment(), lambda: ANSWERS, dict.fromkeys(BEFORE, meet))
    assert {result.found for result in results.values()} == {"met"}


def test_a_refusal_of_sts_stops_nobody() -> None:
    def refuse() -> None:
        raise ClientError({"Error": {"Code": "ExpiredToken"}}, "GetCallerIdentity")

    aws = Aws("us-east-2", lambda *_: SimpleNamespace(get_caller_identity=refuse))
    assert examine(deployment(), lambda: aws, {"one": lambda *_: passed("yes")})["one"].verdict is Verdict.PASS


def test_without_credentials_every_check_says_so_at_once(nobody: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> Result:
        return passed("nobody should have asked")

    results = examine(deployment(), lambda: connect("us-east-2"), dict.fromkeys(BEFORE, asked))
    assert results.keys() == BEFORE.keys()
    assert set(results.values()) == {
        Result(
            Verdict.UNKNOWN,
            "no AWS credentials were found",
            "log in (aws sso login), or set AWS_PROFILE or --profile",
        )
    }


def test_a_silent_metadata_service_does_not_hold_up(nobody: pytest.MonkeyPatch, silent: str) -> None:
    nobody.delenv("AWS_EC2_METADATA_DISABLED")
    nobody.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", silent)
    limits: list[float] = []

    class Session(URLLib3Session):  # type: ignore[misc]  # botocore has no types
        def send(self, request: Any) -> Any:
            limits.append(self._timeout)
            return super().send(request)

    nobody.setattr(httpsession, "URLLib3Session", Session)
    with pytest.raises(NoCredentialsError):
        connect("us-east-2")
    assert set(limits) == {0.5}


@pytest.mark.parametrize("profile", ["absent", None])
def test_an_unknown_profile_is_named(nobody: pytest.MonkeyPatch, profile: str | None) -> None:
    if profile is None:
        nobody.setenv("AWS_PROFILE", "absent")
    results = examine(deployment(), lambda: connect("us-east-2", profile), BEFORE)
    assert {result.found for result in results.values()} == {
        "AWS could not be asked: The config profile (absent) could not be found"
    }


def test_a_network_that_never_answers_is_one_reason_for_all(nobody: pytest.MonkeyPatch, silent: str) -> None:
    nobody.setattr(examination, "_REACH_SECONDS", 0.3)
    assert _one_reason(nobody, silent).startswith("no answer within 0.3 s")


def test_a_network_that_refuses_is_one_reason_for_all(nobody: pytest.MonkeyPatch) -> None:
    reason = _one_reason(nobody, "http://127.0.0.1:1")
    assert reason.startswith("AWS could not be asked: Could not connect")


def _one_reason(nobody: pytest.MonkeyPatch, endpoint: str) -> str:
    nobody.setenv("AWS_ACCESS_KEY_ID", "a")
    nobody.setenv("AWS_SECRET_ACCESS_KEY", "b")
    nobody.setenv("AWS_ENDPOINT_URL", endpoint)
    [reason] = {result.found for result in examine(deployment(), lambda: connect("us-east-2"), BEFORE).values()}
    return reason
