"""The report of an attempt: what the job writes to S3 and the Lambdas read.

One JSON object per attempt at `reports/<load_id>/<attempt>.json`, also when the attempt
failed. A missing report means that the attempt died before it could write one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

SUCCEEDED = "succeeded"
FAILED = "failed"


@dataclass(frozen=True)
class RejectSample:
    source_line: int
    source_text: str
    """The row as it stood in the file, cut at 500 characters."""


@dataclass(frozen=True)
class RejectedFor:
    rows: int
    samples: list[RejectSample]
    """Up to three, the first in the file."""


@dataclass(frozen=True)
class ClassAmount:
    rows: int
    amount: str
    """A decimal number with two places; text, so that no reader makes a float of it."""


@dataclass(frozen=True)
class Error:
    sentence: str
    """For the mail: what, which value, where, what to do."""
    is_transient: bool
    """True: trying again may help. False: a person must act."""
    type: str


@dataclass(frozen=True)
class Report:
    load_id: str
    attempt: int
    kind: str
    """One of schemas.drops.KINDS."""
    outcome: str
    """SUCCEEDED or FAILED."""
    bucket: str
    key: str
    version_id: str
    started_at: str
    """ISO 8601, UTC."""
    finished_at: str
    etag: str | None = None
    """None where the attempt failed before it saw the object; so are the next three."""
    bytes: int | None = None
    uploaded_at: str | None = None
    partition_day: str | None = None
    """YYYY-MM-DD; None for a dimension."""
    counts: dict[str, int] | None = None
    """The seven counts (schemas.warehouse.tables.COUNTS); None unless the load is committed."""
    first_commit: dict[str, int] | None = None
    """For a replay: the seven counts in the ledger, of the attempt that committed this load first."""
    reject_reasons: dict[str, RejectedFor] = field(default_factory=dict)
    rejected_uri: str | None = None
    staged_amount: str | None = None
    amount_classes: dict[str, ClassAmount] = field(default_factory=dict)
    """Staged rows and their amount by amount class, the smallest class first."""
    ignored_columns: list[str] = field(default_factory=list)
    step_seconds: dict[str, float] = field(default_factory=dict)
    rows_per_second: float | None = None
    peak_memory_bytes: int | None = None
    error: Error | None = None
    versions: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """The report as written by to_json; raises ValueError, LookupError or TypeError for anything else.

        Fields that are not known here are ignored: a newer job may have written the report.
        """
        content = json.loads(text)
        content["reject_reasons"] = {
            reason: RejectedFor(rejected["rows"], [_known(RejectSample, sample) for sample in rejected["samples"]])
            for reason, rejected in content["reject_reasons"].items()
        }
        content["amount_classes"] = {
            label: _known(ClassAmount, amount) for label, amount in content["amount_classes"].items()
        }
        if content["error"] is not None:
            content["error"] = _known(Error, content["error"])
        return _known(cls, content)


_Part = TypeVar("_Part")


def _known(part: type[_Part], content: Mapping[str, Any]) -> _Part:
    """A dataclass from those of the fields that it has."""
    names = {field.name for field in fields(part)}  # type: ignore[arg-type]
    return part(**{name: value for name, value in content.items() if name in names})
