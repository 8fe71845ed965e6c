"""Run checks side by side, within a bounded time, and turn whatever goes wrong into a result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from tandem.doctor.aws import Aws
from tandem.doctor.checks import Check
from tandem.doctor.result import Result, UndeterminedError, Verdict, passed
from tandem.spec.deployment import Deployment

_REACH_SECONDS = 3.0
"""For the first call; a resolver that never answers is bounded by nothing else."""
_CHECK_SECONDS = 20.0
_T = TypeVar("_T")


def examine(deployment: Deployment, open_aws: Callable[[], Aws], checks: Mapping[str, Check]) -> dict[str, Result]:
    """Return the result of every check by its id, in order; raise nothing.

    Where AWS cannot be reached or has no credentials of ours, each result is UNKNOWN for that one reason.
    """
    aws = _explained(open_aws)
    if isinstance(aws, Result):
        return dict.fromkeys(checks, aws)
    reached = _within(_REACH_SECONDS, {"reach": partial(_judged, _reach, deployment, aws)})["reach"]
    if reached.verdict is Verdict.UNKNOWN:
        return dict.fromkeys(checks, reached)
    return _within(_CHECK_SECONDS, {name: partial(_judged, check, deployment, aws) for name, check in checks.items()})


def _reach(_: Deployment, aws: Aws) -> Result:
    """Tell whether AWS answers; its refusal is an answer, for which each check may name a better reason."""
    try:
        aws.client("sts").get_caller_identity()
    except ClientError:
        return passed("AWS answers, with a refusal")
    return passed("AWS answers")


def _judged(check: Check, deployment: Deployment, aws: Aws) -> Result:
    return _explained(partial(check, deployment, aws))


def _explained(step: Callable[[], _T]) -> _T | Result:
    """Return what ``step`` returns, or UNKNOWN with the reason why it could not."""
    try:
        return step()
    except UndeterminedError as error:
        return _unknown(str(error), error.change)
    except NoCredentialsError:
        return _unknown("no AWS credentials were found", "log in (aws sso login), or set AWS_PROFILE or --profile")
    except ClientError as error:
        return _refused(error)
    except BotoCoreError as error:
        return _unknown(f"AWS could not be asked: {error}", "check the network, the region and the AWS profile")
    except Exception as error:  # a fault in one check must not hide the results of the others
        return _unknown(f"{type(error).__name__}: {error}", "this is a fault of the doctor: report it")


def _refused(error: ClientError) -> Result:
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    denied = "AccessDenied" in code or "Unauthorized" in code
    change = f"have {error.operation_name} allowed for these credentials" if denied else "see what AWS says"
    return _unknown(f"{code} for {error.operation_name}: {message}", change)


def _unknown(reason: str, change: str) -> Result:
    return Result(Verdict.UNKNOWN, " ".join(reason.split()), change)


def _within(seconds: float, steps: Mapping[str, Callable[[], Result]]) -> dict[str, Result]:
    """Run every step in a thread of its own; what has not ended after ``seconds`` is UNKNOWN and left behind."""
    late = _unknown(f"no answer within {seconds:g} s", "check the network, and ask again")
    results = dict.fromkeys(steps, late)

    def run(name: str, step: Callable[[], Result]) -> None:
        results[name] = step()

    threads = [threading.Thread(target=run, args=step, name=f"doctor-{step[0]}", daemon=True) for step in steps.items()]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(results)
