"""Name the runbooks, and say how each alarm tells that it fires."""

from __future__ import annotations

from enum import StrEnum


class Runbook(StrEnum):
    """Enumerate the headings of ``docs/runbooks.md`` by their anchors; each has an alarm, each alarm has one."""

    REQUESTS_FAIL = "requests-fail"
    GATEWAY_UNHEALTHY = "gateway-unhealthy"
    FIRST_TOKEN_SLOW = "first-token-slow"  # noqa: S105 - a token of text
    CLIENTS_THROTTLED = "clients-throttled"
    DECODE_MEMORY_FULL = "decode-memory-full"
    DECODE_ENDPOINT_DOWN = "decode-endpoint-down"
    KV_LEASES_EXPIRE = "kv-leases-expire"
    KV_TRANSFERS_FAIL = "kv-transfers-fail"
    EFA_NOT_IN_USE = "efa-not-in-use"
    HOSTS_MISSING = "hosts-missing"


def described(text: str, runbooks: str, runbook: Runbook) -> str:
    """Return an alarm's description: what is wrong, and where to read on; ``runbooks`` is the document's address."""
    return f"{text}: {runbooks}#{runbook.value}"
