"""Cases of the rules on the declared load."""

from __future__ import annotations

from tandem.spec.findings import Severity
from tests.tandem.spec.cases import Case

_LLAMA = {"model__id": "meta-llama/Llama-3.3-70B-Instruct"}
_LOAD = {"requests_per_second": 1.0, "prompt_tokens": 8000, "answer_tokens": 300}
_CARRIED = {**_LLAMA, "load": _LOAD, "decode__systems": 8}


def _load(**changes: object) -> dict[str, object]:
    return {**_CARRIED, "load": {**_LOAD, **changes}}


_CROWDED = _load(requests_per_second=3.4, prompt_tokens=12_000) | {
    "model__max_model_len": 32_768,
    "prefill__groups__0__max_count": 6,
}


LOAD = [
    Case(
        rule="model_fits",
        code="model-exceeds-hbm",
        path="prefill.groups.0.tensor_parallel",
        wrong={**_LLAMA, "prefill__groups__0__tensor_parallel": 4},
        right={**_LLAMA, "prefill__groups__0__tensor_parallel": 8},
    ),
    Case(
        rule="load_carried",
        code="load-unchecked-model",
        path="load",
        wrong={"load": _LOAD, "decode__systems": 8},
        right=_CARRIED,
        severity=Severity.INFO,
    ),
    Case(
        rule="systems_known",
        code="load-unchecked-cs3",
        path="load",
        wrong={**_LLAMA, "load": _LOAD},
        right=_CARRIED,
        severity=Severity.INFO,
    ),
    Case(
        rule="load_carried",
        code="load-exceeds-prefill-compute",
        path="load",
        wrong=_load(requests_per_second=1.9),
        right=_load(requests_per_second=1.9) | {"prefill__groups__0__max_count": 3},
        severity=Severity.WARNING,
    ),
    Case(
        rule="load_carried",
        code="load-exceeds-efa",
        path="load",
        # 100 tokens are soon prefilled where most of a long prompt is cached, but all of its KV must cross
        wrong=_load(requests_per_second=100.0, prompt_tokens=30_000, cached_share=0.999, answer_tokens=1)
        | {"decode__systems": 100},
        right=_load(requests_per_second=10.0, prompt_tokens=30_000, cached_share=0.999, answer_tokens=1)
        | {"decode__systems": 100},
    ),
    Case(
        rule="load_carried",
        code="load-exceeds-cs-3-ingress",
        path="load",
        wrong=_load(requests_per_second=60.0, prompt_tokens=30_000, cached_share=0.999, answer_tokens=1)
        | {"decode__systems": 4, "prefill__groups__0__max_count": 8},
        right=_load(requests_per_second=30.0, prompt_tokens=30_000, cached_share=0.999, answer_tokens=1)
        | {"decode__systems": 30, "prefill__groups__0__max_count": 8},
    ),
    Case(
        rule="load_carried",
        code="load-exceeds-cs-3-memory",
        path="load",
        wrong=_CARRIED | {"decode__systems": 3},
        right=_CARRIED,
    ),
    Case(
        rule="load_admitted",
        code="load-refused-by-cs-3-memory",
        path="decode.systems",
        wrong=_CROWDED | {"decode__systems": 4},
        right=_CROWDED | {"decode__systems": 6},
        severity=Severity.WARNING,
    ),
    Case(
        rule="load_carried",
        code="load-exceeds-decode-bandwidth",
        path="load",
        provider="vllm",
        wrong={**_LLAMA, "load": {**_LOAD, "answer_tokens": 4000}},
        right={**_LLAMA, "load": {**_LOAD, "answer_tokens": 200}},
    ),
]
