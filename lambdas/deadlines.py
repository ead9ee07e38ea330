"""The time after which an invocation is certainly over, so its leases have expired."""

from __future__ import annotations

from aws_lambda_powertools.utilities.typing import LambdaContext

# A request that is under way when Lambda ends the invocation may still arrive.
_LAST_REQUEST_SECONDS = 5


def invocation_deadline_seconds(context: LambdaContext) -> float:
    """The seconds after which the invocation has ended and none of its requests is still under way."""
    return float(context.get_remaining_time_in_millis()) / 1000 + _LAST_REQUEST_SECONDS
