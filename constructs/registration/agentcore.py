"""Register the gateway as an AgentCore Gateway inference target, so that Bedrock AgentCore clients reach it.

This is the one Bedrock-family resource that fronts a self-hosted OpenAI-compatible endpoint. It is not addressable by
``InvokeModel`` or ``Converse``: clients call ``https://{gateway}.gateway.bedrock-agentcore.{region}.amazonaws.com``.
"""

from __future__ import annotations

from aws_cdk import Aws, CfnOutput
from aws_cdk import aws_bedrockagentcore as agentcore
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from constructs.gateway.load_balancer import GatewayLoadBalancer
from constructs.review.acknowledge import acknowledge_finding
from runtime.handoff import contract, settings

_OPERATIONS = {"/v1/chat/completions": "/v1/chat/completions"}


class AgentCoreRegistration(Construct):
    """Hold an AgentCore gateway with IAM authorization and one inference target: the load balancer, reached privately.

    ``endpoint`` is an HTTPS URL whose name the load balancer's certificate bears; the target adds the gateway's client
    key to each call.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        model: str,
        endpoint: str,
        vpc: ec2.IVpc,
        load_balancer: GatewayLoadBalancer,
        client_key: secretsmanager.ISecret,
    ) -> None:
        super().__init__(scope, construct_id)
        provider = self._credential(name, client_key)
        role = self._role(client_key)
        self.gateway = agentcore.CfnGateway(
            self,
            "Gateway",
            name=name,
            authorizer_type="AWS_IAM",
            role_arn=role.role_arn,
            description=f"{model}, prefilled on Trainium",
        )
        target = agentcore.CfnGatewayTarget
        self.target = target(
            self,
            "Target",
            name="tandem",
            gateway_identifier=self.gateway.attr_gateway_identifier,
            target_configuration=target.TargetConfigurationProperty(
                inference=target.InferenceTargetConfigurationProperty(
                    provider=target.InferenceProviderTargetConfigurationProperty(
                        endpoint=endpoint, operations=_operations(model)
                    )
                )
            ),
            credential_provider_configurations=[_api_key(provider)],
            private_endpoint=self._private_endpoint(vpc, load_balancer),
            # without it a client sees neither how long which phase took nor what was handed over
            metadata_configuration=target.MetadataConfigurationProperty(
                allowed_response_headers=[contract.SERVER_TIMING, contract.KV_BYTES_HEADER]
            ),
        )
        # the role alone does not bring its policy along
        self.target.node.add_dependency(role)
        CfnOutput(self, "Url", value=self.gateway.attr_gateway_url, description="where Bedrock AgentCore clients call")

    def _credential(self, name: str, client_key: secretsmanager.ISecret) -> agentcore.CfnApiKeyCredentialProvider:
        return agentcore.CfnApiKeyCredentialProvider(
            self,
            "Credential",
            name=name,
            api_key_secret_source="EXTERNAL",  # noqa: S106 - says where the secret is, not what
            api_key_secret_config=agentcore.CfnApiKeyCredentialProvider.SecretReferenceProperty(
                secret_id=client_key.secret_arn, json_key=settings.API_KEY_FIELD
            ),
        )

    def _role(self, client_key: secretsmanager.ISecret) -> iam.Role:
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "bedrock-agentcore.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            ),
        )
        identity = f"{Aws.REGION}:{Aws.ACCOUNT_ID}"
        names = ["workload-identity-directory/*", "token-vault/*"]
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["bedrock-agentcore:GetWorkloadAccessToken", "bedrock-agentcore:GetResourceApiKey"],
                resources=[f"arn:{Aws.PARTITION}:bedrock-agentcore:{identity}:{name}" for name in names],
            )
        )
        for name in names:
            acknowledge_finding(
                role,
                "AwsSolutions-IAM5[Resource::"
                f"arn:<AWS::Partition>:bedrock-agentcore:<AWS::Region>:<AWS::AccountId>:{name}]",
                "AgentCore names its directory and vault entries when it makes them",
            )
        client_key.grant_read(role)
        return role

    def _private_endpoint(
        self, vpc: ec2.IVpc, load_balancer: GatewayLoadBalancer
    ) -> agentcore.CfnGatewayTarget.PrivateEndpointProperty:
        group = ec2.SecurityGroup(self, "Group", vpc=vpc, allow_all_outbound=False, description="AgentCore to gateway")
        group.connections.allow_to(load_balancer.group, ec2.Port.tcp(load_balancer.port), "AgentCore to gateway")
        subnets = vpc.select_subnets(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)
        return agentcore.CfnGatewayTarget.PrivateEndpointProperty(
            managed_vpc_resource=agentcore.CfnGatewayTarget.ManagedVpcResourceProperty(
                vpc_identifier=vpc.vpc_id,
                subnet_ids=subnets.subnet_ids,
                endpoint_ip_address_type="IPV4",
                security_group_ids=[group.security_group_id],
                routing_domain=load_balancer.balancer.load_balancer_dns_name,
            )
        )


def _operations(model: str) -> list[agentcore.CfnGatewayTarget.InferenceOperationConfigurationProperty]:
    target = agentcore.CfnGatewayTarget
    return [
        target.InferenceOperationConfigurationProperty(
            path=path, provider_path=provider_path, models=[target.ModelEntryProperty(model=model)]
        )
        for path, provider_path in _OPERATIONS.items()
    ]


def _api_key(
    provider: agentcore.CfnApiKeyCredentialProvider,
) -> agentcore.CfnGatewayTarget.CredentialProviderConfigurationProperty:
    target = agentcore.CfnGatewayTarget
    return target.CredentialProviderConfigurationProperty(
        credential_provider_type="API_KEY",
        credential_provider=target.CredentialProviderProperty(
            api_key_credential_provider=target.ApiKeyCredentialProviderProperty(
                provider_arn=provider.attr_credential_provider_arn,
                credential_location="HEADER",
                credential_parameter_name="Authorization",
                credential_prefix="Bearer",
            )
        ),
    )
