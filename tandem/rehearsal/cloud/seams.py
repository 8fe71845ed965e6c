"""Put our parts where moto's stood: every place in which the embedded AWS changes moto, and only here."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import moto.awslambda.models
import moto.cloudformation.models
import moto.cloudformation.parsing
import moto.sns.models
from moto.bedrock.models import BedrockBackend
from moto.bedrock.responses import BedrockResponse
from moto.bedrockagentcorecontrol.responses import BedrockAgentCoreControlResponse
from moto.cloudformation.responses import CloudFormationResponse
from moto.cloudtrail.responses import CloudTrailResponse
from moto.cloudwatch.responses import CloudWatchResponse
from moto.ec2.responses import EC2Response
from moto.ecs.models import EC2ContainerServiceBackend
from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket
from moto.sagemaker.responses import SageMakerResponse
from moto.secretsmanager.models import SecretsManagerBackend
from moto.servicediscovery.models import ServiceDiscoveryBackend

from tandem.rehearsal.cloud import (
    agentcore_actions,
    bedrock_actions,
    ec2_actions,
    secretsmanager_actions,
    servicediscovery_actions,
    stack,
    template,
)
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
        (models.CloudFormationBackend, "execute_change_set", stack.execute_change_set),
        (parsing, "clean_json", template.resolve),
        (moto.awslambda.models.LambdaFunction, "invoke", invoke),
        (moto.sns.models, "requests", _NoNetwork),
        (BedrockBackend, "_list_arns", bedrock_actions.arns),
        (SecretsManagerBackend, "rotate_secret", secretsmanager_actions.rotate_secret),
        (SecretsManagerBackend, "update_secret_version_stage", secretsmanager_actions.update_secret_version_stage),
        (ServiceDiscoveryBackend, "register_instance", servicediscovery_actions.register_instance),
        (SageMakerResponse, "create_model", bedrock_actions.create_sagemaker_model),
        (EC2ContainerServiceBackend, "_validate_container_defs", staticmethod(_container_defs)),
        # moto reads a Deny without TLS as a Deny: it sees neither a policy's conditions nor its principals
        (FakeBucket, "get_permission", lambda *_: PermissionResult.NEUTRAL),
    ]
    added: list[tuple[Any, str, Any]]
    added = [(EC2Response, name, action) for name, action in ec2_actions.ACTIONS.items()]
    added += [(BedrockAgentCoreControlResponse, name, action) for name, action in agentcore_actions.ACTIONS.items()]
    added += [(BedrockResponse, name, action) for name, action in bedrock_actions.ACTIONS.items()]
    # moto's metric alarms take a rule, as composite ones have, but no call makes one
    added.append((CloudWatchResponse, "put_composite_alarm", CloudWatchResponse.put_metric_alarm))
    # CDK's CLI looks for the cause of a failed deployment there as well
    added.append((CloudTrailResponse, "lookup_events", lambda _: json.dumps({"Events": []})))
    protection = stack.update_termination_protection
    added.append((CloudFormationResponse, "update_termination_protection", protection))
    with ExitStack() as undo:
        for owner, name, part in replaced:
            undo.enter_context(mock.patch.object(owner, name, part))
        for owner, name, part in added:
            undo.enter_context(mock.patch.object(owner, name, part, create=True))
        yield


_moto_container_defs = EC2ContainerServiceBackend._validate_container_defs


def _container_defs(memory: str | None, containers: list[dict[str, Any]], compatibilities: list[str] | None) -> None:
    """Let a container on EC2 reserve memory without a limit, which ECS allows and moto refuses."""
    _moto_container_defs(memory, containers, [one for one in compatibilities or [] if one != "EC2"])


class _NoNetwork:
    """Stand in for ``requests`` where moto would call an HTTP subscriber: nothing leaves this machine."""

    @staticmethod
    def post(url: str, **_: Any) -> None:
        """Log the message that would be sent."""
        log.warning("not sent to the HTTP subscriber %s: the embedded AWS calls nobody outside", url)
