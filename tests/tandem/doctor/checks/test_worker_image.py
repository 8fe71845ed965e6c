"""An image that is not in its registry is found, in ECR and in registries that anybody may ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from tandem.doctor.result import Result, Verdict
from tandem.rehearsal.machine.certificates import Certificate
from tests.documents import deployment
from tests.tandem.doctor.accounts import ACCOUNT, client, judge
from tests.tandem.doctor.servers import Reply, serving

ECR = f"{ACCOUNT}.dkr.ecr.us-east-2.amazonaws.com"
MANIFEST = '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": {}}'
TOKEN = '{"token": "anonymous"}'


def judged(image: str) -> Result:
    return judge("worker-image", deployment(prefill__image=image))


@pytest.fixture
def repository() -> str:
    """Make a repository with one image, tagged 1; return its address."""
    ecr = client("ecr")
    ecr.create_repository(repositoryName="neuron/vllm")
    ecr.put_image(repositoryName="neuron/vllm", imageManifest=MANIFEST, imageTag="1")
    return f"{ECR}/neuron/vllm"


def registry(wants_token: bool) -> Callable[[str, Mapping[str, str]], Reply]:
    """Return a registry that has example/vllm:1, refuses example/secret and breaks on example/broken."""

    def reply(path: str, headers: Mapping[str, str]) -> Reply:
        if path.startswith("/token?"):
            return (200, {}, TOKEN) if "scope=pull" in path and "service=here" in path else (400, {}, "")
        if wants_token and headers.get("Authorization") != "Bearer anonymous":
            realm = f'Bearer realm="https://{headers["Host"]}/token",service="here",scope="pull"'
            return 401, {"WWW-Authenticate": realm}, ""
        known = {"/v2/example/vllm/manifests/1": 200, "/v2/example/secret/manifests/1": 403}
        return known.get(path, 500 if "broken" in path else 404), {}, ""

    return reply


def test_an_image_in_ecr_passes(repository: str) -> None:
    assert judged(f"{repository}:1").verdict is Verdict.PASS


@pytest.mark.parametrize("reference", [":2", "", "@sha256:" + "0" * 64])
def test_an_image_that_ecr_lacks_fails(repository: str, reference: str) -> None:
    result = judged(repository + reference)
    assert (result.verdict, result.found) == (Verdict.FAIL, f"not there: {repository}{reference}")


def test_a_repository_that_ecr_lacks_fails() -> None:
    assert judged(f"{ECR}/absent:1").verdict is Verdict.FAIL


@pytest.mark.parametrize("wants_token", [True, False])
@pytest.mark.parametrize(
    ("name", "verdict"), [("vllm:1", "PASS"), ("vllm:2", "FAIL"), ("secret:1", "UNKNOWN"), ("broken:1", "UNKNOWN")]
)
def test_a_public_registry_is_asked(trusted: Certificate, name: str, verdict: str, wants_token: bool) -> None:
    with serving(registry(wants_token), trusted) as address:
        assert judged(f"{address}/example/{name}").verdict == verdict


def test_a_registry_without_a_valid_certificate_is_not_asked(certificate: Certificate) -> None:
    with serving(lambda *_: (200, {}, ""), certificate) as address:
        result = judged(f"{address}/example/vllm:1")
    assert result.verdict is Verdict.UNKNOWN
    assert "is not reachable from here: SSLCertVerificationError" in result.found


def test_a_registry_that_is_not_there_is_unknown() -> None:
    assert judged("localhost:1/example/vllm:1").verdict is Verdict.UNKNOWN


def test_an_image_without_a_registry_is_unknown() -> None:
    result = judged("vllm:1")
    assert (result.verdict, result.found) == (Verdict.UNKNOWN, "image 'vllm:1' names no registry")


def test_no_workers_need_no_image() -> None:
    assert judge("worker-image", deployment("openai")).verdict is Verdict.PASS
