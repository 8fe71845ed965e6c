"""Check that the decode endpoint answers over TLS and serves the model."""

from __future__ import annotations

import json
from collections.abc import Mapping

from botocore.exceptions import ClientError

from runtime.handoff import contract
from tandem.doctor import http
from tandem.doctor.aws import Aws
from tandem.doctor.checks import decode_secret
from tandem.doctor.result import Result, UndeterminedError, Verdict, failed, passed
from tandem.spec.decode import Cs3, OpenAi, VllmDecode
from tandem.spec.deployment import Deployment


def check(deployment: Deployment, aws: Aws) -> Result:
    """Ask the endpoint for its models from here; one behind PrivateLink is out of reach of most machines."""
    decode = deployment.decode
    if isinstance(decode, VllmDecode):
        return passed("no endpoint: decode workers are the deployment's own")
    key = _key(deployment, aws)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    model = decode.model if isinstance(decode, OpenAi) else deployment.model.id
    results = [_asked(decode, endpoint, headers, model) for endpoint in decode.endpoints]
    return next((result for result in results if result.verdict is not Verdict.PASS), results[0])


def _asked(decode: Cs3 | OpenAi, endpoint: str, headers: Mapping[str, str], model: str) -> Result:
    try:
        answer = http.get(endpoint + contract.MODELS, headers)
    except http.UntrustedError as error:
        return failed(f"{endpoint} is not to be trusted: {error}", "have the endpoint present a valid certificate")
    except http.UnreachableError as error:
        return _unreachable(decode, endpoint, str(error))
    if not headers:
        raise UndeterminedError(
            f"{endpoint} answers {answer.status} over verified TLS; its models need the key",
            "deploy and fill in the decode secret, then ask again",
        )
    return _judged(answer, model)


def _key(deployment: Deployment, aws: Aws) -> str | None:
    try:
        return decode_secret.api_key(deployment, aws)
    except (UndeterminedError, ClientError):
        return None  # not deployed, or not ours to read: check decode-secret says which


def _unreachable(decode: Cs3 | OpenAi, endpoint: str, reason: str) -> Result:
    if isinstance(decode, Cs3) and decode.endpoint_service:
        raise UndeterminedError(
            f"{endpoint} is behind PrivateLink and not reachable from here: {reason}",
            "ask inside the VPC; its probe reports DecodeEndpointUp",
        )
    return failed(f"{endpoint} is not reachable from here: {reason}", "correct decode.endpoint or the network")


def _judged(answer: http.Answer, model: str) -> Result:
    if answer.status in (401, 403):
        return failed(
            f"the endpoint refuses the key with {answer.status}", "write the owner's key into the decode secret"
        )
    try:
        listed = sorted(str(entry["id"]) for entry in json.loads(answer.body)["data"])
    except (ValueError, LookupError, TypeError):
        return failed(f"status {answer.status} without a list of models", "ask the endpoint's owner")
    if model not in listed:
        return failed(
            f"lists {', '.join(listed)[:200] or 'no model'}, not {model}", "change the model, or have it served"
        )
    return passed(f"lists {model} over verified TLS")
