"""Reach the deployment as a Bedrock client does: by the AgentCore gateway that was deployed, if one was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from openai import DefaultHttpxClient

from tandem.rehearsal.cloud.api import ACCESS_KEY, Api
from tandem.rehearsal.cloud.inference_route import PREFIX
from tandem.rehearsal.tasks.paths import require_path

NAME: Final = "agentcore"
_SERVICE: Final = "bedrock-agentcore"


@dataclass(frozen=True, slots=True)
class AgentCoreRoute:
    """Hold the host name of a deployed gateway, and where the embedded AWS answers for it."""

    host: str
    endpoint: str
    region: str

    @property
    def url(self) -> str:
        """Return the URL that precedes ``/v1``; the host name goes into the Host header."""
        return f"{self.endpoint}{PREFIX}"

    def client(self) -> DefaultHttpxClient:
        """Return an HTTP client that signs each request for the gateway (SigV4)."""
        hooks = {"request": [self._sign]}
        return DefaultHttpxClient(trust_env=False, headers={"Host": self.host}, event_hooks=hooks)

    def _sign(self, request: Any) -> None:
        """Put AWS's signature in the place of the OpenAI client's key."""
        url = f"https://{self.host}{request.url.raw_path.decode()}"
        headers = {"Content-Type": request.headers["Content-Type"]}
        signed = AWSRequest(request.method, url, headers=headers, data=request.content)
        SigV4Auth(Credentials(ACCESS_KEY, ACCESS_KEY), _SERVICE, self.region).add_auth(signed)
        request.headers.update(dict(signed.headers))


def deployed_route(aws: Api) -> AgentCoreRoute | None:
    """Return the route of the deployed inference target, None if there is none.

    Raise ``PathError`` where the target's security groups close the way to the load balancer.
    """
    control = aws.client("bedrock-agentcore-control")
    for gateway in control.list_gateways()["items"]:
        identifier = gateway["gatewayId"]
        for entry in control.list_gateway_targets(gatewayIdentifier=identifier)["items"]:
            target = control.get_gateway_target(gatewayIdentifier=identifier, targetId=entry["targetId"])
            if "inference" in target["targetConfiguration"]:
                _require_private_path(aws, target["privateEndpoint"]["managedVpcResource"])
                url = control.get_gateway(gatewayIdentifier=identifier)["gatewayUrl"]
                return AgentCoreRoute(str(urlsplit(url).hostname), aws.endpoint, aws.region)
    return None


def _require_private_path(aws: Api, resource: dict[str, list[str]]) -> None:
    balancers = aws.client("elbv2").describe_load_balancers()["LoadBalancers"]
    for balancer in balancers:
        if balancer["DNSName"] == resource["routingDomain"]:
            source = resource["securityGroupIds"]
            require_path(aws, source, balancer["SecurityGroups"], 443, "AgentCore to load balancer")
