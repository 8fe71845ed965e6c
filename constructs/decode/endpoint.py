"""Integrate a decode endpoint that runs elsewhere: its secret, the private way to it, and a probe."""

from __future__ import annotations

from urllib.parse import urlsplit

from aws_cdk import CfnOutput, SecretValue
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from constructs.decode.probe import EndpointProbe
from constructs.review.acknowledge import acknowledge_unrotated
from runtime.handoff import settings
from tandem.spec.decode import Cs3, OpenAi
from tandem.spec.deployment import Deployment


class DecodeEndpoint(Construct):
    """Hold what is presented to the endpoint, and what signs tickets for it where KV is handed over.

    ``urls`` and ``ports`` are of all endpoints. ``secret`` is JSON, whose ``api_key`` an operator replaces by what
    their owner issued. ``ticket_key`` is known to both sides.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        deployment: Deployment,
        endpoint: Cs3 | OpenAi,
        encryption_key: kms.IKey,
        log_retention: logs.RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        self.urls = endpoint.endpoints
        self.ports = sorted({urlsplit(url).port or 443 for url in self.urls})
        self.model = endpoint.model if isinstance(endpoint, OpenAi) else deployment.model.id
        self.secret = secretsmanager.Secret(
            self,
            "Secret",
            description=f"Key of the decode endpoint {endpoint.endpoint}",
            encryption_key=encryption_key,
            secret_object_value={settings.API_KEY_FIELD: SecretValue.unsafe_plain_text("to-be-replaced")},
        )
        acknowledge_unrotated(self.secret, "the endpoint's owner issues the key, so no function can rotate it")
        self.ticket_key = _ticket_key(self, encryption_key) if isinstance(endpoint, Cs3) else None
        if self.ticket_key:
            key = CfnOutput(self, "TicketKeyArn", value=self.ticket_key.secret_arn, description="shared with the owner")
            key.override_logical_id("TicketKeyArn")
        if isinstance(endpoint, Cs3) and endpoint.endpoint_service:
            self._private_link(vpc, endpoint.endpoint_service, deployment)
        self.probe = EndpointProbe(
            self,
            "Probe",
            vpc=vpc,
            deployment=deployment.name,
            secret=self.secret,
            urls=self.urls,
            ports=self.ports,
            model=self.model,
            encryption_key=encryption_key,
            log_retention=log_retention,
        )
        output = CfnOutput(self, "SecretArn", value=self.secret.secret_arn, description="where the key is to be put")
        output.override_logical_id(settings.DECODE_SECRET_OUTPUT)

    def _private_link(self, vpc: ec2.IVpc, service: str, deployment: Deployment) -> None:
        group = ec2.SecurityGroup(self, "LinkGroup", vpc=vpc, allow_all_outbound=False)
        for port in self.ports:
            group.add_ingress_rule(ec2.Peer.ipv4(deployment.network.cidr), ec2.Port.tcp(port))
        ec2.InterfaceVpcEndpoint(
            self,
            "Link",
            vpc=vpc,
            service=ec2.InterfaceVpcEndpointService(service),
            security_groups=[group],
            open=False,
            private_dns_enabled=True,
        )


def _ticket_key(scope: Construct, encryption_key: kms.IKey) -> secretsmanager.Secret:
    secret = secretsmanager.Secret(
        scope,
        "TicketKey",
        description="What signs handoff tickets",
        encryption_key=encryption_key,
        generate_secret_string=secretsmanager.SecretStringGenerator(exclude_punctuation=True, password_length=64),
    )
    acknowledge_unrotated(secret, "known to the endpoint, too, which must be told of another one")
    return secret
