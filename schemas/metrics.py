"""The metrics that `sweep` publishes and the alarms read: names that both sides must agree on."""

from __future__ import annotations

NAMESPACE = "transactions-pipeline"
STACK = "stack"
"""The only dimension; its value is the stack's name."""

OLDEST_WAITING_DROP_MINUTES = "OldestWaitingDropMinutes"
"""Age of the oldest drop in the drop bucket that has no report yet; 0 when there is none. Every sweep."""

HOURS_SINCE_LAST_DROP = "HoursSinceLastDrop"
"""Age of the newest drop that was ever claimed. Every sweep, once the first drop has come: a new stack is silent."""
