"""Define the ECS task that fills the bucket with a group's compiled artifacts ahead of a rollout."""

from __future__ import annotations

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs
from constructs import Construct

from constructs.compute.user_data import ATTRIBUTE
from constructs.packaging.assets import worker_image
from constructs.review.acknowledge import acknowledge_task
from constructs.serving.artifacts import grant_artifacts
from constructs.serving.roles import StageRoles
from constructs.serving.task import grant_weights, mount_local_disk
from constructs.serving.vllm import Launch
from constructs.storage.artifacts import ArtifactBucket
from runtime.handoff import settings

_HOST_MEMORY_SHARE = 0.05
"""What the worker leaves, less ECS's own; a reservation, which it may exceed."""


class CompileJob(Construct):
    """Hold a task definition for ``aws ecs run-task``: it compiles on a host's CPUs, beside the worker."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        launch: Launch,
        roles: StageRoles,
        artifacts: ArtifactBucket,
        place: str,
        log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, construct_id)
        model, workers, group = launch.model, launch.workers, launch.group
        task = ecs.Ec2TaskDefinition(
            self,
            "Task",
            # a network of its own: the worker has the host's ports
            network_mode=ecs.NetworkMode.BRIDGE,
            task_role=roles.compilation,
            execution_role=roles.execution,
            placement_constraints=[ecs.PlacementConstraint.member_of(f"attribute:{ATTRIBUTE} == {group.name}")],
        )
        container = task.add_container(
            "compile",
            image=worker_image(workers.image),
            command=["compile", *launch.command[1:]],
            environment={
                **launch.compile_environment,
                "AWS_REGION": Stack.of(self).region,
                "HF_HOME": f"{settings.LOCAL_FOLDER}/huggingface",
                settings.START_SECONDS: str(workers.start_seconds),
                settings.ARTIFACTS: place,
                **({settings.WEIGHTS: model.weights} if model.weights else {}),
            },
            memory_reservation_mib=int(launch.kind.memory_gib * 1024 * _HOST_MEMORY_SHARE),
            logging=ecs.LogDrivers.aws_logs(stream_prefix=f"{group.name}-compile", log_group=log_group),
        )
        mount_local_disk(task, container)
        if model.weights:
            grant_weights(task, model.weights)
        grant_artifacts(task.task_role, artifacts)
        acknowledge_task(task)
        CfnOutput(self, "TaskDefinition", value=task.task_definition_arn, description=f"compiles for {group.name}")
