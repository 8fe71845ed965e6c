"""Stand in for the ``docker`` program where the CDK publishes image assets, on a machine without Docker.

``CDK_DOCKER`` names a small script (see ``write_program``) that runs this module. It takes the very commands that the
CDK issues, and refuses others.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import boto3

from tandem.rehearsal.cloud import images
from tandem.rehearsal.cloud.dockerfile import Build
from tandem.rehearsal.cloud.images import STORE_VARIABLE, ImageError

_REMOTE = re.compile(r"\d{12}\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com/(?P<repository>[^:]+):(?P<tag>[^:/]+)")


def write_program(path: Path, root: Path) -> Path:
    """Write the executable script for ``CDK_DOCKER``; ``root`` is the folder that holds the ``tandem`` package."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{root}" exec "{sys.executable}" -m {__name__} "$@"\n')
    path.chmod(0o755)
    return path


def main(arguments: Sequence[str]) -> int:
    """Do one command; return 1 with a message on standard error if it fails, as docker does."""
    try:
        command = _parser().parse_args(arguments)
        store = Path(os.environ[STORE_VARIABLE])
    except KeyError:
        return _fail(f"set {STORE_VARIABLE} to the folder that keeps images")
    try:
        command.do(command, store)
    except ImageError as error:
        return _fail(str(error))
    return 0


def _fail(message: str) -> int:
    print(f"docker (rehearsal): {message}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="docker", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True)
    inspect = commands.add_parser("inspect")
    inspect.add_argument("tag")
    inspect.set_defaults(do=lambda command, store: images.load(store, command.tag))
    build = commands.add_parser("build", allow_abbrev=False)
    build.add_argument("--tag", required=True)
    build.add_argument("--file", default="Dockerfile")
    build.add_argument("--platform")
    build.add_argument("--build-arg", action="append", default=[])
    build.add_argument("context", type=Path)
    build.set_defaults(do=_build)
    tag = commands.add_parser("tag")
    tag.add_argument("source")
    tag.add_argument("target")
    tag.set_defaults(do=lambda command, store: images.copy_tag(store, command.source, command.target))
    login = commands.add_parser("login")
    login.add_argument("--username", required=True)
    login.add_argument("--password-stdin", action="store_true", required=True)
    login.add_argument("endpoint")
    login.set_defaults(do=lambda command, store: None)
    push = commands.add_parser("push")
    push.add_argument("tag")
    push.set_defaults(do=_push)
    return parser


def _build(command: argparse.Namespace, store: Path) -> None:
    given = dict(argument.split("=", 1) for argument in command.build_arg)
    build = Build(command.context.resolve(), images.new_rootfs(store, command.tag), given)
    images.save(store, command.tag, build.run(command.context / command.file, command.platform))


def _push(command: argparse.Namespace, store: Path) -> None:
    """Put the image's manifest into the embedded ECR, so that it is there for DescribeImages."""
    match = _REMOTE.fullmatch(command.tag)
    if match is None:
        raise ImageError(f"{command.tag} does not name an ECR repository")
    image = images.load(store, command.tag)
    config = json.dumps({"base": image.base, "platform": image.platform, "tag": command.tag})
    digest = f"sha256:{hashlib.sha256(config.encode()).hexdigest()}"
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    head = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": digest}
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": head, "layers": []}
    client = boto3.client("ecr", region_name=match["region"])
    tagged = {"repositoryName": match["repository"], "imageTag": match["tag"]}
    client.put_image(**tagged, imageManifest=json.dumps(manifest), imageManifestMediaType=kind)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
