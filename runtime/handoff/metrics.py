"""Name the CloudWatch metrics that Tandem's programs publish and that its alarms, dashboard and scaling read.

Each program prints one document of CloudWatch's embedded metric format for each clock minute, so that over a period of
sixty seconds every program counts once. Requests have the names that CloudWatch has in ``AWS/Bedrock``, but that
``Invocations`` are all of them. A gauge is its mean over that minute: ``Sum`` adds up what all programs hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

NAMESPACE: Final = "Tandem"
DEPLOYMENT: Final = "Deployment"
"""The dimension of every metric here: the deployment's name."""
STAGE: Final = "Stage"
"""The second dimension of what workers publish: ``prefill`` or ``decode``."""
PERIOD_SECONDS: Final = 60


class Unit(StrEnum):
    """Spell the units as CloudWatch does."""

    COUNT = "Count"
    BYTES = "Bytes"
    MILLISECONDS = "Milliseconds"
    NONE = "None"


@dataclass(frozen=True, eq=False, slots=True)
class Metric:
    """Describe one metric; ``statistic`` is the one that makes sense over all programs of a deployment."""

    name: str
    unit: Unit
    statistic: str
    meaning: str


QUEUED_PROMPT_TOKENS: Final = Metric(
    "QueuedPromptTokens",
    Unit.COUNT,
    "Sum",
    "prompt tokens of requests waiting for or inside prefill",
)
PROMPT_TOKENS: Final = Metric("PromptTokens", Unit.COUNT, "Sum", "prompt tokens sent to prefill")
ACTIVE_STREAMS: Final = Metric("ActiveStreams", Unit.COUNT, "Sum", "requests under way, prefill and decode together")
RESERVATION_FILL: Final = Metric(
    "ReservationFill", Unit.NONE, "Maximum", "share of the decode endpoint's KV memory that is reserved, 0 to 1"
)
REQUESTS: Final = Metric("Invocations", Unit.COUNT, "Sum", "chat completions that ended, however they did")
ERRORS: Final = Metric(
    "InvocationServerErrors", Unit.COUNT, "Sum", "those that ended with a status of 500 or more, or broke off"
)
THROTTLES: Final = Metric("InvocationThrottles", Unit.COUNT, "Sum", "those that ended with status 429")
CLIENT_ERRORS: Final = Metric(
    "InvocationClientErrors", Unit.COUNT, "Sum", "those that ended with another status of 400 to 498"
)
CLIENTS_GONE: Final = Metric("ClientsGone", Unit.COUNT, "Sum", "those whose client left before the end")
KV_TRANSFER_BYTES: Final = Metric("KvTransferBytes", Unit.BYTES, "Sum", "KV read from prefill workers")
INPUT_TOKENS: Final = Metric("InputTokenCount", Unit.COUNT, "Sum", "prompt tokens of answers that tell their usage")
OUTPUT_TOKENS: Final = Metric("OutputTokenCount", Unit.COUNT, "Sum", "tokens of those answers")
FIRST_TOKENS_COMPARED: Final = Metric(
    "FirstTokensCompared", Unit.COUNT, "Sum", "answers without chance whose first token was held against prefill's"
)
FIRST_TOKENS_OTHER: Final = Metric("FirstTokensOther", Unit.COUNT, "Sum", "those that began with another token")
REQUEST_TIME: Final = Metric("InvocationLatency", Unit.MILLISECONDS, "p99", "from a request to the end of its answer")
TIME_TO_FIRST_TOKEN: Final = Metric(
    "TimeToFirstToken", Unit.MILLISECONDS, "p99", "from a streamed request to the first bytes of its answer"
)

PHASES: Final = {
    "gateway": Metric("GatewayTime", Unit.MILLISECONDS, "Average", "the gateway's own work"),
    "queue": Metric("QueueTime", Unit.MILLISECONDS, "Average", "waiting in the gateway for the tenant's turn"),
    "reserve": Metric("ReserveTime", Unit.MILLISECONDS, "Average", "the reservation at the decode endpoint"),
    "prefill": Metric("PrefillTime", Unit.MILLISECONDS, "Average", "the prefill worker, its queue among it"),
    "handshake": Metric("KvHandshakeTime", Unit.MILLISECONDS, "Average", "the handshake between decode and prefill"),
    "transfer": Metric("KvTransferTime", Unit.MILLISECONDS, "Average", "the READ of the KV cache"),
    "verify": Metric("KvVerifyTime", Unit.MILLISECONDS, "Average", "the endpoint's checks of what it read"),
    "first_token": Metric("FirstTokenTime", Unit.MILLISECONDS, "Average", "the rest: decode peer to first bytes"),
}
"""The phases of ``TIME_TO_FIRST_TOKEN`` in their order: each request's sum to its time."""

KV_LEASE_EXPIRED: Final = Metric(
    "KvLeaseExpired", Unit.COUNT, "Sum", "prefilled requests whose KV was not read before its lease ended"
)
KV_NOTIFIED_LATE: Final = Metric(
    "KvNotifiedLate", Unit.COUNT, "Sum", "readers that said they were done after the lease had ended"
)
KV_TRANSFERS_FAILED: Final = Metric("KvTransfersFailed", Unit.COUNT, "Sum", "transfers of KV that NIXL gave up")
KV_CACHE_USAGE: Final = Metric(
    "KvCacheUsage", Unit.NONE, "Maximum", "share of a worker's KV blocks in use, those held for a reader among them"
)
REQUESTS_WAITING: Final = Metric("RequestsWaiting", Unit.COUNT, "Sum", "requests in the workers' own queues")
EFA_IN_USE: Final = Metric(
    "EfaInUse", Unit.NONE, "Minimum", "1 where a running worker has EFA devices open, 0 where it goes another way"
)
DECODE_ENDPOINT_UP: Final = Metric(
    "DecodeEndpointUp", Unit.NONE, "Minimum", "1 where the decode endpoint answers its probe and lists the model"
)

GATEWAY: Final = (
    QUEUED_PROMPT_TOKENS,
    PROMPT_TOKENS,
    ACTIVE_STREAMS,
    RESERVATION_FILL,
    REQUESTS,
    ERRORS,
    THROTTLES,
    CLIENT_ERRORS,
    CLIENTS_GONE,
    KV_TRANSFER_BYTES,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    FIRST_TOKENS_COMPARED,
    FIRST_TOKENS_OTHER,
    REQUEST_TIME,
    TIME_TO_FIRST_TOKEN,
    *PHASES.values(),
)
"""What gateways publish, by ``DEPLOYMENT``."""
WORKER: Final = (
    KV_LEASE_EXPIRED,
    KV_NOTIFIED_LATE,
    KV_TRANSFERS_FAILED,
    KV_TRANSFER_BYTES,
    KV_CACHE_USAGE,
    REQUESTS_WAITING,
    EFA_IN_USE,
)
"""What workers publish, by ``DEPLOYMENT`` and ``STAGE``."""
PROBE: Final = (DECODE_ENDPOINT_UP,)
"""What the probe of a decode endpoint publishes every five minutes, by ``DEPLOYMENT``."""
