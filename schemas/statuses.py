"""The statuses of a transaction, in rank order. Declared here and nowhere else."""

from __future__ import annotations

import re

STATUSES = ("pending", "processing", "completed", "shipped", "delivered", "cancelled", "refunded")
"""A later status wins over an earlier one of the same transaction date."""

STATUS_RANK = {status: rank for rank, status in enumerate(STATUSES)}
"""The rank is the position in this order. `pulumi up` renumbers stored ranks when the order changes (warehouse.ddl)."""

RANK_SLOTS = 16
"""event_precedence = microseconds since 1970 x RANK_SLOTS + rank: the year 9999 still fits a BIGINT."""

COUNTS_AS_SALE = {status: status not in ("cancelled", "refunded") for status in STATUSES}
"""Status -> whether the amount of a transaction in it counts as a sale."""

SPELLINGS = {"canceled": "cancelled", "complete": "completed", "fulfilled": "delivered", "dispatched": "shipped"}
"""Words that always mean one of the statuses. A shop's own words are in its source settings."""

WITHOUT_QUANTITY = ("cancelled", "refunded")
"""With these a quantity of 0 is valid: the order is over and nothing of it is left."""


STATUS_BLANKS = "[-_ \t\u00a0]+"
"""The pattern of the separators between the words of a status."""


def status_key(word: str) -> str:
    """One key for all spellings of a status: on-hold, On Hold and on_hold are one word."""
    return re.sub(STATUS_BLANKS, " ", word.strip().lower())


def counts_as_sale(status: str) -> bool:
    """Whether a status counts as a sale; False for an undeclared one, which an older table may hold."""
    return COUNTS_AS_SALE.get(status, False)
