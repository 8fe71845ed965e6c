"""Run deployed Lambda functions: the deployed code, environment and role, as a process on this machine."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from moto.awslambda.utils import get_backend

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.cloud.permissions import may_assume

_LOG_TAIL = 4096  # bytes of log in an answer, as Lambda gives


class FunctionError(Exception):
    """Tell why a deployed function cannot be run at all."""


@dataclass(frozen=True)
class Result:
    """Say how a function ended: its ``payload`` (JSON), what it wrote, and ``Unhandled`` if it failed."""

    payload: bytes
    log: str
    error: str | None


@dataclass
class Functions:
    """Run the functions of one account and region.

    ``work`` holds extracted code and its results. ``environment`` is added to each function's own, without overriding
    it, for what the rehearsal's network needs; ``prelude`` is Python source that runs before a Python handler is
    imported.
    """

    work: Path
    account: str
    api: Api
    environment: Mapping[str, str] = field(default_factory=dict)
    prelude: str = ""

    def invoke(self, name: str, event: Any) -> Result:
        """Run the function of that name or ARN; ``event`` is any JSON value."""
        return self.run(get_backend(self.account, self.api.region).get_function(name), event)

    def run(self, function: Any, event: Any) -> Result:
        """Run a moto LambdaFunction as Lambda would: until it returns or its deployed timeout ends it."""
        code = self._extract(function)
        with tempfile.TemporaryDirectory(dir=self.work) as scratch:
            answer = Path(scratch) / "answer.json"
            command = [*_command(function.run_time), str(code), function.handler, str(answer)]
            process = subprocess.Popen(
                command,
                cwd=code,
                env=self._environment(function, code),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            try:
                log, _ = process.communicate(json.dumps(event).encode(), timeout=float(function.timeout))
            except subprocess.TimeoutExpired:
                process.kill()
                log, _ = process.communicate()
                return _failed("Sandbox.Timedout", f"Task timed out after {function.timeout} seconds", log)
            if not answer.exists():
                return _failed("Runtime.ExitError", f"the process ended with status {process.returncode}", log)
            result = json.loads(answer.read_bytes())
        payload = json.dumps(result["payload"]).encode()
        return Result(payload, log.decode(errors="replace"), None if result["ok"] else "Unhandled")

    def _extract(self, function: Any) -> Path:
        """Return the folder of the function's code; the same code is extracted once."""
        if function.run_time is None or not function.code_bytes:
            raise FunctionError(f"function {function.function_name} has no zip of code; images are not run here")
        code = self.work / "code" / hashlib.sha256(function.code_bytes).hexdigest()[:32]
        if not code.exists():
            with tempfile.TemporaryDirectory(dir=_made(code.parent)) as scratch:
                zipfile.ZipFile(io.BytesIO(function.code_bytes)).extractall(Path(scratch) / "code")
                (Path(scratch) / "code").rename(code)
        return code

    def _environment(self, function: Any, code: Path) -> dict[str, str]:
        own = {key: str(value) for key, value in (function.environment_vars or {}).items()}
        settings = {
            "AWS_ENDPOINT_URL": self.api.endpoint,
            "AWS_REGION": self.api.region,
            "AWS_DEFAULT_REGION": self.api.region,
            "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(function.timeout),
            "LAMBDA_TASK_ROOT": str(code),
            "TANDEM_FUNCTION_ARN": function.function_arn,
            "TANDEM_PRELUDE": self.prelude,
            "PATH": os.environ["PATH"],
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return {**self.environment, **own, **settings, **self._credentials(function)}

    def _credentials(self, function: Any) -> dict[str, str]:
        if not may_assume("lambda.amazonaws.com", function.role):
            raise FunctionError(f"role {function.role} does not let lambda.amazonaws.com assume it")
        role = {"RoleArn": function.role, "RoleSessionName": function.function_name[:64]}
        keys = self.api.call("sts", "assume_role", role)["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_SESSION_TOKEN": keys["SessionToken"],
        }


def answer(functions: Functions, function: Any, body: bytes | str, headers: Any, response: Any) -> str | bytes:
    """Answer Lambda's Invoke API: the payload, with the log and error headers set in ``response``."""
    result = functions.run(function, json.loads(body) if body else {})
    if result.error:
        response["x-amz-function-error"] = result.error
    if headers.get("x-amz-invocation-type", "RequestResponse") != "RequestResponse":
        return b""
    tail = result.log.encode()[-_LOG_TAIL:]
    response["x-amz-log-result"] = base64.b64encode(tail).decode()
    response["x-amzn-RequestId"] = str(uuid.uuid4())
    return result.payload


def _command(runtime: str) -> list[str]:
    here = resources.files("tandem.rehearsal.cloud")
    if runtime.startswith("python"):
        return [sys.executable, "-I", str(here / "bootstrap.py")]
    if runtime.startswith("nodejs"):
        return ["node", str(here / "bootstrap.mjs")]
    raise FunctionError(f"functions of runtime {runtime} are not run here; allowed: python*, nodejs*")


def _failed(kind: str, message: str, log: bytes) -> Result:
    payload = json.dumps({"errorType": kind, "errorMessage": message}).encode()
    return Result(payload, log.decode(errors="replace"), "Unhandled")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
