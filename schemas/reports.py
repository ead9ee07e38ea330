"""The report of an attempt: what the job writes to S3 and the Lambdas read.

One JSON object per attempt at `reports/<load_id>/<attempt>.json`, also when the attempt
failed. A missing report means that the attempt died before it could write one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from schemas.counted import agreeing, counted
from schemas.drops import Drop
from schemas.reject_reasons import REJECT_REASONS
from schemas.usual import Comparison, Measure

SUCCEEDED = "succeeded"
FAILED = "failed"
WAREHOUSE_INCOMPLETE = "WarehouseIncomplete"
"""The type of an Error: the warehouse lacks a table, a column or a right."""
REUSED_SAMPLES = 3
REUSED_ADVICE = (
    "If these are different sales, make transaction_id of several columns (`columns` in the source settings) "
    "and replay what is loaded."
)


@dataclass(frozen=True)
class RejectSample:
    source_line: int
    values: dict[str, str] = field(default_factory=dict)
    """The contract's columns as read, each cut at 100 characters. Never an ignored column: it may hold data that must
    not be mailed. Empty for a malformed row, since its columns are uncertain."""
    fault: str = ""
    """Why a malformed row is malformed, without its content."""

    def in_words(self, reason: str) -> str:
        """The evidence for the reason: the fault, the wrong column with its value, or every column."""
        declared = REJECT_REASONS.get(reason)
        wrong = declared.column if declared is not None else None
        shown = {wrong: self.values[wrong]} if wrong in self.values else self.values
        return self.fault or ", ".join(f'{column} "{value}"' for column, value in shown.items())


@dataclass(frozen=True)
class RejectedFor:
    rows: int
    samples: list[RejectSample]
    """Up to three, the first in the file."""
    values: list[str] = field(default_factory=list)
    """A few different values of the reason's column (schemas.reject_reasons); empty for a reason without a column."""


@dataclass(frozen=True)
class ReusedId:
    transaction_id: str
    first_line: int
    last_line: int


@dataclass(frozen=True)
class ReusedIds:
    """The transaction_ids of a drop whose rows name several customers or products.

    By the contract a later row updates an earlier one. But a till that begins at 1 each day writes such rows, too.
    """

    ids: int = 0
    """Those with several customers or products among the drop's accepted rows."""
    samples: list[ReusedId] = field(default_factory=list)
    """Up to REUSED_SAMPLES, the first in the file."""
    known_ids: int = 0
    """Those that had another customer or product in the warehouse, from a file with another key."""
    known_samples: list[str] = field(default_factory=list)
    """Up to REUSED_SAMPLES, in the order of the ids."""

    def __bool__(self) -> bool:
        return bool(self.ids or self.known_ids)

    def __add__(self, other: ReusedIds) -> ReusedIds:
        """Those of two parts of one drop, before it is compared with the warehouse."""
        samples = sorted([*self.samples, *other.samples], key=lambda sample: sample.first_line)
        return ReusedIds(self.ids + other.ids, samples[:REUSED_SAMPLES])

    def in_words(self) -> str:
        """The sentence about ids reused in the drop; empty if there are none."""
        if not self.ids:
            return ""
        samples = [f"{each.transaction_id} (lines {each.first_line:,} to {each.last_line:,})" for each in self.samples]
        more = ", …" if self.ids > len(samples) else ""
        return (
            f"{counted(self.ids, 'transaction_id')} {agreeing(self.ids, 'names', 'name')} several customers or "
            f"products, and only the latest row of each counts: {', '.join(samples)}{more}"
        )

    def known_in_words(self) -> str:
        """The sentence about ids reused across files, without its number; empty if there are none."""
        if not self.known_ids:
            return ""
        more = ", …" if self.known_ids > len(self.known_samples) else ""
        return (
            f"{agreeing(self.known_ids, 'transaction_id', 'transaction_ids')} had another customer or product in an "
            f"earlier file, and only the later row of each counts: {', '.join(self.known_samples)}{more}"
        )

    def sentences(self) -> list[str]:
        """The sentences about reused ids and what to do; none if there are none."""
        known = f"{self.known_ids:,} {self.known_in_words()}" if self.known_ids else ""
        sentences = [f"{sentence}." for sentence in (self.in_words(), known) if sentence]
        return [*sentences, REUSED_ADVICE] if sentences else []


def beside_name(sentence: str, file_name: str) -> str:
    """An error's sentence for a reader who has just read the name of the file."""
    sentence = sentence.removeprefix(f"{file_name}, ")
    return f"it {sentence[len(file_name) + 1 :]}" if sentence.startswith(f"{file_name} ") else sentence


@dataclass(frozen=True)
class ClassAmount:
    """The change of the fact: rows and money added less those removed."""

    rows: int
    amount: str
    """A decimal number with two places; text, so that no reader turns it into a float."""


@dataclass(frozen=True)
class ChangedTransaction:
    """One transaction whose amount changes. The values before are None for a new one, the values after for one that is
    removed."""

    transaction_id: str
    old_status: str | None
    old_amount: str | None
    new_status: str | None
    new_amount: str | None


@dataclass(frozen=True)
class EarlierFile:
    """A file that was loaded before."""

    key: str
    uploaded_at: str
    """ISO 8601, UTC."""


@dataclass(frozen=True)
class Error:
    sentence: str
    """For the mail: what, which value, where, what to do."""
    is_transient: bool
    """True: trying again may help. False: a person must act."""
    type: str
    not_before: str | None = None
    """ISO 8601, UTC: trying again before this instant cannot help."""


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
    event: str | None = None
    """load, replay, flow_in or retract; None unless the load is committed, and for a dimension."""
    counts: dict[str, int] | None = None
    """The seven counts (schemas.counts.COUNTS) of what this attempt did; None unless it is committed.
    They belong to this report's reject_reasons. A flow_in has rows_read 0 and a negative `rejected`."""
    first_commit: dict[str, int] | None = None
    """The seven counts of the load's first commit, where an earlier attempt had committed it."""
    first_change: str | None = None
    """The change of the fact by the first commit, where an earlier attempt had committed the load."""
    reject_reasons: dict[str, RejectedFor] = field(default_factory=dict)
    rejected_uri: str | None = None
    reused_ids: ReusedIds = field(default_factory=ReusedIds)
    change: str | None = None
    """The change of the amount of all transactions in the warehouse by this attempt."""
    sales_change: str | None = None
    """The same for net sales: the transactions whose status counts as a sale (schemas.statuses)."""
    day_sales: str | None = None
    """Net sales of the drop's day, after this attempt."""
    amount_classes: dict[str, ClassAmount] = field(default_factory=dict)
    """The change by amount class, the smallest class first; unchanged classes included."""
    statuses: dict[str, ClassAmount] = field(default_factory=dict)
    """The change by status, in rank order; only statuses that changed."""
    removed: int = 0
    """Transactions that left the warehouse, because a load was taken back or its file has fewer rows than before."""
    restored: int = 0
    """Transactions that have the values of another load again, for the same reasons."""
    waiting: int = 0
    """Rejected rows that are loaded automatically when their customer or product arrives."""
    stopped_waiting: int = 0
    """Rows of any drop that had waited too long and are no longer loaded automatically."""
    awaited_by: list[Drop] = field(default_factory=list)
    """Drops with rows that waited for what this attempt loaded: each needs an attempt with operation flow_in."""
    largest_changes: list[ChangedTransaction] = field(default_factory=list)
    """The transactions whose amount a load would change most, the largest change first; only for a plan."""
    comparison: Comparison | None = None
    """The load compared with recent loads of the same weekday; None if there are too few."""
    same_content: EarlierFile | None = None
    """For a load that changed nothing: the latest other file with the same bytes, if there is one."""
    ignored_columns: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """The corrections in the rows of a dimension, a sentence each."""
    rows_read: int = 0
    """Rows of the file, also when the load failed."""
    step_seconds: dict[str, float] = field(default_factory=dict)
    """In the order of the steps (jobs.attempt.STEPS)."""
    rows_per_second: float | None = None
    peak_memory_bytes: int | None = None
    error: Error | None = None
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def changed_nothing(self) -> bool:
        """True when the attempt was committed and every transaction is as it was before."""
        if self.counts is None:
            return False
        return not (self.counts["inserted"] or self.counts["updated"] or self.removed or self.restored)

    @property
    def why_nothing_changed(self) -> str:
        """The reason, for an attempt that changed nothing, as a clause."""
        counts = self.counts or {}
        rows, rejected = counts.get("rows_read", 0), counts.get("rejected", 0)
        if rows <= rejected:
            return "none of its rows was accepted" if rows else "it has no rows"
        accepted = "accepted rows" if rejected else "rows"
        return f"the warehouse already had all of its {accepted}" + (" or later ones" if counts.get("stale") else "")

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """The report as written by to_json; raises ValueError, LookupError or TypeError for anything else.

        Fields that are not known here are ignored: a newer job may have written the report.
        """
        content = json.loads(text)
        content["reject_reasons"] = {
            reason: RejectedFor(
                rejected["rows"],
                [_known(RejectSample, sample) for sample in rejected["samples"]],
                rejected.get("values", []),
            )
            for reason, rejected in content["reject_reasons"].items()
        }
        reused = content.get("reused_ids", {})
        content["reused_ids"] = ReusedIds(
            reused.get("ids", 0),
            [_known(ReusedId, sample) for sample in reused.get("samples", [])],
            reused.get("known_ids", 0),
            reused.get("known_samples", []),
        )
        for name in ("amount_classes", "statuses"):
            content[name] = {label: _known(ClassAmount, amount) for label, amount in content.get(name, {}).items()}
        content["awaited_by"] = [_known(Drop, drop) for drop in content.get("awaited_by", [])]
        content["largest_changes"] = [_known(ChangedTransaction, each) for each in content.get("largest_changes", [])]
        if content.get("comparison") is not None:
            content["comparison"] = _comparison(content["comparison"])
        if content.get("same_content") is not None:
            content["same_content"] = _known(EarlierFile, content["same_content"])
        if content["error"] is not None:
            content["error"] = _known(Error, content["error"])
        return _known(cls, content)


def _comparison(content: Mapping[str, Any]) -> Comparison:
    measures = ("rows", "rejected_share", "change")
    return _known(Comparison, {**content, **{name: _known(Measure, content[name]) for name in measures}})


_Part = TypeVar("_Part")


def _known(part: type[_Part], content: Mapping[str, Any]) -> _Part:
    """A dataclass from the fields that it knows."""
    names = {field.name for field in fields(part)}  # type: ignore[arg-type]
    return part(**{name: value for name, value in content.items() if name in names})
