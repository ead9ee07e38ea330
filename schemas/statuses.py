"""The statuses of a transaction, in rank order. Declared here and nowhere else."""

from __future__ import annotations

import re

STATUSES = ("pending", "processing", "completed", "shipped", "delivered", "cancelled", "refunded")
"""A later status wins over an earlier one of the same transaction date."""

STATUS_RANK = {status: rank for rank, status in enumerate(STATUSES)}
"""The rank is the place in the order. Stored ranks follow it: every `pulumi up` renumbers them (warehouse.ddl)."""

RANK_SLOTS = 16
"""event_precedence = microseconds since 1970 x RANK_SLOTS + rank: the year 9999 still fits a BIGINT."""

COUNTS_AS_SALE = {status: status not in ("cancelled", "refunded") for status in STATUSES}
"""True where the amount of a transaction in this status is turnover."""

SPELLINGS = {"canceled": "cancelled", "complete": "completed", "fulfilled": "delivered", "dispatched": "shipped"}
"""Words that mean one of the statuses wherever they are used. Others are a shop's own: its source settings say them."""

WITHOUT_QUANTITY = ("cancelled", "refunded")
"""With these a quantity of 0 is right: the order is over, and what is left of it is nothing."""


STATUS_BLANKS = "[-_ \t\u00a0]+"
"""A pattern of what stands between the words of a status."""


def status_key(word: str) -> str:
    """One key for all spellings of a status: on-hold, On Hold and on_hold are one word."""
    return re.sub(STATUS_BLANKS, " ", word.strip().lower())


def counts_as_sale(status: str) -> bool:
    """False for a status that is not declared here: a table of an earlier version may hold one."""
    return COUNTS_AS_SALE.get(status, False)
