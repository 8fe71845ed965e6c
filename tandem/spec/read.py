"""Read a deployment file into a ``Deployment`` and everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding
from tandem.spec.rules import check

_UNION_TAGS = {"cs3", "vllm", "openai", "agentcore-gateway", "none"}


def read(path: Path) -> tuple[Deployment | None, list[Finding]]:
    """Return the deployment, or ``None`` where the file has no usable form, and all findings; raise nothing."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return None, [_file_finding("file-unreadable", path, _reason(error), "a readable UTF-8 file")]
    return parse(text, path)


def parse(text: str, path: Path) -> tuple[Deployment | None, list[Finding]]:
    """Return the deployment that ``text`` describes and all findings; ``path`` is only for messages."""
    try:
        document = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader subclass
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return None, [_file_finding("yaml-malformed", path, " ".join(str(error).split()), "one YAML mapping")]
    if not isinstance(document, dict):
        return None, [_file_finding("yaml-malformed", path, type(document).__name__, "one YAML mapping")]
    try:
        deployment = Deployment.model_validate(document)
    except ValidationError as error:
        return None, [_field_finding(entry) for entry in error.errors(include_url=False)]
    return deployment, check(deployment)


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuse a key given twice, which YAML loaders otherwise resolve in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        repeated = sorted({str(key) for key in keys if keys.count(key) > 1})
        if repeated:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {', '.join(repeated)} is given twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


def _file_finding(code: str, path: Path, got: str, allowed: str) -> Finding:
    return Finding(code=code, path=str(path), got=got, allowed=allowed, change="correct the file")


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else "bytes that are not UTF-8"


def _field_finding(entry: Any) -> Finding:
    location = [str(part) for part in entry["loc"] if part not in _UNION_TAGS]
    unknown = entry["type"] == "extra_forbidden"
    absent = entry["type"] == "missing"
    return Finding(
        code="field-unknown" if unknown else "field-missing" if absent else "field-invalid",
        path=".".join(location) or "(file)",
        got="an unknown key" if unknown else "nothing" if absent else repr(entry["input"])[:120],
        allowed="the keys of the schema (tandem schema)" if unknown else _expectation(entry["msg"]),
        change="remove or respell the key" if unknown else "add the key" if absent else "change the value",
    )


def _expectation(message: str) -> str:
    text = message[0].lower() + message[1:]
    for prefix in ("input should be ", "string should ", "value error, "):
        text = text.removeprefix(prefix)
    return text
