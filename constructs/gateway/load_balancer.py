"""Let clients inside the VPC reach the gateway under one name."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_s3 as s3
from constructs import Construct

from constructs.review.acknowledge import acknowledge
from tandem.spec.gateway import Gateway

_IDLE_TIMEOUT = Duration.minutes(10)
_DRAIN = Duration.seconds(60)


class GatewayLoadBalancer(Construct):
    """Hold an internal application load balancer: HTTPS where the deployment names a certificate, else HTTP."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        gateway: Gateway,
        client_cidr: str,
        access_logs: s3.IBucket,
        service: ecs.FargateService,
    ) -> None:
        super().__init__(scope, construct_id)
        secure = gateway.certificate_arn is not None
        self.port = 443 if secure else 80
        self.group = ec2.SecurityGroup(self, "Group", vpc=vpc, allow_all_outbound=False, description="gateway clients")
        self.group.add_ingress_rule(ec2.Peer.ipv4(client_cidr), ec2.Port.tcp(self.port), "clients in the VPC")
        self.balancer = elbv2.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=vpc,
            internet_facing=False,
            security_group=self.group,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
            # a long prompt prefills for a while before the first byte comes back
            idle_timeout=_IDLE_TIMEOUT,
            drop_invalid_header_fields=True,
        )
        acknowledge(
            self.balancer,
            NIST_ALBWAFEnabled="reached from the VPC alone, by callers with a key; WAF reads only the beginning of "
            "a body, and prompts are long",
            NIST_ELBDeletionProtectionEnabled="it holds no state, and a deployment is taken down by one command",
        )
        self.balancer.log_access_logs(access_logs, "gateway")
        self.url = f"{'https' if secure else 'http'}://{gateway.domain or self.balancer.load_balancer_dns_name}"
        listener = self.balancer.add_listener(
            "Listener",
            port=self.port,
            protocol=elbv2.ApplicationProtocol.HTTPS if secure else elbv2.ApplicationProtocol.HTTP,
            certificates=[elbv2.ListenerCertificate(gateway.certificate_arn)] if gateway.certificate_arn else None,
            ssl_policy=elbv2.SslPolicy.RECOMMENDED_TLS if secure else None,
            open=False,
        )
        if not secure:
            reason = "the file names no certificate: rule plain-http warns at every validation and synth"
            acknowledge(listener, NIST_ALBHttpToHttpsRedirection=reason, NIST_ELBv2ACMCertificateRequired=reason)
        self.targets = listener.add_targets(
            "Gateway",
            port=gateway.port,
            # by a certificate that each task makes for itself; a load balancer verifies no target's
            protocol=elbv2.ApplicationProtocol.HTTPS,
            targets=[service],
            deregistration_delay=_DRAIN,
            health_check=elbv2.HealthCheck(
                path="/health", protocol=elbv2.Protocol.HTTPS, interval=Duration.seconds(10), healthy_threshold_count=2
            ),
        )

    def metric_requests(self) -> cloudwatch.Metric:
        """Return the number of requests."""
        return self.balancer.metrics.request_count()

    def metric_server_errors(self) -> cloudwatch.Metric:
        """Return the number of answers with a status of 500 or more."""
        return self.balancer.metrics.http_code_target(elbv2.HttpCodeTarget.TARGET_5XX_COUNT)

    def metric_throttled(self) -> cloudwatch.Metric:
        """Return the number of answers with a status of 400 to 499, 429 among them."""
        return self.balancer.metrics.http_code_target(elbv2.HttpCodeTarget.TARGET_4XX_COUNT)

    def metric_first_byte(self) -> cloudwatch.Metric:
        """Return the 99th percentile of the time from a request to the first byte of its answer, in seconds."""
        return self.balancer.metrics.target_response_time(statistic="p99")

    def metric_unhealthy(self) -> cloudwatch.Metric:
        """Return the number of gateway tasks that fail their health check."""
        return self.targets.metrics.unhealthy_host_count()
