"""Days that an operator types."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from cli.refusals import Refused


def first_moment(day: str | None) -> datetime | None:
    """The first moment of a day in UTC; None for None. Raises Refused for a day that is not in the calendar."""
    if day is None:
        return None
    try:
        return datetime.combine(date.fromisoformat(day), time.min, UTC)
    except ValueError:
        raise Refused(f"{day} is not a day of the calendar; give it as YYYY-MM-DD") from None
