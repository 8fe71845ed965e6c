"""The stand-in docker does what the CDK asks, and refuses what it would not rehearse truly."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from tandem.rehearsal.cloud import docker, images
from tandem.rehearsal.cloud.images import ImageError

DOCKERFILE = """
# a comment
ARG BASE=python:3.13-slim
FROM ${BASE}
WORKDIR /opt/app
ENV MODE=fast PATH=/opt/app/bin:/bin
COPY requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt
COPY --chown=1000 src lib
COPY *.toml conf/
USER 1000
EXPOSE 8080
ENTRYPOINT ["python3", "-m", "lib"]
CMD ["--port", "8080"]
"""


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "context"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "main.py").write_text("print()")
    (folder / "a.toml").write_text("")
    (folder / "requirements.txt").write_text(f"numpy=={version('numpy')} \\\n    --hash=sha256:00\n# note\n")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    monkeypatch.chdir(folder)
    monkeypatch.setenv(images.STORE_VARIABLE, str(tmp_path / "store"))
    return folder


def build(*more: str) -> int:
    return docker.main(["build", "--tag", "cdkasset-1", *more, "--platform", "linux/amd64", "."])


def test_build_tag_inspect(context: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert docker.main(["inspect", "cdkasset-1"]) == 1
    assert build("--build-arg", "BASE=neuron:1") == 0
    assert docker.main(["tag", "cdkasset-1", "host/repo:1"]) == docker.main(["inspect", "host/repo:1"]) == 0
    image = images.load(store, "host/repo:1")
    assert (image.base, image.workdir, image.user, image.exposed) == ("neuron:1", "/opt/app", "1000", ("8080",))
    assert image.env == {"MODE": "fast", "PATH": "/opt/app/bin:/bin"}
    assert (image.entrypoint, image.cmd) == (("python3", "-m", "lib"), ("--port", "8080"))
    assert (image.rootfs / "opt/app/lib/main.py").is_file()
    assert (image.rootfs / "opt/app/conf/a.toml").is_file()


def test_version_difference_is_a_warning(context: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (context / "requirements.txt").write_text("numpy==0.1\n")
    assert build() == 0
    assert "warning: the image has numpy==0.1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("COPY --chown=1000 src lib", "COPY nothing lib", "line 9: COPY nothing: there is no such file"),
        ("USER 1000", "HEALTHCHECK CMD true", "HEALTHCHECK is not rehearsed; allowed: ARG, FROM"),
        ("USER 1000", "RUN apt-get update", "RUN apt-get update: only 'pip install -r FILE' and 'PROGRAM version' are"),
        ("USER 1000", "RUN absent-program version", "absent-program is not installed here"),
        ("MODE=fast", "MODE=$UNSET", "uses $UNSET"),
        ("FROM ${BASE}", "FROM ${BASE} AS build", "only one stage"),
        ("--chown=1000", "--from=build", "--from=build is not rehearsed"),
    ],
)
def test_refusals(context: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, reason: str) -> None:
    (context / "Dockerfile").write_text(DOCKERFILE.replace(old, new))
    assert build() == 1
    assert reason in capsys.readouterr().err


def test_missing_package_fails(context: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (context / "requirements.txt").write_text("no-such-package-here==1\n")
    assert build() == 1
    assert "no-such-package-here==1 is not installed here" in capsys.readouterr().err


def test_unknown_commands_are_refused(context: Path) -> None:
    with pytest.raises(SystemExit):
        docker.main(["run", "x"])
    with pytest.raises(ImageError, match="there is no image other; there are: none"):
        images.load(context, "other")
