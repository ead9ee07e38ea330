"""Reports as the job writes them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from schemas.drops import Drop, parse_key
from schemas.reports import FAILED, SUCCEEDED, ClassAmount, Error, RejectedFor, RejectSample, Report


def succeeded(drop: Drop, *, attempt: int = 1, **changes: Any) -> Report:
    """A load of ten rows of which two were rejected."""
    parsed = parse_key(drop.key)
    report = Report(
        load_id=drop.load_id,
        attempt=attempt,
        kind=parsed.kind,
        outcome=SUCCEEDED,
        bucket=drop.bucket,
        key=drop.key,
        version_id=drop.version_id,
        started_at="2023-03-16T00:10:12Z",
        finished_at="2023-03-16T00:10:52Z",
        etag="4af981f98d22a0b9979da24b259e5e42",
        bytes=711,
        uploaded_at=f"{parsed.partition_day or '2023-03-16'}T22:10:07Z",
        partition_day=parsed.partition_day.isoformat() if parsed.partition_day else None,
        counts={
            "rows_read": 10,
            "inserted": 4,
            "updated": 1,
            "unchanged": 1,
            "stale": 1,
            "duplicate": 1,
            "rejected": 2,
        },
        reject_reasons={
            "unknown_product": RejectedFor(2, [RejectSample(3, {"transaction_id": "T3", "product_id": "P9"})]),
            "invalid_quantity": RejectedFor(1, [RejectSample(7, {"transaction_id": "T7", "quantity": "x"})]),
        },
        rejected_uri="s3://shop-work/rejected/year=2023/month=03/day=15/transactions_2023-03-15.0.csv",
        change="1234.50",
        amount_classes={"Small": ClassAmount(4, "34.50"), "Large": ClassAmount(1, "1200.00")},
    )
    return replace(report, **changes)


def failed(drop: Drop, *, attempt: int = 1, is_transient: bool = False, **changes: Any) -> Report:
    """A load that was refused before anything was loaded."""
    report = succeeded(
        drop,
        attempt=attempt,
        outcome=FAILED,
        counts=None,
        reject_reasons={},
        rejected_uri=None,
        change=None,
        amount_classes={},
        error=Error("the file has no column status; add it and drop the file again", is_transient, "MissingColumn"),
    )
    return replace(report, **changes)
