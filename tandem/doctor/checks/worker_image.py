"""Check that the images which worker images are built on exist."""

from __future__ import annotations

import json
import re
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from tandem.doctor import http
from tandem.doctor.aws import Aws
from tandem.doctor.result import Result, UndeterminedError, failed, passed
from tandem.spec.deployment import Deployment
from tandem.spec.stages import stages

_IMAGE = re.compile(r"(?P<registry>[^/]+[.:][^/]*)/(?P<repository>[^:@]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>.+))?")
_PRIVATE_ECR = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com")
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


def check(deployment: Deployment, aws: Aws) -> Result:
    """Ask ECR for an image of a private repository, and any other registry as an anonymous Docker client does."""
    images = sorted({workers.image for _, workers in stages(deployment)})
    missing = [image for image in images if not _exists(aws, image)]
    if missing:
        return failed(f"not there: {', '.join(missing)}", "change prefill.image or decode.image, or push the image")
    return passed(", ".join(images) or "no worker is asked for")


def _exists(aws: Aws, image: str) -> bool:
    parts = _IMAGE.fullmatch(image)
    if parts is None:
        raise UndeterminedError(f"image {image!r} names no registry", "write registry/repository:tag")
    private = _PRIVATE_ECR.fullmatch(parts["registry"])
    return _in_ecr(aws, parts, private) if private else _in_registry(parts)


def _in_ecr(aws: Aws, parts: re.Match[str], registry: re.Match[str]) -> bool:
    wanted = {"imageDigest": parts["digest"]} if parts["digest"] else {"imageTag": parts["tag"] or "latest"}
    try:
        aws.client("ecr", registry["region"]).describe_images(
            registryId=registry["account"], repositoryName=parts["repository"], imageIds=[wanted]
        )
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("ImageNotFoundException", "RepositoryNotFoundException"):
            raise
        return False
    return True


def _in_registry(parts: re.Match[str]) -> bool:
    """Ask for the manifest (OCI distribution specification), with a token where the registry wants one."""
    reference = parts["digest"] or parts["tag"] or "latest"
    url = f"https://{parts['registry']}/v2/{parts['repository']}/manifests/{reference}"
    try:
        answer = http.get(url, {"Accept": _MANIFESTS})
        if answer.status == 401:
            token = _token(answer.headers.get("www-authenticate", ""))
            answer = http.get(url, {"Accept": _MANIFESTS, "Authorization": f"Bearer {token}"})
    except http.UnreachableError as error:
        raise UndeterminedError(
            f"registry {parts['registry']} is not reachable from here: {error}", "ask where images are built"
        ) from error
    if answer.status not in (200, 404):
        raise UndeterminedError(
            f"registry {parts['registry']} answered {answer.status} for {parts[0]}", "ask with docker manifest inspect"
        )
    return answer.status == 200


def _token(challenge: str) -> str:
    """Return an anonymous token from where the registry's challenge says; an empty one where that gives none."""
    wanted = dict(_PARAMETER.findall(challenge))
    realm = wanted.pop("realm", "")
    if not realm.startswith("https://"):
        return ""
    query = urlencode({key: value for key, value in wanted.items() if key in ("service", "scope")})
    answer = http.get(f"{realm}?{query}", {})
    document = json.loads(answer.body) if answer.status == 200 else {}
    return str(document.get("token") or document.get("access_token") or "")
