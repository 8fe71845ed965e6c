"""Write what a host does at its first boot: join ECS with its attributes, and mount its own NVMe disk."""

from __future__ import annotations

import json

from aws_cdk import aws_ec2 as ec2

from runtime.handoff import settings

ATTRIBUTE = "tandem.group"
"""The attribute by which ECS tells the hosts of one group from another's."""
_CONFIG = "/etc/ecs/ecs.config"
_LABEL = "tandem"


def user_data(group: str, *, spot: bool) -> ec2.UserData:
    """Return the script of the hosts of ``group``; the ECS agent, and with it every worker, starts after it."""
    script = ec2.UserData.for_linux()
    script.add_commands(*_LOCAL_DISK, f"echo 'ECS_INSTANCE_ATTRIBUTES={json.dumps({ATTRIBUTE: group})}' >> {_CONFIG}")
    if spot:
        # off by default: the agent drains the host, and so its worker, once it hears of the interruption
        script.add_commands(f"echo ECS_ENABLE_SPOT_INSTANCE_DRAINING=true >> {_CONFIG}")
    return script


# Weights and artifacts are read from here. The first disk is enough; several would have to be striped. A type without
# one keeps the folder on the root volume.
_LOCAL_DISK = (
    "disk=$(lsblk --noheadings --nodeps --paths --output NAME,MODEL | awk '/Instance Storage/ {print $1; exit}')",
    f"mkdir -p {settings.LOCAL_FOLDER}",
    'if [ -n "$disk" ]; then',
    f'  blkid "$disk" || mkfs.xfs -K -L {_LABEL} "$disk"',
    f"  echo 'LABEL={_LABEL} {settings.LOCAL_FOLDER} xfs defaults,nofail 0 2' >> /etc/fstab",
    f"  mount {settings.LOCAL_FOLDER}",
    "fi",
)
