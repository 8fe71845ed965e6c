"""Run an AWS account in this process: moto's server on the loopback interface, with our CloudFormation.

One at a time in a process, since moto keeps its state in module globals.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from unittest import mock

import moto.backends  # noqa: F401 - the dispatcher imports it late, inside a request
from moto.core.base_backend import BackendDict
from moto.core.config import default_user_config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

import tandem.rehearsal.cloud.resources  # noqa: F401 - makes every resource type known
from tandem.rehearsal.cloud import functions, seams
from tandem.rehearsal.cloud.api import ACCESS_KEY, Api
from tandem.rehearsal.cloud.inference import InferenceGateways
from tandem.rehearsal.cloud.middleware import Gate, Mailbox
from tandem.rehearsal.cloud.stack import Stack

_HOST = "127.0.0.1"
_ACCOUNT = re.compile(r"\d{12}")


class EmbeddedCloudError(RuntimeError):
    """Tell why the embedded AWS cannot start."""


class EmbeddedCloud:
    """Hold one account in one region, empty at every start; a context manager.

    ``work`` takes the functions' code. ``port`` 0 takes a free one. The ``environment`` and ``prelude`` of
    ``functions`` may be set before a deployment (see ``Functions``).
    """

    def __init__(self, account: str, region: str, work: Path, port: int = 0) -> None:
        if not _ACCOUNT.fullmatch(account):
            raise EmbeddedCloudError(f"account must be 12 digits, got {account!r}")
        self.account, self.region, self._work, self._wanted_port = account, region, work, port
        self._server: BaseWSGIServer | None = None
        self._undo = ExitStack()
        self.mailbox = Mailbox()

    def start(self) -> None:
        """Listen, and put our parts into moto; raise ``EmbeddedCloudError`` if the port is taken."""
        listening = _listen(self._wanted_port)
        self.port: int = listening.getsockname()[1]
        self.api = Api(self.endpoint, self.region)
        self.functions = functions.Functions(self._work, self.account, self.api)
        self._work.mkdir(parents=True, exist_ok=True)
        with ExitStack() as undo:
            undo.callback(listening.close)
            self._install(undo)
            gate = Gate(DomainDispatcherApplication(create_backend_app), self.account, self.mailbox)
            app = InferenceGateways(gate, self.account, self.api)
            self._server = make_server(
                _HOST, self.port, app, threaded=True, request_handler=_QuietHandler, fd=listening.fileno()
            )
            thread = threading.Thread(target=self._server.serve_forever, name="embedded-cloud", daemon=True)
            thread.start()
            undo.callback(thread.join)
            undo.callback(self._server.server_close)
            undo.callback(self._server.shutdown)
            self._undo = undo.pop_all()

    def stop(self) -> None:
        """Stop listening, and give moto its own parts back."""
        self._undo.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """Return the URL to use as AWS_ENDPOINT_URL; moto reads S3 URLs right only with the name localhost."""
        return f"http://localhost:{self.port}"

    def environment(self) -> dict[str, str]:
        """Return what a process needs to use this account as its administrator: the AWS SDKs, and the CDK's CLI."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DEFAULT_ACCOUNT": self.account,
            "CDK_DEFAULT_REGION": self.region,
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "NO_PROXY": "localhost,127.0.0.1",
        }

    def _install(self, undo: ExitStack) -> None:
        BackendDict.reset()
        undo.enter_context(mock.patch.dict(os.environ, {"MOTO_ACCOUNT_ID": self.account}))
        undo.enter_context(mock.patch.dict(default_user_config["iam"], {"load_aws_managed_policies": True}))
        for name, part in (("api", self.api), ("functions", self.functions), ("mailbox", self.mailbox)):
            undo.enter_context(mock.patch.object(Stack, name, part, create=True))
        undo.enter_context(seams.installed(lambda *request: functions.answer(self.functions, *request)))
        undo.callback(BackendDict.reset)


class _QuietHandler(MotoRequestHandler):
    """Do not log every request: a deployment makes thousands."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_HOST, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise EmbeddedCloudError(f"port {port} of {_HOST} cannot be used: {error.strerror}; choose another") from error
    return listening
