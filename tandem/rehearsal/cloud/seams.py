"""Put our parts where moto's stood: every place in which the embedded AWS changes moto, and only here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import moto.awslambda.models
import moto.cloudformation.models
import moto.cloudformation.parsing
import moto.sns.models
from moto.ec2.responses import EC2Response

from tandem.rehearsal.cloud import ec2_actions, stack, template
from tandem.rehearsal.cloud.resource_map import Resources

log = logging.getLogger("tandem.rehearsal.cloud")

Invoke = Callable[[Any, bytes | str, Any, Any], str | bytes]
"""Take a moto LambdaFunction, the event, request headers and response headers; return the payload."""


@contextmanager
def installed(invoke: Invoke) -> Iterator[None]:
    """Replace the parts of moto for as long as an embedded AWS runs; ``invoke`` runs a Lambda function."""
    models, parsing = moto.cloudformation.models, moto.cloudformation.parsing
    replaced: list[tuple[Any, str, Any]] = [
        (models, "Stack", stack.Stack),
        (models, "ResourceMap", Resources),
        (models.CloudFormationBackend, "delete_stack", stack.delete_stack),
        (parsing, "clean_json", template.resolve),  # conditions are still evaluated by moto
        (moto.awslambda.models.LambdaFunction, "invoke", invoke),
        (moto.sns.models, "requests", _NoNetwork),
    ]
    added = [(EC2Response, name, action) for name, action in ec2_actions.ACTIONS.items()]
    with ExitStack() as undo:
        for owner, name, part in replaced:
            undo.enter_context(mock.patch.object(owner, name, part))
        for owner, name, part in added:
            undo.enter_context(mock.patch.object(owner, name, part, create=True))
        yield


class _NoNetwork:
    """Stand in for ``requests`` where moto would call an HTTP subscriber: nothing leaves this machine."""

    @staticmethod
    def post(url: str, **_: Any) -> None:
        """Log the message that would be sent."""
        log.warning("not sent to the HTTP subscriber %s: the embedded AWS calls nobody outside", url)

