"""The metrics that `sweep` and `notify` publish and the alarms read: names that both sides must agree on."""

from __future__ import annotations

NAMESPACE = "transactions-pipeline"
STACK = "stack"
"""The only dimension; its value is the stack's name."""

OLDEST_WAITING_DROP_MINUTES = "OldestWaitingDropMinutes"
"""Age of the oldest drop in the drop bucket that has no report yet; 0 when there is none. Every sweep."""

HOURS_SINCE_LAST_DROP = "HoursSinceLastDrop"
"""Age of the newest drop that was ever claimed. Every sweep after the first drop: a new stack publishes none."""

ROWS = "Rows"
"""Rows in the file of a load. Every loaded day of transactions, at least once; so are the next two."""

REJECTED_SHARE = "RejectedShare"
"""The share of these rows that was rejected, from 0 to 1."""

UNUSUAL_LOADS = "UnusualLoads"
"""1 for a load that fell below what is usual for its weekday (schemas.usual), 0 for any other."""
