"""The cases of the rules over what is registered, and how."""

from __future__ import annotations

from tandem.spec.findings import Severity
from tests.documents import CERTIFICATE
from tests.tandem.spec.cases import Case

_AGENTCORE: dict[str, object] = {
    "registration__registrar": "agentcore-gateway",
    "gateway__certificate_arn": CERTIFICATE,
    "gateway__domain": "llm.example.com",
}
_IMPORT: dict[str, object] = {
    "registration__registrar": "import",
    "model__weights": "s3://weights.example/llama",
    "model__id": "example/llama",
}
_ENDPOINT = "arn:aws:sagemaker:us-east-2:111122223333:endpoint/model"
_HUB_MODEL = "arn:aws:sagemaker:us-east-2:aws:hub-content/SageMakerPublicHub/Model/llama/1.0.0"
_MARKETPLACE: dict[str, object] = {
    "registration__registrar": "marketplace",
    "registration__endpoint_arn": _ENDPOINT,
    "registration__model_source": _HUB_MODEL,
}

REGISTRATION = [
    *(
        Case(
            rule="agentcore_needs_https",
            code="https-required",
            path=f"gateway.{field_}",
            wrong={"registration__registrar": "agentcore-gateway"},
            right=_AGENTCORE,
        )
        for field_ in ("certificate_arn", "domain")
    ),
    Case(
        rule="agentcore_can_name_model",
        code="agentcore-model-unnameable",
        path="model.id",
        wrong={**_AGENTCORE, "model__id": "example/my model"},
        right={**_AGENTCORE, "model__id": "example/my-model:v1@2.0_x"},
    ),
    Case(
        rule="import_has_weights",
        code="import-without-weights",
        path="model.weights",
        wrong={"registration__registrar": "import", "model__id": "example/llama"},
        right=_IMPORT,
    ),
    Case(
        rule="import_region_known",
        code="import-region-unknown",
        path="region",
        wrong={
            **_IMPORT,
            "region": "eu-north-1",
            "network": {"efa_zone": "eu-north-1a", "load_balancer_zones": ["eu-north-1a", "eu-north-1b"]},
        },
        right=_IMPORT,
        severity=Severity.WARNING,
    ),
    Case(
        rule="import_architecture_known",
        code="import-architecture-unknown",
        path="model.id",
        wrong={**_IMPORT, "model__id": "example/mamba"},
        right=_IMPORT,
        severity=Severity.WARNING,
    ),
    Case(
        rule="cost_tags_free",
        code="cost-tag-reserved",
        path="registration.cost_tags.aws:team",
        wrong={**_IMPORT, "registration__cost_tags": {"aws:team": "a"}},
        right={**_IMPORT, "registration__cost_tags": {"team": "a"}},
    ),
    *(
        Case(
            rule="marketplace_endpoint_here",
            code="marketplace-endpoint-elsewhere",
            path="registration.endpoint_arn",
            wrong={**_MARKETPLACE, **wrong},
            right={**_MARKETPLACE, "account": "111122223333"},
        )
        for wrong in (
            {"registration__endpoint_arn": _ENDPOINT.replace("us-east-2", "us-east-1")},
            {"account": "444455556666"},
        )
    ),
    Case(
        rule="marketplace_source_here",
        code="marketplace-source-elsewhere",
        path="registration.model_source",
        wrong={**_MARKETPLACE, "registration__model_source": _HUB_MODEL.replace("us-east-2", "us-east-1")},
        right=_MARKETPLACE,
    ),
    *(
        Case(
            rule="copy_takes_no_part",
            code="registration-bypasses-gateway",
            path="registration.registrar",
            wrong=wrong,
            right=_AGENTCORE,
            severity=Severity.INFO,
        )
        for wrong in (_IMPORT, _MARKETPLACE)
    ),
]
