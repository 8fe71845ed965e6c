"""Model the deployment file.

Here stands what one field alone must satisfy; what several fields must satisfy together is a rule (``rules/``).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tandem.spec.admission import Admission
from tandem.spec.capacity import Capacity, OnDemand
from tandem.spec.facts import InstanceFacts
from tandem.spec.instances import INSTANCE_TYPES, InstanceType
from tandem.spec.load import DeclaredLoad
from tandem.spec.scaling import PrefillScaling
from tandem.spec.section import Section, Zone

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", min_length=2, max_length=40)]
Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]
Account = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]
Cidr = Annotated[str, StringConstraints(pattern=r"^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$")]
HttpsUrl = Annotated[str, StringConstraints(pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?$")]
CertificateArn = Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$")]
Domain = Annotated[str, StringConstraints(pattern=r"^([a-z0-9-]+\.)+[a-z]{2,}$")]
EndpointService = Annotated[str, StringConstraints(pattern=r"^com\.amazonaws\.vpce\.[a-z0-9-]+\.vpce-svc-[0-9a-f]+$")]
WeightsUri = Annotated[
    str, StringConstraints(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.()-]+)+$", max_length=1000)
]
InstanceTypeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$", max_length=64)]
TagKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 ._:/=+@-]+$", max_length=128)]
TagValue = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 ._:/=+@-]*$", max_length=256)]
SageMakerEndpointArn = Annotated[
    str,
    StringConstraints(pattern=r"^arn:aws:sagemaker:[a-z0-9-]+:[0-9]{12}:endpoint/[A-Za-z0-9](-*[A-Za-z0-9]){0,62}$"),
]
TopicArn = Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$")]
HubModelArn = Annotated[
    str, StringConstraints(pattern=r"^arn:aws:sagemaker:[a-z0-9-]+:aws:hub-content/SageMakerPublicHub/Model/[^\s]+$")
]
Port = Annotated[int, Field(ge=1024, le=65535)]
NEURON_VLLM_IMAGE = (
    "public.ecr.aws/neuron/pytorch-inference-vllm-neuronx:0.24.0.1.1.0-neuronx-py313-sdk2.32.0-ubuntu24.04"
)


class Model(Section):
    """Name the model that is served."""

    id: Annotated[str, Field(min_length=1, max_length=200, description="Hugging Face id; also the public name")]
    max_model_len: Annotated[int, Field(ge=16, description="tokens of prompt and answer together")]
    kv_connector: Annotated[
        Literal["NixlConnector", "NeuronNixlConnector"],
        Field(description="vLLM's KV connector; NeuronNixlConnector for sliding windows, as gpt-oss has"),
    ] = "NixlConnector"

    weights: Annotated[
        WeightsUri | None,
        Field(
            description="a prefix in a bucket of the deployment's region that holds what the hub's repository holds; "
            "default: workers fetch from the Hugging Face hub"
        ),
    ] = None


class Network(Section):
    """Lay out the VPC: EFA reaches no further than one subnet in one zone, a load balancer needs two zones."""

    cidr: Cidr = "10.40.0.0/16"
    efa_zone: Zone
    load_balancer_zones: Annotated[list[Zone], Field(min_length=2, max_length=3)]


class InstanceGroup(Section):
    """Ask for ``count`` hosts of one type, one vLLM worker each; with bounds, for as many as prompts need."""

    name: Name
    instance_type: InstanceTypeName
    instance_facts: Annotated[
        InstanceFacts | None, Field(description="what the type has, in place of Tandem's own table")
    ] = None
    count: Annotated[int, Field(ge=1, le=500, description="hosts at first; without bounds, hosts always")]
    min_count: Annotated[int | None, Field(ge=1, le=500, description="default: count")] = None
    max_count: Annotated[int | None, Field(ge=1, le=500, description="default: count")] = None
    tokens_per_second: Annotated[
        int | None,
        Field(ge=1, le=10_000_000, description="prompt tokens that one worker prefills a second, as you measured it"),
    ] = None
    tensor_parallel: Annotated[int, Field(ge=1, description="logical NeuronCores of one worker")]
    efa_interfaces: Annotated[int | None, Field(ge=1, description="default: every interface of the type")] = None
    efa_layout: Annotated[
        Literal["efa", "ena-plus-efa-only"],
        Field(description="efa: one EFA interface a card; ena-plus-efa-only: an ENA one, and EFA ones without address"),
    ] = "efa"
    capacity: Capacity = OnDemand(mode="on-demand")

    @property
    def least(self) -> int:
        """The fewest hosts that the group is scaled to."""
        return self.min_count or self.count

    @property
    def most(self) -> int:
        """The most hosts that the group is scaled to."""
        return self.max_count or self.count

    @property
    def scales(self) -> bool:
        """Whether the group's size follows its load."""
        return self.least < self.most

    @property
    def kind(self) -> InstanceType | None:
        """The facts of the group's type: the file's own, else the table's; ``None`` for an unknown type."""
        if self.instance_facts:
            return self.instance_facts.as_type(self.instance_type)
        return INSTANCE_TYPES.get(self.instance_type)


class Workers(Section):
    """Run vLLM on Neuron: what its server is told, and on which hosts."""

    groups: Annotated[list[InstanceGroup], Field(min_length=1)]
    image: str = NEURON_VLLM_IMAGE
    block_size: Annotated[int, Field(ge=1, le=512, description="tokens a KV block")] = 32
    max_num_seqs: Annotated[int, Field(ge=1)] = 8
    kv_lease_seconds: Annotated[int, Field(ge=1, le=3600, description="how long KV waits for its reader")] = 30
    api_port: Port = 8100
    side_channel_port: Port = 5559
    status_port: Annotated[Port, Field(description="where a worker says whether it takes requests")] = 8099
    start_seconds: Annotated[
        int, Field(ge=60, le=86400, description="how long vLLM may take until it serves; a first compile is slow")
    ] = 5400
    warm_start_seconds: Annotated[
        int,
        Field(
            ge=60, le=86400, description="the same where compiled artifacts are at hand; weights of the hub count in"
        ),
    ] = 1800


class Prefill(Workers):
    """Produce KV, on as many hosts of the groups with bounds as the prompts need."""

    scaling: PrefillScaling = PrefillScaling()


class Cs3(Section):
    """Decode on Cerebras CS-3 by the decode endpoint contract; no such public endpoint exists today."""

    provider: Literal["cs3"]
    endpoint: HttpsUrl
    more_endpoints: Annotated[
        list[HttpsUrl],
        Field(
            max_length=15,
            default_factory=list,
            description="further endpoints of the same owner and keys: requests go to the emptiest, and a stream that "
            "breaks at one goes on at another",
        ),
    ]
    peer_cidr: Annotated[Cidr, Field(description="from where the CS-3 side reaches the workers' side channel")]
    systems: Annotated[
        int | None, Field(ge=1, le=2048, description="CS-3 systems that serve the model, to check a declared load")
    ] = None
    endpoint_service: Annotated[
        EndpointService | None,
        Field(description="the PrivateLink service of the endpoint, whose private DNS name is the endpoint's"),
    ] = None

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Every endpoint."""
        return (self.endpoint, *self.more_endpoints)


class VllmDecode(Workers):
    """Decode on vLLM, on Trainium like prefill: KV is handed over as ``kv_transfer_params``."""

    provider: Literal["vllm"]
    api_port: Port = 8200
    side_channel_port: Port = 5659


class OpenAi(Section):
    """Decode at an OpenAI-compatible endpoint: the handoff is text, the endpoint prefills by itself."""

    provider: Literal["openai"]
    endpoint: HttpsUrl
    model: Annotated[str, Field(min_length=1, description="the model's name at the endpoint")]

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The one endpoint."""
        return (self.endpoint,)


Decode = Annotated[Cs3 | VllmDecode | OpenAi, Field(discriminator="provider")]


class Routing(Section):
    """Say when a prompt is worth a prefill worker, where a decode worker could prefill what it has not cached."""

    new_tokens: Annotated[
        int, Field(ge=1, le=10_000_000, description="from how many tokens that are not cached KV is handed over")
    ] = 2048
    new_share: Annotated[float, Field(ge=0, le=1, description="or from which share of the prompt")] = 0.7


class SpillOver(Section):
    """Name an OpenAI-compatible endpoint that is handed text where decode is full or away, or nothing can prefill."""

    endpoint: HttpsUrl
    model: Annotated[str, Field(min_length=1, max_length=200, description="the model's name there")]


class Gateway(Section):
    """Size the gateway and say under which name clients reach it."""

    min_count: Annotated[int, Field(ge=1, le=100, description="the fewest tasks")] = 2
    max_count: Annotated[int, Field(ge=1, le=100, description="the most tasks; equal to min_count: no scaling")] = 10
    streams_per_task: Annotated[
        int, Field(ge=1, le=10_000, description="requests under way in one task, above which tasks are added")
    ] = 64
    cpu: Literal[256, 512, 1024, 2048, 4096] = 1024
    memory_mib: Annotated[int, Field(ge=512, le=30720)] = 2048
    port: Port = 8080
    metrics_port: Annotated[Port, Field(description="where Prometheus may scrape a gateway, inside the VPC")] = 9464
    admission: Admission = Admission()
    routing: Routing = Routing()
    spill_over: Annotated[SpillOver | None, Field(description="another provider; default: none")] = None
    domain: Domain | None = None
    certificate_arn: CertificateArn | None = None

    @property
    def scales(self) -> bool:
        """Whether the number of tasks follows the streams."""
        return self.min_count < self.max_count


class AgentCoreRegistration(Section):
    """Register an AgentCore Gateway inference target, reachable by Bedrock AgentCore clients (not by InvokeModel)."""

    registrar: Literal["agentcore-gateway"]


class ImportRegistration(Section):
    """Import ``model.weights`` into Bedrock as a native copy to fall back on; it takes no part in the handoff."""

    registrar: Literal["import"]
    cost_tags: dict[TagKey, TagValue] = Field(
        default_factory=dict, max_length=40, description="cost allocation tags of the imported model"
    )


class MarketplaceRegistration(Section):
    """Register a SageMaker endpoint that serves a model of the public hub, so that InvokeModel reaches it."""

    registrar: Literal["marketplace"]
    endpoint_arn: SageMakerEndpointArn
    model_source: Annotated[HubModelArn, Field(description="the model of SageMaker's public hub on that endpoint")]


class NoRegistration(Section):
    """Register nowhere: clients use the load balancer."""

    registrar: Literal["none"]


Registration = Annotated[
    AgentCoreRegistration | ImportRegistration | MarketplaceRegistration | NoRegistration,
    Field(discriminator="registrar"),
]


class Observability(Section):
    """Say how long logs are kept, when somebody is woken, and what they are given to read."""

    log_retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 180, 365, 400, 731, 1827, 3653] = 30
    alarm_topic_arn: Annotated[
        TopicArn | None, Field(description="the SNS topic that alarms notify; default: none")
    ] = None
    runbooks: Annotated[
        str,
        Field(
            min_length=1,
            max_length=300,
            pattern=r"^[^\s#]+$",
            description="where your people find docs/runbooks.md: alarms link there",
        ),
    ] = "docs/runbooks.md"
    tracing: Annotated[
        Literal["none", "xray"], Field(description="xray: a collector beside each gateway sends spans to X-Ray")
    ] = "none"
    trace_ratio: Annotated[
        float, Field(gt=0, le=1, description="which share of requests is traced, besides those that a client traces")
    ] = 0.05
    first_token_p99_seconds: Annotated[
        float,
        Field(gt=0, le=600, description="alarm where the slowest 1 % of streams wait longer for their first token"),
    ] = 10.0


class Audit(Section):
    """Say who records the use of artifacts, secrets and keys."""

    trail: Annotated[
        Literal["own", "organization"],
        Field(
            description="own: a CloudTrail trail of this deployment (a region has five); organization: the account's "
            "trail records management events and the artifact bucket's object events already"
        ),
    ] = "own"
    retention_days: Annotated[
        int, Field(ge=90, le=3653, description="how long records of a trail of our own are kept")
    ] = 365


class Secrets(Section):
    """Say how often keys of our own making are replaced."""

    rotation_days: Annotated[
        int,
        Field(ge=1, le=365, description="days between two rotations; the key before stays valid until the next one"),
    ] = 30


class Deployment(Section):
    """Describe one deployment: the whole file."""

    version: Literal[1]
    name: Name
    region: Region
    account: Account | None = None
    model: Model
    network: Network
    prefill: Prefill | None = None
    decode: Decode
    gateway: Gateway = Gateway()
    registration: Registration = NoRegistration(registrar="none")
    secrets: Secrets = Secrets()
    observability: Observability = Observability()
    audit: Audit = Audit()
    load: Annotated[DeclaredLoad | None, Field(description="the traffic that the deployment must carry")] = None
