"""Be Lambda's Python runtime for one event: ``bootstrap.py CODE HANDLER ANSWER``, the event on standard input.

Runs isolated (``python -I``) and imports nothing of this repository: the handler sees its own asset, the standard
library and the installed packages.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
import uuid
from pathlib import Path
from typing import Any


class Context:
    """Be the context that Lambda gives a handler."""

    def __init__(self) -> None:
        self.aws_request_id = str(uuid.uuid4())
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = "$LATEST"
        self.invoked_function_arn = os.environ.pop("TANDEM_FUNCTION_ARN")
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = f"/aws/lambda/{self.function_name}"
        self.log_stream_name = self.aws_request_id
        self._deadline = time.monotonic() + float(os.environ.pop("AWS_LAMBDA_FUNCTION_TIMEOUT"))

    def get_remaining_time_in_millis(self) -> int:
        """Return the time until Lambda would end the function, in ms."""
        return max(0, int(1000 * (self._deadline - time.monotonic())))


def main(code: str, handler: str, answer: str) -> None:
    """Run the handler and write what it returns, or the error it raised."""
    installed = [entry for entry in sys.path if entry.startswith((sys.base_prefix, sys.prefix))]
    sys.path[:] = [code, *installed]
    exec(os.environ.pop("TANDEM_PRELUDE"), {})  # noqa: S102 - the rehearsal's own source
    module, _, name = handler.rpartition(".")
    try:
        function = getattr(importlib.import_module(module.replace("/", ".")), name)
        result: dict[str, Any] = {"ok": True, "payload": function(json.load(sys.stdin), Context())}
        text = json.dumps(result)
    except Exception as error:  # whatever the handler raised is its answer, as in Lambda
        traceback.print_exc()
        trace = traceback.format_tb(error.__traceback__)[1:]
        told = {"errorType": type(error).__name__, "errorMessage": str(error), "stackTrace": trace}
        text = json.dumps({"ok": False, "payload": told})
    Path(answer).write_text(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
