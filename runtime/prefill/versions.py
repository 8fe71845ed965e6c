"""Read the versions of the packages that decide what is compiled here, and how KV looks and moves."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Final

_SDK: Final = ("neuronx-cc", "torch-neuronx", "nki", "vllm", "vllm-neuron")
"""Packages whose versions take part in vLLM-Neuron's own cache key, or decide which graphs there are."""
_TRANSFER: Final = ("nixl", "nixl-cu12", "libneuronxla")
"""Packages that move KV, or lie between vLLM and the device that holds it."""


def sdk() -> dict[str, str]:
    """Return the versions of what compiles here; packages that are not installed are left out."""
    return _found(_SDK)


def software() -> dict[str, str]:
    """Return the versions of all that two workers of one stage must have in common, the same way."""
    return _found((*_SDK, *_TRANSFER))


def _found(packages: Iterable[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
