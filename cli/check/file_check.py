"""A check of a file with the job's own code, without a warehouse or a bucket; nothing is kept."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from cli.check.proposals import CheckWith, Proposal, propose
from cli.check.result import CheckResult
from cli.drops.keys import DAY_IN_NAME, settle_day
from jobs.csv.reader import SourceFile, open_source_file
from jobs.csv.reject_summary import RejectSummary
from jobs.csv.rejected_file import RejectedRows
from jobs.errors import JobError
from jobs.load.staging import StagedRows, Stager
from jobs.load_dimensions import open_dimension
from jobs.rows.dimensions import DimensionRows
from jobs.rows.duplicates import DuplicateCandidates
from jobs.rows.ids import IdReader
from jobs.rows.lookup import Lookup
from jobs.rows.validation import RowValidator, ValidationResult
from jobs.s3 import Prefix
from schemas.counted import agreeing, counted
from schemas.drops import CUSTOMERS, PRODUCTS, TRANSACTIONS, Drop
from schemas.reject_reasons import REJECT_REASONS
from schemas.rejected_file import REASON_SEPARATOR, REJECT_REASONS_COLUMN
from schemas.sources import CONTRACT_COLUMNS, SourceSettings
from schemas.warehouse.tables import DIMENSIONS

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

_FOLDERS = re.compile(r"year=([0-9]{4})/month=([0-9]{1,2})/day=([0-9]{1,2})/")
_MOST_VALUES = 1000
"""The largest number of different values that is kept for each reject reason."""


@dataclass(frozen=True)
class Dimensions:
    """The products and customers to look ids up in; None where they are not given: such ids are not checked."""

    products: Lookup | None = None
    customers: Lookup | None = None


@dataclass(frozen=True)
class FileCheck:
    """One file, the result of its check, and the settings that would improve the result."""

    path: Path
    kind: str
    """transactions, dim_products or dim_customers."""
    source: str
    result: CheckResult
    proposal: Proposal | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checker:
    """Checks files under the settings of a stack."""

    settings: SourceSettings
    dimensions: Dimensions
    max_reject_ratio: float
    day: str | None
    """The day of files without a day in their path."""

    def check(self, path: Path) -> FileCheck:
        """Check one file; raises Refused where its day is not in the calendar."""
        for kind in (PRODUCTS, CUSTOMERS):
            if path.name.startswith(kind):
                return self._checked(path, kind, partial(_check_dimension, path, kind), ())
        day = _day_of(path, self.day)

        def check_with(settings: SourceSettings) -> CheckResult:
            most = Fraction(str(self.max_reject_ratio))
            return _check_transactions(path, settings, day or datetime.now(UTC).date(), self.dimensions, most)

        return self._checked(path, TRANSACTIONS, check_with, self._notes(day))

    def _checked(self, path: Path, kind: str, check_with: CheckWith, notes: Iterable[str]) -> FileCheck:
        result = check_with(self.settings)
        is_good = not result.refusal and not result.needs_a_look
        proposal = None if is_good else propose(path, self.settings, result, check_with, kind)
        return FileCheck(path, kind, self.settings.name, result, proposal, tuple(notes))

    def _notes(self, day: date | None) -> Iterator[str]:
        if day is None:
            yield "the file's name has no day, so today is assumed: give --day YYYY-MM-DD"
        if self.dimensions.products is None:
            yield "product ids and prices are not checked: give --products dim_products….csv"
        if self.dimensions.customers is None:
            yield "customer ids are not checked: give --customers dim_customers….csv"


def _day_of(path: Path, given: str | None) -> date | None:
    """The day in the folders' names, in the file's name, or the given one; raises Refused where that differs."""
    folders = _FOLDERS.search(path.absolute().as_posix())
    named = DAY_IN_NAME.search(path.name)
    own = "-".join(part.zfill(2) for part in folders.groups()) if folders else named and named[1]
    return settle_day(path.name, own, given)


def _check_transactions(
    path: Path, settings: SourceSettings, day: date, dimensions: Dimensions, max_reject_ratio: Fraction
) -> CheckResult:
    """Read and validate a file and resolve its duplicates, as the job does."""
    with tempfile.TemporaryDirectory(prefix="check-") as name:
        folder = Path(name)
        try:
            ids = IdReader(settings.null_words)
            source = open_source_file(
                path,
                name=path.name,
                required=CONTRACT_COLUMNS,
                settings=settings,
                read_part=ids.read,
            )
            validator = _validator(settings, day, dimensions)
            candidates = DuplicateCandidates(source, folder, ids)
            stager = Stager(Drop("", "", ""), Prefix(cast("S3Client", _Discarded()), "", ""), folder)
            rejected = RejectedRows(source.layout, folder, source.unread_chunks)
            staged = stager.stage(source, validator, candidates, rejected)
            rejected.sum_up()
        except JobError as refused:
            return CheckResult(refusal=str(refused))
        return _result(staged, rejected.summary, source, validator, max_reject_ratio)


def _result(
    staged: StagedRows, summary: RejectSummary, source: SourceFile, validator: _Observer, most: Fraction
) -> CheckResult:
    rejected = staged.rejected
    refusal = None
    if rejected and Fraction(rejected, staged.rows_read) > most:
        refusal = (
            f"{rejected:,} of {counted(staged.rows_read, 'row')} {agreeing(rejected, 'is', 'are')} rejected, "
            f"and max_reject_ratio allows {float(most):.1%}, "
            "so nothing would be loaded"
        )
    return CheckResult(
        refusal=refusal,
        rows=staged.rows_read,
        accepted=staged.rows_read - rejected,
        duplicate=staged.duplicate,
        rejected=rejected,
        reasons=summary.reject_reasons(),
        values=validator.values,
        ignored_columns=tuple(source.ignored_columns),
        reused_ids=staged.reused,
    )


def _check_dimension(path: Path, name: str, settings: SourceSettings) -> CheckResult:
    """Read a file of products or customers as the job does."""
    try:
        rows = _dimension_rows(path, name, settings)
    except JobError as refused:
        return CheckResult(refusal=str(refused))
    return CheckResult(refusal=None, rows=rows.height, accepted=rows.height)


def read_lookup(path: Path, name: str, settings: SourceSettings) -> Lookup:
    """A dimension from a source file; raises JobError."""
    columns = DIMENSIONS[name].joined
    return Lookup(_dimension_rows(path, name, settings).select(columns), name=name, key=columns[0])


def _dimension_rows(path: Path, name: str, settings: SourceSettings) -> pl.DataFrame:
    dimension = DIMENSIONS[name]
    columns = {column.name: column.polars for column in dimension.source_columns}
    source = open_dimension(path, name=path.name, dimension=dimension, settings=settings)
    read = DimensionRows(source, dimension)
    chunks = [pl.DataFrame(schema=columns), *(chunk.select(*columns) for chunk in read.chunks())]
    read.refuse_faults()
    return pl.concat(chunks)


def _validator(settings: SourceSettings, day: date, dimensions: Dimensions) -> _Observer:
    return _Observer(
        products=dimensions.products or _AnyId(PRODUCTS),
        customers=dimensions.customers or _AnyId(CUSTOMERS),
        amount_classes={"": Decimal(0)},
        partition_day=day,
        drop_precedence="",
        load_id="",
        source_uri="",
        source=settings,
    )


@dataclass(frozen=True)
class _Observer(RowValidator):
    """Validates rows, and counts the values for which rows are rejected."""

    values: dict[str, Counter[str]] = field(default_factory=dict)

    def validate(self, rows: pl.DataFrame) -> ValidationResult:
        result = super().validate(rows)
        rejected = result.rejected
        for reason, meaning in REJECT_REASONS.items():
            column = meaning.column
            if column not in rejected.columns or rejected.is_empty():
                continue
            has_reason = pl.col(REJECT_REASONS_COLUMN).str.split(REASON_SEPARATOR).list.contains(reason)
            values = rejected.filter(has_reason).get_column(column).fill_null("").str.strip_chars()
            for value, count in values.value_counts().head(_MOST_VALUES).rows():
                self.values.setdefault(reason, Counter())[value] += count
        return result


class _AnyId(Lookup):
    """A dimension that knows every id; its other columns are empty, and every price is 0."""

    def __init__(self, name: str) -> None:
        columns = {column: DIMENSIONS[name].table[column].polars for column in DIMENSIONS[name].joined}
        only_row = {column: [Decimal(0)] if column == "price" else [None] for column in columns}
        super().__init__(
            pl.DataFrame({**only_row, DIMENSIONS[name].joined[0]: [""]}, schema=columns),
            name=name,
            key=DIMENSIONS[name].joined[0],
        )

    def rows_of(self, ids: pl.Series) -> pl.Series:
        return pl.Series([0]).cast(pl.UInt32).new_from_index(0, ids.len()).set(ids.is_null(), None)


class _Discarded:
    """An S3 client that discards uploads: these rows are not loaded."""

    def upload_file(self, *_arguments: Any, **_options: Any) -> None:
        """Keep nothing."""

    put_object = upload_file
