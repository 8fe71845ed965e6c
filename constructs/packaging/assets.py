"""Package ``runtime/`` for AWS: one image or function each, holding only the packages that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aws_cdk import IgnoreMode
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_lambda as lambda_

_ROOT = Path(__file__).parents[2]


def container_image(package: str, *others: str, build_args: Mapping[str, str] | None = None) -> ecs.ContainerImage:
    """Return the image that ``runtime/<package>/Dockerfile`` builds, which may also copy ``others``.

    Synth needs no Docker, deploy does.
    """
    return ecs.ContainerImage.from_asset(
        str(_ROOT),
        file=f"runtime/{package}/Dockerfile",
        platform=ecr_assets.Platform.LINUX_AMD64,
        build_args=dict(build_args or {}),
        exclude=_only("handoff", package, *others),
        ignore_mode=IgnoreMode.DOCKER,
    )


def worker_image(base_image: str) -> ecs.ContainerImage:
    """Return the image of everything that runs vLLM: ``base_image`` with the entrypoint and the connector."""
    return container_image("prefill", "connector", build_args={"BASE_IMAGE": base_image})


def function_code() -> lambda_.Code:
    """Return the code of every function: it needs no package that AWS Lambda lacks."""
    return lambda_.Code.from_asset(str(_ROOT), exclude=_only("handoff", "functions"), ignore_mode=IgnoreMode.DOCKER)


def _only(*packages: str) -> list[str]:
    """Exclude all but some packages of ``runtime/``; Python's caches would change the asset's hash."""
    kept = [f"!runtime/{package}/**" for package in packages]
    return ["**", "!runtime/__init__.py", *kept, "**/__pycache__", "**/*.pyc"]
