"""Tell how likely a token was, and which others were likely, as OpenAI's chats do."""

from __future__ import annotations

from typing import Any

import numpy as np

from runtime.standins.engine.tokenizer import Tokenizer
from runtime.standins.engine.weights import Floats


def of(token: int, logits: Floats, top: int, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return an entry of ``logprobs.content``: before temperature and penalties, as in vLLM."""
    shifted = logits.astype(np.float64) - logits.max()
    logprobs = shifted - np.log(np.exp(shifted).sum())
    likeliest = np.argsort(-logprobs, kind="stable")[:top]
    alternatives = [_entry(int(each), logprobs, tokenizer) for each in likeliest]
    return _entry(token, logprobs, tokenizer) | {"top_logprobs": alternatives}


def _entry(token: int, logprobs: np.ndarray[Any, np.dtype[np.float64]], tokenizer: Tokenizer) -> dict[str, Any]:
    raw = tokenizer.token_bytes(token)
    return {"token": raw.decode(errors="replace"), "logprob": float(logprobs[token]), "bytes": list(raw)}
