"""A gateway that nobody may call is found."""

from __future__ import annotations

from runtime.gateway.access.tenants import REVOKED, Tenant, digest, dump
from runtime.handoff import settings
from tandem.doctor.result import Result, Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import answering, client, judge, outputs


def judged(text: str | None) -> Result:
    made = {"SecretString": text} if text is not None else {}
    arn = client("secretsmanager").create_secret(Name="tenants", **made)["ARN"]
    return judge("tenants", deployment(), cloudformation=outputs((settings.TENANTS_OUTPUT, arn)))


def tenant(name: str, state: str = "active") -> Tenant:
    return Tenant(id=name, keys=(digest(name),), state=state)


def test_active_tenants_pass_by_name() -> None:
    result = judged(dump((tenant("b"), tenant("a"), tenant("gone", REVOKED))))
    assert (result.verdict, result.found) == (Verdict.PASS, "2 active: a, b")


def test_without_an_active_tenant_it_fails() -> None:
    assert judged(dump((tenant("gone", REVOKED),))).verdict is Verdict.FAIL


def test_a_secret_that_nobody_wrote_fails() -> None:
    result = judged(None)
    assert (result.verdict, result.found) == (Verdict.FAIL, "no tenant is active: the gateway refuses every key")
    assert result.change == "tandem tenant add ID FILE"


def test_a_document_that_is_none_fails() -> None:
    assert "cannot be used" in judged("no json").found


def test_before_a_deploy_nobody_knows() -> None:
    absent = answering("cloudformation")
    assert judge("tenants", deployment()).verdict is Verdict.UNKNOWN
    assert judge("tenants", deployment(), cloudformation=absent).verdict is Verdict.UNKNOWN
