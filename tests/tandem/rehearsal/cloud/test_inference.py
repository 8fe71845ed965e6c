"""An inference call to a deployed AgentCore gateway goes where the deployed target says, or is refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from openai import APIStatusError, DefaultHttpxClient, OpenAI
from openai.types.chat import ChatCompletionChunk

from tandem.rehearsal.clients.route import AgentCoreRoute, deployed_route
from tandem.rehearsal.cloud import preconditions
from tandem.rehearsal.cloud.inference import InferenceGateways
from tandem.rehearsal.cloud.inference_route import NoRouteError, route
from tests.patience import HUNG_SECONDS
from tests.tandem.rehearsal.cloud.conftest import ACCOUNT, REGION, Deployer

_CERTIFICATE = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/0123"
_LAST: dict[str, Any] = {}


class Provider(BaseHTTPRequestHandler):
    """Be the OpenAI-compatible endpoint behind the load balancer; keep what was asked."""

    protocol_version = "HTTP/1.1"
    second_asked = threading.Event()

    def do_POST(self) -> None:
        """Answer in two chunks, the second when the first has been read."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        _LAST.update(path=self.path, body=body, headers=dict(self.headers))
        self.send_response(200)
        for name, value in (("Content-Type", "text/event-stream"), ("Server-Timing", "a;dur=1"), ("X-Secret", "s")):
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for text in ("one", "two"):
            chunk = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m"}
            delta = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
            self._chunk(f"data: {json.dumps({**chunk, **delta})}\n\n".encode())
            assert self.second_asked.wait(HUNG_SECONDS)
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


def _template(domain: str = "llm.example.com", *, reads: bool = True) -> dict[str, Any]:
    def get(name: str, attribute: str) -> dict[str, Any]:
        return {"Fn::GetAtt": [name, attribute]}

    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "bedrock-agentcore.amazonaws.com"}}
    own = ["bedrock-agentcore:GetWorkloadAccessToken", "bedrock-agentcore:GetResourceApiKey"]
    actions = [*own, *(["secretsmanager:GetSecretValue"] if reads else [])]
    grant = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
    provider = {
        "Endpoint": f"https://{domain}/base",
        "Operations": [{"Path": "/v1/chat/completions", "ProviderPath": "/theirs", "Models": [{"Model": "org/m-*"}]}],
    }
    key = {
        "ProviderArn": get("Credential", "CredentialProviderArn"),
        "CredentialLocation": "HEADER",
        "CredentialParameterName": "X-Key",
        "CredentialPrefix": "Key",
    }
    credentials = {"CredentialProviderType": "API_KEY", "CredentialProvider": {"ApiKeyCredentialProvider": key}}
    vpc = {
        "VpcIdentifier": {"Ref": "Vpc"},
        "SubnetIds": [{"Ref": "A"}, {"Ref": "B"}],
        "EndpointIpAddressType": "IPV4",
        "SecurityGroupIds": [get("Group", "GroupId")],
        "RoutingDomain": get("Balancer", "DNSName"),
    }
    properties: dict[str, tuple[str, dict[str, Any]]] = {
        "Vpc": ("EC2::VPC", {"CidrBlock": "10.0.0.0/16"}),
        "A": ("EC2::Subnet", {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24", "AvailabilityZone": f"{REGION}a"}),
        "B": ("EC2::Subnet", {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.1.0/24", "AvailabilityZone": f"{REGION}b"}),
        "Group": ("EC2::SecurityGroup", {"GroupDescription": "from AgentCore", "VpcId": {"Ref": "Vpc"}}),
        "Clients": ("EC2::SecurityGroup", {"GroupDescription": "to the balancer", "VpcId": {"Ref": "Vpc"}}),
        "Within": (
            "EC2::SecurityGroupIngress",
            {
                "GroupId": get("Clients", "GroupId"),
                "SourceSecurityGroupId": get("Group", "GroupId"),
                "IpProtocol": "tcp",
                "FromPort": 443,
                "ToPort": 443,
            },
        ),
        "Balancer": (
            "ElasticLoadBalancingV2::LoadBalancer",
            {"Subnets": [{"Ref": "A"}, {"Ref": "B"}], "SecurityGroups": [get("Clients", "GroupId")]},
        ),
        "Targets": (
            "ElasticLoadBalancingV2::TargetGroup",
            {"Name": "targets", "Port": 8080, "Protocol": "HTTP", "TargetType": "ip", "VpcId": {"Ref": "Vpc"}},
        ),
        "Listener": (
            "ElasticLoadBalancingV2::Listener",
            {
                "LoadBalancerArn": {"Ref": "Balancer"},
                "Port": 443,
                "Protocol": "HTTPS",
                "Certificates": [{"CertificateArn": _CERTIFICATE}],
                "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "Targets"}}],
            },
        ),
        "Secret": ("SecretsManager::Secret", {"SecretString": json.dumps({"api_key": "abc"})}),
        "Role": (
            "IAM::Role",
            {
                "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
                "Policies": [{"PolicyName": "own", "PolicyDocument": grant}],
            },
        ),
        "Credential": (
            "BedrockAgentCore::ApiKeyCredentialProvider",
            {
                "Name": "credential",
                "ApiKeySecretSource": "EXTERNAL",
                "ApiKeySecretConfig": {"SecretId": {"Ref": "Secret"}, "JsonKey": "api_key"},
            },
        ),
        "Gateway": (
            "BedrockAgentCore::Gateway",
            {"Name": "gateway", "AuthorizerType": "AWS_IAM", "RoleArn": get("Role", "Arn")},
        ),
        "Target": (
            "BedrockAgentCore::GatewayTarget",
            {
                "Name": "tandem",
                "GatewayIdentifier": get("Gateway", "GatewayIdentifier"),
                "TargetConfiguration": {"Inference": {"Provider": provider}},
                "CredentialProviderConfigurations": [credentials],
                "PrivateEndpoint": {"ManagedVpcResource": vpc},
                "MetadataConfiguration": {"AllowedResponseHeaders": ["Server-Timing"]},
            },
        ),
    }
    return {name: {"Type": f"AWS::{kind}", "Properties": body} for name, (kind, body) in properties.items()}


@pytest.fixture
def provider() -> Iterator[int]:
    """Serve the provider; return its port."""
    Provider.second_asked.set()
    _LAST.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def deployed(deployer: Deployer, provider: int) -> Iterator[AgentCoreRoute]:
    yield from _deployed(deployer, provider, _template())


def _deployed(deployer: Deployer, port: int, template: dict[str, Any]) -> Iterator[AgentCoreRoute]:
    preconditions.certificate(_CERTIFICATE, "llm.example.com")
    ids = deployer.round_trip("inference", template)
    target = {"Id": "127.0.0.1", "Port": port}
    deployer.client("elbv2").register_targets(TargetGroupArn=ids["Targets"], Targets=[target])
    found = deployed_route(deployer.cloud.api)
    assert found is not None
    yield found
    assert deployer.delete("inference") == "DELETE_COMPLETE"
    assert deployed_route(deployer.cloud.api) is None


def _ask(
    found: AgentCoreRoute, model: str = "org/m-1", http: DefaultHttpxClient | None = None
) -> Iterator[tuple[str | None, dict[str, str]]]:
    client = OpenAI(base_url=f"{found.url}/v1", api_key="none", max_retries=0, http_client=http or found.client())
    with client:
        answer = client.chat.completions.with_raw_response.create(
            model=model, messages=[{"role": "user", "content": "hi"}], stream=True
        )
        for chunk in answer.parse():
            assert isinstance(chunk, ChatCompletionChunk)
            yield chunk.choices[0].delta.content, dict(answer.headers)


def test_a_call_reaches_the_provider_as_declared(deployed: AgentCoreRoute) -> None:
    texts = list(_ask(deployed))
    assert [text for text, _ in texts] == ["one", "two"]
    assert (_LAST["path"], _LAST["body"]["model"]) == ("/base/theirs", "org/m-1")
    headers = {name.lower(): value for name, value in _LAST["headers"].items()}
    assert (headers["host"], headers["x-key"]) == ("llm.example.com", "Key abc")
    assert "authorization" not in headers


def test_only_declared_headers_come_back(deployed: AgentCoreRoute) -> None:
    _, headers = next(_ask(deployed))
    assert headers["server-timing"] == "a;dur=1"
    assert "x-secret" not in headers


def test_a_stream_stays_a_stream(deployed: AgentCoreRoute) -> None:
    Provider.second_asked.clear()
    answer = _ask(deployed)
    assert next(answer)[0] == "one"  # while the provider waits for us
    Provider.second_asked.set()
    assert next(answer)[0] == "two"


def test_a_stream_that_is_dropped_ends_at_the_provider(deployer: Deployer, deployed: AgentCoreRoute) -> None:
    asked = json.dumps({"model": "org/m-1"}).encode()
    environ = {
        "HTTP_HOST": deployed.host,
        "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential=k/20260101/{REGION}/bedrock-agentcore/aws4_request",
        "PATH_INFO": "/inference/v1/chat/completions",
        "CONTENT_LENGTH": len(asked),
        "wsgi.input": BytesIO(asked),
    }
    Provider.second_asked.clear()
    answer = InferenceGateways(lambda *_: (), ACCOUNT, deployer.cloud.api)(environ, lambda *_: None)
    assert b"one" in next(iter(answer))
    del answer  # as werkzeug does where the client's connection is reset; a socket that is left open is an error
    Provider.second_asked.set()


def test_a_model_may_be_preceded_by_its_target(deployed: AgentCoreRoute) -> None:
    assert next(_ask(deployed, "tandem/org/m-1"))[0] == "one"
    assert _LAST["body"]["model"] == "org/m-1"


def test_an_unlisted_model_is_refused(deployed: AgentCoreRoute) -> None:
    with pytest.raises(APIStatusError, match="no target takes model 'other'") as refused:
        list(_ask(deployed, "other"))
    assert refused.value.status_code == 404
    assert not _LAST


def test_an_unsigned_call_is_refused(deployed: AgentCoreRoute) -> None:
    unsigned = DefaultHttpxClient(trust_env=False, headers={"Host": deployed.host})
    with pytest.raises(APIStatusError, match="must be signed for bedrock-agentcore") as refused:
        list(_ask(deployed, http=unsigned))
    assert refused.value.status_code == 403


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (_template("other.example.com"), "certificate is for llm.example.com, not for other.example.com"),
        (_template(reads=False), "may not secretsmanager:GetSecretValue"),
    ],
)
def test_a_broken_target_is_told(deployer: Deployer, provider: int, template: dict[str, Any], told: str) -> None:
    for found in _deployed(deployer, provider, template):
        with pytest.raises(APIStatusError, match=told):
            list(_ask(found))


def _target(name: str, *models: str, **mapping: Any) -> Any:
    operation = {"path": "/v1/chat/completions", "models": [{"model": model} for model in models]}
    provider = {"endpoint": f"https://{name}.example.com", "operations": [operation], **mapping}
    return SimpleNamespace(name=name, target_configuration={"inference": {"provider": provider}})


_PATH = "/inference/v1/chat/completions"


def test_two_targets_of_one_model_are_told_apart_by_name() -> None:
    targets = [_target("a", "m"), _target("b", "m")]
    assert route(targets, _PATH, "b/m").url == "https://b.example.com/v1/chat/completions"
    with pytest.raises(NoRouteError, match="2 targets take model 'm'"):
        route(targets, _PATH, "m")


def test_a_stripped_prefix_is_put_back() -> None:
    mapping = {"modelMapping": {"providerPrefix": {"strip": True, "separator": "."}}}
    assert route([_target("a", "openai.gpt-*", **mapping)], _PATH, "gpt-oss").model == "openai.gpt-oss"
    with pytest.raises(NoRouteError, match="no target takes"):
        route([_target("a", "openai.gpt-*")], _PATH, "gpt-oss")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/inference/v1/responses"])
def test_another_path_is_refused(path: str) -> None:
    with pytest.raises(NoRouteError):
        route([_target("a", "m")], path, "m")


def test_targets_of_other_kinds_are_passed_over() -> None:
    other = SimpleNamespace(name="mcp", target_configuration={"mcp": {}})
    assert route([other, _target("a", "m")], _PATH, "m").target.name == "a"
