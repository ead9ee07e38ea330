"""Exponential backoff of a drop that waits because Glue is full."""

from __future__ import annotations

import random

FIRST_WAIT_SECONDS = 5
# Less than SQS's 900: near the end of a backfill a free worker should not idle for a quarter of an hour.
LONGEST_WAIT_SECONDS = 300


def backoff_seconds(waits: int, chance: random.Random) -> int:
    """The delay doubles with each wait. Half of it is random, so that a backfill does not return all at once."""
    longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS << min(waits, 16))
    return max(1, round(longest * chance.uniform(0.5, 1.0)))
