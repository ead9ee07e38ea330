"""The statuses of a transaction, in rank order. Declared here and nowhere else."""

from __future__ import annotations

STATUSES = ("pending", "processing", "completed", "shipped", "delivered", "cancelled", "refunded")
"""A later status wins over an earlier one of the same transaction date."""

STATUS_RANK = {status: rank for rank, status in enumerate(STATUSES)}
