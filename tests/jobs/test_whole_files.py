"""The job on whole files, compared with the oracle: every row, every reason, every refusal, every cent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.csv.reject_summary import without_address
from schemas.reports import Report
from tests import oracle
from tests.jobs.dry_run import UPLOADED_AT, DryRun, dry_run, read_exactly, refusal_kinds, small_pieces
from tests.oracle.files import read_file
from tests.oracle.text import Refused
from tests.strategies.files import RenderedFile, hostile_files, render, transaction_files
from tests.strategies.hostile_content import (
    BROKEN_FILES,
    HEADER,
    HOSTILE_TEXTS,
    SOUND_CUSTOMERS,
    SOUND_DAY,
    SOUND_LINE,
    SOUND_PRODUCTS,
    HostileFile,
)
from tests.strategies.rows import dim_customers, dim_products, hostile_transactions, partition_days, transactions

pieces = st.builds(
    dict,
    chunk_bytes=st.sampled_from((25, 64, 200, 1 << 24)),
    chunk_values=st.sampled_from((1, 14, 1 << 21)),
    bytes_per_bucket=st.sampled_from((150, 400, 1 << 30)),
    rows_per_bucket=st.sampled_from((1, 2, 1000)),
    range_bytes=st.sampled_from((0, 0, 7, 1 << 16)),
)
"""The sizes of chunks, passes and ranges; no result may depend on them."""


def check(
    content: bytes,
    *,
    gz: bool = False,
    exactly: bool = False,
    pieces: Mapping[str, int] | None = None,
    products: oracle.Products = SOUND_PRODUCTS,
    customers: oracle.Customers = SOUND_CUSTOMERS,
    partition_day: date = SOUND_DAY,
) -> DryRun:
    """Run the job and compare the whole result with the oracle's."""
    validated_with: dict[str, Any] = {"products": products, "customers": customers, "partition_day": partition_day}
    with read_exactly() if exactly else nullcontext(), small_pieces(**pieces) if pieces else nullcontext():
        run = dry_run(content, gz=gz, **validated_with)
    assert run.left_staged == []
    file = read_or_refuse(content)
    if isinstance(file, Refused):
        assert run.error is not None, f"the job took a file that is {file}"
        assert refusal_kinds(run.error) <= file.kinds, str(run.error)
        assert run.staged == []
        assert run.report.counts is None
        return run
    assert run.error is None, str(run.error)
    validated = oracle.validate_file(file, **validated_with)
    resolved = oracle.resolve_file(validated.accepted)
    assert sorted(run.staged, key=by_line) == sorted(
        [expected_row(winner, partition_day, run.report) for winner in resolved.winners.values()], key=by_line
    )
    assert run.duplicate == len(resolved.duplicates)
    check_reused_ids(run, validated)
    assert run.report.ignored_columns == [*file.ignored_columns]
    check_rejected(run, file, validated)
    check_amounts(run, resolved)
    return run


def read_or_refuse(content: bytes) -> oracle.TransactionFile | Refused:
    try:
        return read_file(content)
    except Refused as refused:
        return refused


def by_line(row: Mapping[str, Any]) -> int:
    return int(row["source_line"])


def expected_row(winner: oracle.Accepted, partition_day: date, report: Report) -> dict[str, Any]:
    """A staged row, with its precedence worked out from the oracle's parts of it."""
    instant_utc = winner.business["transaction_date"]
    since_1970 = instant_utc.replace(tzinfo=timezone.utc) - datetime(1970, 1, 1, tzinfo=timezone.utc)
    microseconds = (since_1970.days * 86400 + since_1970.seconds) * 10**6 + since_1970.microseconds
    return {
        **winner.business,
        "event_precedence": microseconds * 16 + winner.status_rank,
        "drop_precedence": f"{partition_day.isoformat()} {UPLOADED_AT:%Y-%m-%dT%H:%M:%SZ} {report.load_id}",
        "source_line": winner.row.source_line,
        "load_id": report.load_id,
        "source_uri": f"s3://drop-bucket/{report.key}",
    }


def check_rejected(run: DryRun, file: oracle.TransactionFile, validated: oracle.ValidatedFile) -> None:
    if not validated.rejected:
        assert run.rejected is None
        assert run.report.reject_reasons == {}
        return
    assert run.rejected == oracle.expected_rejected_file(file, validated.rejected)
    counts = Counter(reason for verdict in validated.rejected for reason in verdict.reasons)
    rejected = run.report.reject_reasons
    assert {reason: entry.rows for reason, entry in rejected.items()} == counts
    most_frequent_first = sorted(counts, key=lambda reason: (-counts[reason], oracle.REJECT_REASONS.index(reason)))
    assert list(rejected) == most_frequent_first
    for reason, entry in rejected.items():
        lines = [verdict.row.source_line for verdict in validated.rejected if reason in verdict.reasons]
        assert [sample.source_line for sample in entry.samples] == lines[:3]


def check_reused_ids(run: DryRun, validated: oracle.ValidatedFile) -> None:
    expected = oracle.reused_ids(validated.accepted)
    reported = run.report.reused_ids
    assert reported.ids == len(expected)
    samples = [(without_address(id_), *lines) for id_, *lines in expected[:3]]
    assert [(sample.transaction_id, sample.first_line, sample.last_line) for sample in reported.samples] == samples


def check_amounts(run: DryRun, resolved: oracle.ResolvedFile) -> None:
    expected = {label: (0, Decimal(0)) for label, _ in oracle.AMOUNT_CLASSES}
    for winner in resolved.winners.values():
        rows, amount = expected[winner.business["amount_class"]]
        expected[winner.business["amount_class"]] = (rows + 1, amount + winner.business["total_amount"])
    assert {label: (entry.rows, entry.amount) for label, entry in run.report.amount_classes.items()} == {
        label: (rows, f"{amount:.2f}") for label, (rows, amount) in expected.items()
    }
    assert run.report.change == f"{sum((amount for _, amount in expected.values()), Decimal(0)):.2f}"


@given(
    rendered=transaction_files(rows=transactions(), max_rows=8, gz=None),
    products=dim_products(),
    customers=dim_customers(),
    day=partition_days,
    pieces=pieces,
    exactly=st.booleans(),
)
def test_a_sound_file_in_any_dress_becomes_what_the_contract_says(
    rendered: RenderedFile,
    products: oracle.Products,
    customers: oracle.Customers,
    day: date,
    pieces: Mapping[str, int],
    exactly: bool,
) -> None:
    run = check(
        rendered.content,
        gz=rendered.gz,
        exactly=exactly,
        pieces=pieces,
        products=products,
        customers=customers,
        partition_day=day,
    )
    if run.error is not None:
        assert refusal_kinds(run.error) == {"hidden_row"}, "an unreadable date may look like a hidden row"
        return
    assert run.report.counts is not None
    assert run.report.counts["rows_read"] == len(rendered.rows)


@given(
    rendered=transaction_files(rows=st.one_of(hostile_transactions(), transactions()), gz=None),
    products=dim_products(),
    customers=dim_customers(),
    pieces=pieces,
    exactly=st.booleans(),
)
def test_drawn_hostile_text_in_any_field_ends_as_in_the_contract(
    rendered: RenderedFile,
    products: oracle.Products,
    customers: oracle.Customers,
    pieces: Mapping[str, int],
    exactly: bool,
) -> None:
    check(rendered.content, gz=rendered.gz, exactly=exactly, pieces=pieces, products=products, customers=customers)


@given(hostile=hostile_files(), pieces=pieces, exactly=st.booleans())
def test_broken_bytes_are_refused_or_read_as_the_contract_says(
    hostile: HostileFile, pieces: Mapping[str, int], exactly: bool
) -> None:
    if len(hostile.content) > 10_000:
        pieces = {}  # a megabyte in chunks of a few bytes adds no new case, and is slow
    check(hostile.content, gz=hostile.gz, exactly=exactly, pieces=pieces)


@pytest.mark.parametrize("exactly", [False, True], ids=["any reader", "the exact reader"])
@pytest.mark.parametrize("hostile", BROKEN_FILES, ids=lambda hostile: hostile.name)
def test_every_named_broken_file_has_its_outcome(hostile: HostileFile, exactly: bool) -> None:
    check(hostile.content, gz=hostile.gz, exactly=exactly)


@pytest.mark.parametrize("column", range(6))
def test_each_hostile_text_in_each_column_ends_as_in_the_contract(column: int) -> None:
    rows = []
    for text in HOSTILE_TEXTS:
        values = dict(zip(HEADER.split(","), SOUND_LINE.split(",")))
        rows.append({**values, HEADER.split(",")[column]: text})
    check(render(rows).content)
    plain = [row for row in rows if not set('"\r\n\0,') & set("".join(row.values()))]
    assert len(plain) > len(rows) / 2
    check(render(plain).content, pieces={"chunk_bytes": 1000})
