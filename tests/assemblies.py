"""Synthesize what reviewers look at: every example, and every registrar that no example has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from aws_cdk import App

import app
from tests.documents import CERTIFICATE, document
from tests.templates import context

_ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((_ROOT / "deployments").glob("*.yaml"))
_SECURE = {"gateway__domain": "llm.example.com", "gateway__certificate_arn": CERTIFICATE}
_WEIGHTS = "s3://weights-of-ours/llama/v1"
_SAGEMAKER = "arn:aws:sagemaker:us-east-2"
REGISTRARS = {
    "agentcore": {"registration__registrar": "agentcore-gateway", **_SECURE},
    "import": {"registration__registrar": "import", "model__weights": _WEIGHTS, "model__id": "meta-llama/Llama-3.1-8B"},
    "marketplace": {
        "registration__registrar": "marketplace",
        "registration__endpoint_arn": f"{_SAGEMAKER}:111122223333:endpoint/model",
        "registration__model_source": f"{_SAGEMAKER}:aws:hub-content/SageMakerPublicHub/Model/some-model/1.0.0",
    },
}


def files(folder: Path) -> dict[str, Path]:
    """Return the deployment file of every example and registrar by name; those of registrars are written here."""
    found = {path.stem: path for path in EXAMPLES}
    for name, changes in REGISTRARS.items():
        found[name] = folder / f"{name}.yaml"
        found[name].write_text(yaml.safe_dump(document("cs3", **changes)))
    return found


def synthesize(folder: Path) -> dict[str, Path]:
    """Synthesize all of them below ``folder`` by ``app.py``, which raises where a reviewer's finding is left."""
    outputs = {}
    for name, file in files(folder).items():
        outputs[name] = folder / name
        values = context() | {"deployment": str(file)}
        assert app.synthesize(App(outdir=str(outputs[name]), context=values)) == 0
    return outputs


def templates(assemblies: dict[str, Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every template of ``assemblies`` with the path that names it: assembly and file."""
    for name, assembly in assemblies.items():
        for path in sorted(assembly.glob("*.template.json")):
            yield f"{name}/{path.name}", json.loads(path.read_text())
