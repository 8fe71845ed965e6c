"""Run vLLM workers on Trainium: the cluster, its instance groups, one ECS service a group, and how they are found."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_servicediscovery as servicediscovery
from constructs import Construct

from constructs.compute.demand import demand
from constructs.compute.instance_group import TrainiumGroup
from constructs.compute.queue_scaling import QueueScaling
from constructs.compute.user_data import ATTRIBUTE
from constructs.network.efa import EfaSecurityGroup
from constructs.observability.logs import program_logs
from constructs.secrets.rotated import KeyRotation
from constructs.serving.artifacts import compile_key
from constructs.serving.compile_job import CompileJob
from constructs.serving.roles import StageRoles
from constructs.serving.task import WorkerTask
from constructs.serving.vllm import Launch, Role
from constructs.storage.artifacts import ArtifactBucket
from runtime.handoff import settings
from tandem.spec.model import Model
from tandem.spec.workers import InstanceGroup, Prefill, Workers

_SERVICE_NAMES = {Role.PREFILL: "prefill", Role.DECODE: "decode"}


class VllmWorkers(Construct):
    """Hold every worker of one stage (prefill or decode); all register in one Cloud Map service."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        subnet: ec2.ISubnet,
        placement_group: ec2.CfnPlacementGroup,
        namespace: servicediscovery.IPrivateDnsNamespace,
        deployment: str,
        role: Role,
        model: Model,
        workers: Workers,
        encryption_key: kms.IKey,
        artifacts: ArtifactBucket,
        rotation_days: int,
        log_retention: logs.RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        self._vpc, self._subnet, self._placement_group = vpc, subnet, placement_group
        self._role, self._model, self.workers = role, model, workers
        self._artifacts, self._deployment = artifacts, deployment
        self._volume_key = encryption_key
        self.name = _SERVICE_NAMES[role]
        self.security_group = EfaSecurityGroup(self, "Efa", vpc=vpc)
        self.key = _worker_key(self, encryption_key)
        self._roles = StageRoles(self, "Roles")
        KeyRotation(
            self,
            "KeyRotation",
            secret=self.key,
            encryption_key=encryption_key,
            days=rotation_days,
            log_retention=log_retention,
        )
        self.cluster = ecs.Cluster(self, "Cluster", vpc=vpc, container_insights_v2=ecs.ContainerInsights.ENABLED)
        self.namespace = namespace
        self.discovery = servicediscovery.Service(
            self,
            "Discovery",
            namespace=namespace,
            name=self.name,
            # a task in host network mode can register SRV records only
            dns_record_type=servicediscovery.DnsRecordType.SRV,
            custom_health_check=servicediscovery.HealthCheckCustomConfig(failure_threshold=1),
        )
        self._logs = program_logs(self, log_retention, encryption_key)
        self._hosts: list[TrainiumGroup] = []
        self.scaling: dict[str, QueueScaling] = {}
        self.services = [self._service(group) for group in workers.groups]

    @property
    def api_port(self) -> ec2.Port:
        """The port of vLLM's HTTP server."""
        return ec2.Port.tcp(self.workers.api_port)

    @property
    def side_channel_port(self) -> ec2.Port:
        """The port where a reader of KV shakes hands."""
        return ec2.Port.tcp(self.workers.side_channel_port)

    @property
    def status_port(self) -> ec2.Port:
        """The port where a worker says whether it takes requests."""
        return ec2.Port.tcp(self.workers.status_port)

    def allow_readers_from(self, cidr: str) -> None:
        """Let readers of KV in ``cidr`` shake hands with these workers."""
        self.security_group.add_ingress_rule(ec2.Peer.ipv4(cidr), self.side_channel_port, "KV handshake")

    def exchange_kv_with(self, producer: VllmWorkers) -> None:
        """Let these workers read KV from ``producer``: its side channel, and EFA between the two groups."""
        everything = ec2.Port.all_traffic()
        self.security_group.connections.allow_to(producer.security_group, everything, "KV from prefill")
        self.security_group.connections.allow_from(producer.security_group, everything, "KV from prefill")

    def follow_prompts(self, prefill: Prefill, *, reserved: bool) -> None:
        """Scale every group with bounds on the prompts that wait; see ``demand`` for ``reserved``."""
        for group, hosts in zip(self.workers.groups, self._hosts, strict=True):
            if group.scales:
                name = hosts.auto_scaling_group.auto_scaling_group_name
                self.scaling[group.name] = QueueScaling(
                    hosts,
                    "Scaling",
                    group=hosts.auto_scaling_group,
                    demand=demand(self._deployment, self._model.id, prefill, group, name, reserved=reserved),
                    scale_in_minutes=prefill.scaling.scale_in_minutes,
                )

    def metrics_hosts(self) -> list[cloudwatch.Metric]:
        """Return the number of hosts in service of each instance group."""
        return [hosts.metric_in_service() for hosts in self._hosts]

    def metrics_missing_hosts(self) -> dict[str, cloudwatch.MathExpression]:
        """Return how many hosts each instance group lacks, by the group's name."""
        groups = zip(self.workers.groups, self._hosts, strict=True)
        return {group.name: hosts.metric_missing() for group, hosts in groups}

    def _service(self, group: InstanceGroup) -> ecs.Ec2Service:
        kind = group.kind
        if kind is None:
            raise ValueError(f"instance type {group.instance_type} is unknown: name one that the rules accept")
        area = Construct(self, group.name)
        hosts = TrainiumGroup(
            area,
            "Group",
            vpc=self._vpc,
            subnet=self._subnet,
            placement_group=self._placement_group,
            security_group=self.security_group,
            profile=self._roles.hosts,
            group=group,
            kind=kind,
            volume_key=self._volume_key,
        )
        self._hosts.append(hosts)
        self.cluster.add_asg_capacity_provider(hosts.capacity_provider)
        task = self._task(
            area, Launch(model=self._model, workers=self.workers, group=group, kind=kind, role=self._role)
        )
        hosts.allow_replacement_by(task.task_role)
        service = ecs.Ec2Service(
            area,
            "Service",
            cluster=self.cluster,
            task_definition=task,
            # one worker a host, and none where there is no host: a deployment never waits for capacity
            daemon=True,
            # a host holds one worker, so a new one can start only where an old one has stopped: half of them at a time
            min_healthy_percent=50 if group.least > 1 else 0,
            max_healthy_percent=100,
            placement_constraints=[ecs.PlacementConstraint.member_of(f"attribute:{ATTRIBUTE} == {group.name}")],
            circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
        )
        # ECS refuses a service whose capacity provider is not yet associated with the cluster, and the other way round
        service.node.add_dependency(self.cluster)
        service.associate_cloud_map_service(service=self.discovery, container_port=self.workers.api_port)
        return service

    def _task(self, area: Construct, launch: Launch) -> ecs.Ec2TaskDefinition:
        """Return the worker's task definition, and define the job that compiles for it."""
        bucket = f"s3://{self._artifacts.bucket.bucket_name}"
        place = f"{bucket}/neff/{compile_key(launch)}"
        CompileJob(
            area,
            "Compile",
            launch=launch,
            roles=self._roles,
            artifacts=self._artifacts,
            place=place,
            log_group=self._logs,
        )
        worker = WorkerTask(
            area,
            "Worker",
            launch=launch,
            execution=self._roles.execution,
            key=self.key,
            artifacts=self._artifacts,
            place=place,
            record=f"{bucket}/recovery/{Stack.of(self).stack_name}/{launch.group.name}",
            log_group=self._logs,
        )
        for name, value in {settings.DEPLOYMENT: self._deployment, settings.STAGE: self.name}.items():
            worker.container.add_environment(name, value)
        return worker.definition


def _worker_key(scope: Construct, encryption_key: kms.IKey) -> secretsmanager.Secret:
    return secretsmanager.Secret(
        scope,
        "Key",
        description="By what workers and gateways know each other",
        encryption_key=encryption_key,
        generate_secret_string=secretsmanager.SecretStringGenerator(exclude_punctuation=True, password_length=48),
    )
