"""The resource types that moto's CloudFormation lacks, or cannot update or delete, one file an area.

Importing this package makes every type known to ``Resource.known``.
"""

from tandem.rehearsal.cloud.resources import (
    agentcore,
    audit,
    awslambda,
    custom,
    ec2,
    ecs,
    edge,
    identity,
    misc,
    monitoring,
    policies,
    scaling,
    secretsmanager,
    servicediscovery,
)

__all__ = [
    "agentcore",
    "audit",
    "awslambda",
    "custom",
    "ec2",
    "ecs",
    "edge",
    "identity",
    "misc",
    "monitoring",
    "policies",
    "scaling",
    "secretsmanager",
    "servicediscovery",
]
