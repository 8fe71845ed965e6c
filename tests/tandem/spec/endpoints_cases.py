"""Cases of the rules about decode endpoints, and where requests spill over to."""

from __future__ import annotations

from tandem.spec.findings import Severity
from tests.tandem.spec.cases import Case

_FIRST = "https://cs3.example.com"
_SPARE = {"endpoint": "https://api.cerebras.ai", "model": "m"}

ENDPOINTS = [
    *(
        Case(
            rule="endpoints_distinct",
            code="decode-endpoint-twice",
            path=path,
            wrong={"decode__more_endpoints": wrong},
            right={"decode__more_endpoints": [f"{_FIRST}:8443", "https://cs3-b.example.com"]},
        )
        for path, wrong in [
            ("decode.more_endpoints.0", [_FIRST]),
            ("decode.more_endpoints.0", ["https://CS3.example.com:443"]),
            ("decode.more_endpoints.1", ["https://cs3-b.example.com", "https://cs3-b.example.com"]),
        ]
    ),
    *(
        Case(
            rule="spills_over_elsewhere",
            code="spill-over-to-decode",
            path="gateway.spill_over.endpoint",
            wrong={"gateway__spill_over": {**_SPARE, "endpoint": endpoint}, **more},
            right={"gateway__spill_over": _SPARE, **more},
            provider=provider,
        )
        for provider, endpoint, more in [
            ("cs3", _FIRST, {}),
            ("cs3", "https://cs3-b.example.com", {"decode__more_endpoints": ["https://cs3-b.example.com"]}),
            ("openai", "https://api.example.com:443", {}),
        ]
    ),
    *(
        Case(
            rule="routing_has_effect",
            code="routing-without-effect",
            path="gateway.routing",
            wrong={"gateway__routing": {"new_tokens": 512}},
            provider=provider,
            severity=Severity.INFO,
        )
        for provider in ("cs3", "openai")
    ),
]
