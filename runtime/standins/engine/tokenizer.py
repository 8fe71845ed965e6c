"""Turn text and chats into token ids, and back."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from typing import Any, Self

from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as BytePairTokenizer

from runtime.standins.engine.chat_template import ChatTemplate

_CONTROL = 3  # GGUF token_type


class Tokenizer:
    """Encode as the model's authors do: single digits, then byte-level BPE.

    ``tokens`` gives every id's token in byte-level spelling, ``control`` the ids of control tokens, ``stop_ids`` those
    that end an answer.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        merges: Sequence[tuple[str, str]],
        *,
        control: frozenset[int],
        stop_ids: frozenset[int],
        template: ChatTemplate,
    ) -> None:
        self.stop_ids = stop_ids
        self._template = template
        vocabulary = {token: number for number, token in enumerate(tokens)}
        self._pairs = BytePairTokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
        self._pairs.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        self._pairs.add_special_tokens([AddedToken(tokens[number], special=True) for number in sorted(control)])
        spelling = _byte_spelling()
        self._bytes = [
            b"" if number in control else bytes(spelling[character] for character in token)
            for number, token in enumerate(tokens)
        ]

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """Build the tokenizer from a GGUF file's ``tokenizer.*`` keys."""
        kinds = metadata["tokenizer.ggml.token_type"]
        left_right = (merge.split(" ") for merge in metadata["tokenizer.ggml.merges"])
        return cls(
            metadata["tokenizer.ggml.tokens"],
            [(left, right) for left, right in left_right],
            control=frozenset(number for number, kind in enumerate(kinds) if kind == _CONTROL),
            stop_ids=frozenset({metadata["tokenizer.ggml.eos_token_id"]}),
            template=ChatTemplate(metadata["tokenizer.chat_template"]),
        )

    def encode(self, text: str) -> list[int]:
        """Return the token ids of ``text``; the text of a control token becomes that token, as in vLLM.

        The 6 control characters and the planes from U+40000 on whose bytes the model has no token for are left out.
        Raises ``ValueError`` on text that has no UTF-8 form (a lone surrogate).
        """
        text.encode()
        return self._pairs.encode(text).ids

    def chat(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return the prompt of OpenAI chat ``messages``, ending where the assistant's answer begins.

        A content is a string or a list of text parts. Raises ``ValueError`` on a role or shape the model cannot take.
        """
        return self.encode(self._template.render(messages))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids`` without control tokens; bytes that are no UTF-8 become U+FFFD."""
        return b"".join(map(self.token_bytes, ids)).decode(errors="replace")

    def to_json(self) -> str:
        """Return the tokenizer as Hugging Face's ``tokenizer.json``, which other engines read."""
        spoken = BytePairTokenizer.from_str(self._pairs.to_str())
        spoken.decoder = decoders.ByteLevel()
        return spoken.to_str()

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes a token stands for, none for a control token; raise ``ValueError`` on an unknown id."""
        if not 0 <= token < len(self._bytes):
            raise ValueError(f"token id is {token}, allowed is 0 to {len(self._bytes) - 1}")
        return self._bytes[token]


class Detokenizer:
    """Decode token by token; what is emitted adds up to ``decode`` of all tokens and never holds half a character."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        """Return the text that ``token`` completes, possibly none."""
        return self._decoder.decode(self._tokenizer.token_bytes(token))

    def flush(self) -> str:
        """Return what is left at the end: nothing, or U+FFFD for a character that was never completed."""
        return self._decoder.decode(b"", final=True)


def _byte_spelling() -> dict[str, int]:
    """Return the byte that each character of byte-level BPE stands for: itself if printable, else from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + index): byte for index, byte in enumerate(others)}
