"""The process of a function: loads the handler once, then handles one event after the other.

Started by local/runtime/functions.py as `python function_worker.py CODE_FOLDER`, never imported.
The protocol is JSON lines: an invocation on standard input, its response on the original
standard output. The handler's own output goes to the function's log.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Context:
    """Lambda's context object, with the attributes that handlers read."""

    function_name: str
    invoked_function_arn: str
    memory_limit_in_mb: int
    aws_request_id: str
    deadline: float
    function_version: str = "$LATEST"

    @property
    def log_group_name(self) -> str:
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        return self.aws_request_id

    def get_remaining_time_in_millis(self) -> int:
        return max(0, round((self.deadline - time.time()) * 1000))


def main() -> None:
    responses = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # The function must import from its own folder, not from the folder of this script.
    sys.path[0] = sys.argv[1]
    if os.environ.get("LAPTOP_WITHOUT_POWERTOOLS"):
        sys.modules["aws_lambda_powertools"] = None  # type: ignore[assignment]
    handler: Any = None
    for line in sys.stdin:
        call = json.loads(line)
        try:
            if handler is None:
                module, _, name = os.environ["_HANDLER"].rpartition(".")
                handler = getattr(importlib.import_module(module), name)
            response = {"result": handler(call["event"], Context(**call["context"]))}
            text = json.dumps(response)
        except Exception as error:
            traceback.print_exc()
            text = json.dumps({"error": {"errorType": type(error).__name__, "errorMessage": str(error)}})
        print(text, file=responses, flush=True)


if __name__ == "__main__":
    main()
