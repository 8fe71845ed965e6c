"""Name every field of vLLM's handoff once.

The names are vLLM's own (``NixlConnector``, pull mode), so that a stock vLLM server is a valid prefill worker.
Tandem's additions live under the one key ``TANDEM`` inside ``kv_transfer_params``, which vLLM ignores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

KV_TRANSFER_PARAMS: Final = "kv_transfer_params"
TANDEM: Final = "tandem"
TICKET: Final = "ticket"
SEAL: Final = "seal"
STREAM: Final = "stream"
"""In a request to a prefill worker: whom to offer KV to while it is computed (``runtime.handoff.stream``)."""

RECEIVED: Final = "received_token_ids"
"""In a request: the ids of its answer's tokens that are there already. A client sends it to a gateway, and a gateway to
a decode endpoint, to have what follows them."""

DO_REMOTE_DECODE: Final = "do_remote_decode"
DO_REMOTE_PREFILL: Final = "do_remote_prefill"
REMOTE_ENGINE_ID: Final = "remote_engine_id"
REMOTE_REQUEST_ID: Final = "remote_request_id"
REMOTE_BLOCK_IDS: Final = "remote_block_ids"
REMOTE_HOST: Final = "remote_host"
REMOTE_PORT: Final = "remote_port"
REMOTE_NUM_TOKENS: Final = "remote_num_tokens"
TP_SIZE: Final = "tp_size"
REMOTE_BLOCKS_EXPIRY_TIME: Final = "remote_blocks_expiry_time"

REQUEST_ID_HEADER: Final = "X-Request-Id"
TIME_LIMIT_HEADER: Final = "X-Request-Timeout-Ms"
"""How long the sender waits for the end of the answer: a client's, and what is left of it at each hop."""

PREFILL_REQUEST: Final[Mapping[str, Any]] = {
    DO_REMOTE_DECODE: True,
    DO_REMOTE_PREFILL: False,
    REMOTE_ENGINE_ID: None,
    REMOTE_BLOCK_IDS: None,
    REMOTE_HOST: None,
    REMOTE_PORT: None,
}
"""``kv_transfer_params`` of a request to a prefill worker."""

REQUIRED: Final[Mapping[str, type]] = {
    REMOTE_ENGINE_ID: str,
    REMOTE_REQUEST_ID: str,
    REMOTE_BLOCK_IDS: list,
    REMOTE_HOST: str,
    REMOTE_PORT: int,
    REMOTE_NUM_TOKENS: int,
}
"""What a decode endpoint must be told; vLLM only warns where one is missing, Tandem refuses."""


def missing(params: object) -> list[str]:
    """Return the required fields that ``params`` lacks or holds with a wrong type or an empty value."""
    if not isinstance(params, dict):
        return list(REQUIRED)
    # type() rather than isinstance(): a bool is no number here
    return [name for name, kind in REQUIRED.items() if type(value := params.get(name)) is not kind or not value]
