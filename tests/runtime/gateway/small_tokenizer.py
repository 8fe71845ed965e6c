"""The small model's tokenizer, as its engine has it and as a file that a gateway reads."""

from __future__ import annotations

from runtime.standins.engine import model_file
from runtime.standins.engine.gguf_file import GgufFile
from runtime.standins.engine.tokenizer import Tokenizer

REFERENCE = Tokenizer.from_metadata(GgufFile(model_file.locate()).metadata)
FILE = REFERENCE.to_json().encode()
