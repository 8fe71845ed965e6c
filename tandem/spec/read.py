"""Read a deployment file into a ``Deployment`` and everything that is wrong with it."""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding
from tandem.spec.rules import check

_UNIONS = {"decode": "provider", "registration": "registrar", "capacity": "mode"}
"""The sections with a choice of forms, each with the key that chooses."""
_UNFIT_FOR_TAG = (ValueError, LookupError, AttributeError)
"""What PyYAML raises for a value that does not fit its explicit tag, such as ``!!bool 7``."""


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
    except (yaml.YAMLError, RecursionError, *_UNFIT_FOR_TAG) as error:
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
    path, kind = _path(entry["loc"]), entry["type"]
    if kind == "extra_forbidden":
        got, allowed, change = "an unknown key", "the keys of the schema (tandem schema)", "remove or respell the key"
        return Finding(code="field-unknown", path=path, got=got, allowed=allowed, change=change)
    if kind in ("missing", "union_tag_not_found"):
        path = _union_key(path) if kind == "union_tag_not_found" else path
        return Finding(code="field-missing", path=path, got="nothing", allowed="a value", change="add the key")
    if kind == "union_tag_invalid":
        got, allowed = entry["ctx"]["tag"], entry["ctx"]["expected_tags"]
        return _invalid(_union_key(path), got, allowed)
    return _invalid(path, entry["input"], _expectation(entry["msg"]))


def _invalid(path: str, got: Any, allowed: str) -> Finding:
    # reprlib: anchors make a short file that is endless when written out
    return Finding(
        code="field-invalid", path=path, got=reprlib.repr(got)[:120], allowed=allowed, change="change the value"
    )


def _path(location: tuple[int | str, ...]) -> str:
    """Return the location as the file has it: without the tag that pydantic adds for a section's form."""
    before = (None, *location)
    return ".".join(str(part) for part, last in zip(location, before, strict=False) if last not in _UNIONS) or "(file)"


def _union_key(section: str) -> str:
    return f"{section}.{_UNIONS[section.rpartition('.')[2]]}"


def _expectation(message: str) -> str:
    text = message[0].lower() + message[1:]
    for prefix in ("input should be ", "string should ", "value error, "):
        text = text.removeprefix(prefix)
    return text
