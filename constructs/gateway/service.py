"""Run the gateway on Fargate behind an internal load balancer."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from aws_cdk import Aws, CfnOutput, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_servicediscovery as servicediscovery
from constructs import Construct

from constructs.decode.endpoint import DecodeEndpoint
from constructs.gateway.clients import agentcore_secret, tenants_secret
from constructs.gateway.collector import trace
from constructs.gateway.load_balancer import GatewayLoadBalancer
from constructs.gateway.scaling import follow_streams
from constructs.gateway.spill_over import spill_over_secret
from constructs.observability.logs import program_logs
from constructs.packaging.assets import container_image
from constructs.review.acknowledge import acknowledge_finding, acknowledge_task
from constructs.serving.workers import VllmWorkers
from runtime.handoff import settings
from tandem.spec.deployment import Deployment
from tandem.spec.gateway import Gateway, SpillOver


class GatewayService(Construct):
    """Hold the gateway's task, its service and what it may reach; ``tenants`` is the secret of those who may call.

    ``use_prefill``, ``use_decode_workers`` and ``use_decode_endpoint`` each wire one peer: environment, secret grant
    and network path together, so that none of the three can be forgotten.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        namespace: servicediscovery.IPrivateDnsNamespace,
        deployment: Deployment,
        access_logs: s3.IBucket,
        encryption_key: kms.IKey,
        log_retention: logs.RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        self._encryption_key, self._log_retention = encryption_key, log_retention
        self._rotation_days = deployment.secrets.rotation_days
        self.tenants = tenants_secret(self, encryption_key)
        cluster = ecs.Cluster(self, "Cluster", vpc=vpc, container_insights_v2=ecs.ContainerInsights.ENABLED)
        group = ec2.SecurityGroup(self, "Group", vpc=vpc, allow_all_outbound=False, description="gateway tasks")
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.HTTPS, "AWS APIs")
        self.container = self._task(deployment, encryption_key, log_retention)
        self._use_secret(settings.TENANTS_SECRET_ARN, self.tenants)
        self.service = ecs.FargateService(
            self,
            "Service",
            cluster=cluster,
            task_definition=self.container.task_definition,
            # a count in the template would undo, at each deployment, what scaling has set
            desired_count=None if deployment.gateway.scales else deployment.gateway.min_count,
            min_healthy_percent=100,
            max_healthy_percent=200,
            security_groups=[group],
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
            circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
        )
        self._count_tasks(namespace)
        self.load_balancer = GatewayLoadBalancer(
            self,
            "Ingress",
            vpc=vpc,
            gateway=deployment.gateway,
            client_cidr=deployment.network.cidr,
            access_logs=access_logs,
            service=self.service,
        )
        if deployment.model.tokenizer_file:
            self._count_by(deployment.model.tokenizer_file)
        if deployment.gateway.spill_over:
            self._spill_over_to(deployment.gateway.spill_over)
        if deployment.gateway.scales:
            follow_streams(self.service, deployment.gateway, deployment.name)
        CfnOutput(self, "Url", value=self.load_balancer.url, description="where clients in the VPC call")

    def use_prefill(self, workers: VllmWorkers) -> None:
        """Let the gateway find, reach and call the prefill workers."""
        self._discover(workers, settings.PREFILL_NAMESPACE, settings.PREFILL_SERVICE, settings.PREFILL_STATUS_PORT)
        self.container.add_environment(settings.KV_LEASE_SECONDS, str(workers.workers.kv_lease_seconds))
        self._use_secret(settings.PREFILL_SECRET_ARN, workers.key)

    def use_decode_workers(self, workers: VllmWorkers) -> None:
        """Let the gateway find, reach and call vLLM decode workers."""
        self._discover(workers, settings.DECODE_NAMESPACE, settings.DECODE_SERVICE, settings.DECODE_STATUS_PORT)
        self._use_secret(settings.DECODE_SECRET_ARN, workers.key)

    def use_decode_endpoint(self, endpoint: DecodeEndpoint) -> None:
        """Let the gateway reach and call an endpoint elsewhere, with signed tickets where KV is handed over."""
        for port in endpoint.ports:
            self.service.connections.allow_to(ec2.Peer.any_ipv4(), ec2.Port.tcp(port), "decode endpoint")
        self.container.add_environment(settings.DECODE_ENDPOINTS, ",".join(endpoint.urls))
        self.container.add_environment(settings.DECODE_MODEL, endpoint.model)
        self._use_secret(settings.DECODE_SECRET_ARN, endpoint.secret)
        if endpoint.ticket_key:
            self._use_secret(settings.TICKET_SECRET_ARN, endpoint.ticket_key)

    def admit_agentcore(self) -> secretsmanager.ISecret:
        """Return the key by which AgentCore may call, as a tenant of its own."""
        secret = agentcore_secret(
            self, self._encryption_key, rotation_days=self._rotation_days, log_retention=self._log_retention
        )
        self._use_secret(settings.AGENTCORE_SECRET_ARN, secret)
        return secret

    def _count_by(self, tokenizer: str) -> None:
        """Let the tasks read the model's tokenizer, an S3 URI."""
        self.container.add_environment(settings.TOKENIZER, tokenizer)
        arn = f"arn:{Aws.PARTITION}:s3:::{tokenizer.removeprefix('s3://')}"
        self.container.task_definition.add_to_task_role_policy(
            iam.PolicyStatement(actions=["s3:GetObject"], resources=[arn])
        )

    def _spill_over_to(self, spare: SpillOver) -> None:
        port = ec2.Port.tcp(urlsplit(spare.endpoint).port or 443)
        self.service.connections.allow_to(ec2.Peer.any_ipv4(), port, "spill-over")
        self.container.add_environment(settings.SPILL_OVER_ENDPOINTS, spare.endpoint)
        self.container.add_environment(settings.SPILL_OVER_MODEL, spare.model)
        self._use_secret(settings.SPILL_OVER_SECRET_ARN, spill_over_secret(self, spare, self._encryption_key))

    def metric_cpu(self) -> cloudwatch.Metric:
        """Return the share of the tasks' CPU in use, in percent."""
        return self.service.metric_cpu_utilization()

    def _use_secret(self, variable: str, secret: secretsmanager.ISecret) -> None:
        """Let the task read a secret while it runs: one that is injected at its start cannot be rotated."""
        self.container.add_environment(variable, secret.secret_arn)
        secret.grant_read(self.container.task_definition.task_role)

    def _discover(self, workers: VllmWorkers, namespace: str, service: str, status_port: str) -> None:
        self.container.add_environment(namespace, workers.namespace.namespace_name)
        self.container.add_environment(service, workers.discovery.service_name)
        self.container.add_environment(status_port, str(workers.workers.status_port))
        self.service.connections.allow_to(workers.security_group, workers.api_port, "gateway to workers")
        self.service.connections.allow_to(workers.security_group, workers.status_port, "readiness")

    def _count_tasks(self, namespace: servicediscovery.IPrivateDnsNamespace) -> None:
        """Have ECS register the tasks where each of them counts all, and let it ask Cloud Map for them, and workers."""
        registered = servicediscovery.Service(
            self,
            "Discovery",
            namespace=namespace,
            name="gateway",
            dns_record_type=servicediscovery.DnsRecordType.A,
            custom_health_check=servicediscovery.HealthCheckCustomConfig(failure_threshold=1),
        )
        self.service.associate_cloud_map_service(service=registered)
        self.container.add_environment(settings.GATEWAY_NAMESPACE, namespace.namespace_name)
        self.container.add_environment(settings.GATEWAY_SERVICE, registered.service_name)
        self.container.task_definition.add_to_task_role_policy(
            iam.PolicyStatement(actions=["servicediscovery:DiscoverInstances"], resources=["*"])
        )
        acknowledge_finding(
            self,
            "AwsSolutions-IAM5[Resource::*]",
            "DiscoverInstances has no resource-level permission (Service Authorization Reference, AWS Cloud Map)",
        )

    def _task(
        self, deployment: Deployment, encryption_key: kms.IKey, log_retention: logs.RetentionDays
    ) -> ecs.ContainerDefinition:
        gateway = deployment.gateway
        log_group = program_logs(self, log_retention, encryption_key)
        task = ecs.FargateTaskDefinition(self, "Task", cpu=gateway.cpu, memory_limit_mib=gateway.memory_mib)
        container = task.add_container(
            "gateway",
            image=container_image("gateway"),
            environment={
                "AWS_REGION": Stack.of(self).region,
                settings.DEPLOYMENT: deployment.name,
                settings.METRICS_PORT: str(gateway.metrics_port),
                settings.MODEL: deployment.model.id,
                settings.MAX_MODEL_LEN: str(deployment.model.max_model_len),
                settings.LISTEN_PORT: str(gateway.port),
                settings.DECODE_PROVIDER: deployment.decode.provider,
                settings.ADMISSION: _admission(gateway),
                settings.NEW_TOKENS: str(gateway.routing.new_tokens),
                settings.NEW_SHARE: str(gateway.routing.new_share),
            },
            logging=ecs.LogDrivers.aws_logs(stream_prefix="gateway", log_group=log_group),
            readonly_root_filesystem=True,
            # a stream in flight may go on for a while after the task is told to stop
            stop_timeout=Duration.seconds(60),
        )
        for port in (gateway.port, gateway.metrics_port):
            container.add_port_mappings(ecs.PortMapping(container_port=port))
        if deployment.observability.tracing == "xray":
            trace(container, deployment, ecs.LogDrivers.aws_logs(stream_prefix="collector", log_group=log_group))
        acknowledge_task(task)
        return container


def _admission(gateway: Gateway) -> str:
    """Return the bounds of one task; before it has counted all, it takes them for the fewest that there are."""
    return json.dumps({**gateway.admission.model_dump(), "gateways": gateway.min_count})
