"""Define the ECS task of a vLLM worker: image, command, variables, devices, ports and the host's disk."""

from __future__ import annotations

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from constructs.packaging.assets import worker_image
from constructs.review.acknowledge import acknowledge, acknowledge_finding, acknowledge_task
from constructs.serving.artifacts import grant_artifacts
from constructs.serving.vllm import Launch
from constructs.storage.artifacts import ArtifactBucket
from runtime.handoff import settings
from tandem.spec.capacity import drain_seconds, stop_seconds
from tandem.spec.instances import InstanceType

_SHARED_MEMORY_MIB = 10 * 1024
_HOST_MEMORY_SHARE = 0.9
# bounds of a container's health check (Amazon ECS API reference, HealthCheck): it can wait 3,300 s
_LEAST_SECONDS = 30
_MOST_SECONDS = 300
_RETRIES = 10
_FETCH_SECONDS = 600
"""Allowed for weights that a new host has yet to fetch: 140 GB at 0.25 GB/s."""


class WorkerTask(Construct):
    """Hold the task definition of one instance group's workers: one worker a host, in the host's network.

    Compiled artifacts lie at ``place``, and what hosts the group gave up at ``record``, both in ``artifacts``.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        launch: Launch,
        execution: iam.IRole,
        key: secretsmanager.ISecret,
        artifacts: ArtifactBucket,
        place: str,
        record: str,
        log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, construct_id)
        model, workers, group, kind = launch.model, launch.workers, launch.group, launch.kind
        interfaces = group.efa_interfaces or kind.efa_interfaces
        self.definition = ecs.Ec2TaskDefinition(
            self, "Task", network_mode=ecs.NetworkMode.HOST, execution_role=execution
        )
        self.container = self.definition.add_container(
            "vllm",
            image=worker_image(workers.image),
            command=launch.command,
            environment={
                **launch.environment,
                "AWS_REGION": Stack.of(self).region,
                "HF_HOME": f"{settings.LOCAL_FOLDER}/huggingface",
                settings.STATUS_PORT: str(workers.status_port),
                settings.WORKER_SECRET_ARN: key.secret_arn,
                settings.START_SECONDS: str(workers.start_seconds),
                settings.WARM_START_SECONDS: str(workers.warm_start_seconds),
                settings.DRAIN_SECONDS: str(drain_seconds(group.capacity)),
                settings.NEURON_DEVICES: str(kind.neuron_devices),
                settings.EFA_INTERFACES: str(interfaces),
                settings.ARTIFACTS: place,
                settings.RECOVERY: record,
                **({settings.WEIGHTS: model.weights} if model.weights else {}),
            },
            memory_reservation_mib=int(kind.memory_gib * 1024 * _HOST_MEMORY_SHARE),
            linux_parameters=_devices(self, kind, interfaces),
            stop_timeout=Duration.seconds(stop_seconds(group.capacity)),
            health_check=_health_check(workers.warm_start_seconds),
            logging=ecs.LogDrivers.aws_logs(stream_prefix=group.name, log_group=log_group),
        )
        for port in (workers.api_port, workers.side_channel_port, workers.status_port):
            self.container.add_port_mappings(ecs.PortMapping(container_port=port, host_port=port))
        # EFA pins the memory that it registers
        self.container.add_ulimits(ecs.Ulimit(name=ecs.UlimitName.MEMLOCK, soft_limit=-1, hard_limit=-1))
        mount_local_disk(self.definition, self.container)
        key.grant_read(self.definition.task_role)
        if model.weights:
            grant_weights(self.definition, model.weights)
        grant_artifacts(self.definition.task_role, artifacts)
        acknowledge_task(self.definition)
        acknowledge(
            self.definition,
            NIST_ECSTaskDefinitionUserForHostMode="EFA needs the host's network; the Neuron image runs as root, and "
            "no container is privileged",
        )


def mount_local_disk(task: ecs.TaskDefinition, container: ecs.ContainerDefinition) -> None:
    """Give a container the host's folder for weights and artifacts, under the same path."""
    task.add_volume(name="local", host=ecs.Host(source_path=settings.LOCAL_FOLDER))
    container.add_mount_points(
        ecs.MountPoint(container_path=settings.LOCAL_FOLDER, source_volume="local", read_only=False)
    )


def grant_weights(task: ecs.TaskDefinition, uri: str) -> None:
    """Let a task read the weights below ``uri`` and nothing beside them."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    arn = f"arn:{Aws.PARTITION}:s3:::{bucket}"
    objects = iam.PolicyStatement(actions=["s3:GetObject"], resources=[f"{arn}/{prefix}/*"])
    listing = iam.PolicyStatement(
        actions=["s3:ListBucket"], resources=[arn], conditions={"StringEquals": {"s3:prefix": f"{prefix}/"}}
    )
    for statement in (objects, listing):
        task.add_to_task_role_policy(statement)
    finding = f"AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:s3:::{bucket}/{prefix}/*]"
    acknowledge_finding(task.task_role, finding, "every file of the weights lies below this prefix")


def _health_check(warm_start_seconds: int) -> ecs.HealthCheck:
    """Have ECS wait for a start that finds artifacts, as long as it can, before it replaces the next worker."""
    beyond = warm_start_seconds + _FETCH_SECONDS - _MOST_SECONDS
    interval = min(_MOST_SECONDS, max(_LEAST_SECONDS, -(-beyond // _RETRIES)))
    known = _MOST_SECONDS + (_RETRIES - 1) * interval  # from then on the check fails no worker
    return ecs.HealthCheck(
        command=["CMD", "python3", "-m", "runtime.prefill.health", str(known)],
        start_period=Duration.seconds(_MOST_SECONDS),
        interval=Duration.seconds(interval),
        retries=_RETRIES,
        timeout=Duration.seconds(_LEAST_SECONDS),
    )


def _devices(scope: Construct, kind: InstanceType, interfaces: int) -> ecs.LinuxParameters:
    # an init process reaps what vLLM's own processes leave behind
    parameters = ecs.LinuxParameters(scope, "Devices", shared_memory_size=_SHARED_MEMORY_MIB, init_process_enabled=True)
    neuron = [f"/dev/neuron{index}" for index in range(kind.neuron_devices)]
    verbs = [f"/dev/infiniband/uverbs{index}" for index in range(interfaces)]
    permissions = [ecs.DevicePermission.READ, ecs.DevicePermission.WRITE, ecs.DevicePermission.MKNOD]
    parameters.add_devices(*(ecs.Device(host_path=path, permissions=permissions) for path in neuron + verbs))
    return parameters
