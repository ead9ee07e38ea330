"""Drops, late dimensions, new prices, replays, retractions and kills in any order, before and after archiving.

After every step four things hold. The fact is the maximum of the rows of all loads that count
(tests/loads/what_was_said.py). The ledger's sums are the fact's. Each row that waited is counted once as waiting and
once as flowed in. `explain` names the winner of every transaction.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NoReturn
from unittest import mock

import pytest
from hypothesis import Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

import cli.loads.explanation
import jobs.load_dimensions
import jobs.process_transactions
from cli.loads.explanation import explain_transaction
from cli.pipelines.statements import Result
from lambdas.archived_copies import origin_metadata
from schemas.drops import Drop
from schemas.runs import FLOW_IN, LOAD, RETRACT, ArchivedCopy
from tests import oracle
from tests.loads.disturbed import before
from tests.loads.shop import CUSTOMERS, FIRST_UPLOAD, PRODUCTS, Shop, csv_bytes, key_of
from tests.loads.what_was_said import Model
from tests.strategies.hostile_content import HEADER

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
NOON = datetime(2023, 3, 16, 12, tzinfo=UTC)
IDS = ("T0", "T1", "T2", "T3")

rows = st.lists(
    st.builds(
        "T{},C{},P{},{},2023-03-{},{}".format,
        st.integers(0, 3),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from(("1", "2", "x")),
        st.integers(13, 15),
        st.sampled_from(("pending", "shipped", "refunded")),
    ),
    min_size=1,
    max_size=5,
)
AFTER_COMMIT = "after the commit"
deaths = st.one_of(
    st.just(""),
    st.sampled_from(
        (
            AFTER_COMMIT,
            "create_temporary",
            "copy_staged",
            "select_ledger",
            "delete_history",
            "insert_history",
            "supersede_history",
            "insert_withdrawn",
            "insert_restored",
            "delete_withdrawn",
            "count_outcomes",
            "delete_stale",
            "merge",
            "count_merged",
            "delete_waiting",
            "delete_settled",
            "insert_waiting",
            "insert_ledger",
            "insert_amounts",
            "select_sales_of_day",
        )
    ),
)


class Killed(BaseException):
    """The process was killed."""


def die(*_: Any) -> NoReturn:
    raise Killed


@contextmanager
def dying(moment: str) -> Iterator[None]:
    """The job dies before this statement, or right after the commit."""
    if moment == AFTER_COMMIT:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jobs.process_transactions, "_report_commit", die)
            patch.setattr(jobs.load_dimensions, "as_report", die)
            yield
    elif moment:
        with before(moment, die):
            yield
    else:
        yield


class HistoryMachine(RuleBasedStateMachine):
    drops = Bundle("drops")

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self.shop = shop
        self.archived: dict[str, ArchivedCopy] = {}
        self.attempts: dict[str, int] = {}
        self.model = Model("add")

    @initialize(same_key=st.sampled_from(("add", "replace")))
    def open_shop(self, same_key: str) -> None:
        self.shop.clean(dimensions=True)
        self.shop.same_key, self.shop.max_reject_ratio = same_key, "1"
        self.model = Model(same_key)
        note(f"same_key {same_key}")

    @rule(
        target=drops,
        lines=rows,
        name=st.sampled_from(("a.csv", "b.csv")),
        day=st.sampled_from((14, 15)),
        hour=st.integers(0, 2),
        death=deaths,
    )
    def upload(self, lines: Sequence[str], name: str, day: int, hour: int, death: str) -> oracle.Drop:
        content = "".join(f"{line}\n" for line in (HEADER, *lines)).encode()
        drop = self.shop.upload(key_of(date(2023, 3, day), name), content, NOON + timedelta(hours=hour))
        note(f"{drop.load_id} is {name} of day {day}, uploaded in hour {hour}: {lines}")
        self.attempt(drop, LOAD, death)
        return drop

    @rule(drop=drops, death=deaths)
    def replay(self, drop: oracle.Drop, death: str) -> None:
        self.attempt(drop, LOAD, death)

    @rule(drop=drops, death=deaths)
    def retract(self, drop: oracle.Drop, death: str) -> None:
        self.attempt(drop, RETRACT, death)

    @rule(drop=drops)
    def archive(self, drop: oracle.Drop) -> None:
        """From now on the drop is read from its copy in the archive."""
        if drop.load_id in self.archived:
            return
        source = {"Bucket": drop.bucket, "Key": drop.key, "VersionId": drop.version_id}
        head = self.shop.s3.head_object(**source)
        metadata = origin_metadata(Drop(drop.bucket, drop.key, drop.version_id), head, above=(), below=())
        key = f"archive/{drop.key}"
        copy = self.shop.s3.put_object(Bucket=drop.bucket, Key=key, Body=drop.content, Metadata=metadata)
        self.shop.s3.delete_object(**source)
        self.archived[drop.load_id] = ArchivedCopy(drop.bucket, key, copy["VersionId"])
        note(f"{drop.load_id} is archived")

    @rule(
        prices=st.dictionaries(st.integers(0, 2), st.integers(1, 2000), min_size=1), day=st.integers(0, 3), death=deaths
    )
    def products_arrive(self, prices: dict[int, int], day: int, death: str) -> None:
        products = [
            oracle.Product(f"P{n}", f"Widget {n}", "Gadgets", Decimal(price), "S") for n, price in prices.items()
        ]
        drop = self.upload_dimension("dim_products", csv_bytes(PRODUCTS, products), day)
        self.model.dimensions.load_products(drop, products)
        self.load_dimension(drop, death)

    @rule(numbers=st.sets(st.integers(0, 2), min_size=1), day=st.integers(0, 3), death=deaths)
    def customers_arrive(self, numbers: set[int], day: int, death: str) -> None:
        customers = [oracle.Customer(f"C{n}", "J", "D", "", f"Level {day}") for n in sorted(numbers)]
        drop = self.upload_dimension("dim_customers", csv_bytes(CUSTOMERS, customers), day)
        self.model.dimensions.load_customers(drop, customers)
        self.load_dimension(drop, death)

    def upload_dimension(self, name: str, content: bytes, day: int) -> oracle.Drop:
        note(f"{name}, uploaded on day {day}: {content!r}")
        return self.shop.upload(f"dimensions/{name}.csv", content, FIRST_UPLOAD + timedelta(days=day))

    def load_dimension(self, drop: oracle.Drop, death: str) -> None:
        """Load a dimension. The rows that wait for it flow in, once for each load."""
        report = self.run(drop, LOAD, death)
        assert {awaited.load_id for awaited in report.awaited_by} == self.model.awaited()
        for awaited in report.awaited_by:
            self.attempt(self.model.said[awaited.load_id].drop, FLOW_IN, death)
        self.check()

    def attempt(self, drop: oracle.Drop, operation: str, death: str) -> None:
        report = self.run(drop, operation, death)
        self.model.attempt(drop, operation)
        said = self.model.said.get(drop.load_id)
        assert report.awaited_by == [], "no dimension arrived while the drop was read"
        assert report.waiting == (len(said.waiting) if said else 0) or operation == FLOW_IN
        if operation == LOAD:
            assert said is not None
            counts = said.counts
            assert report.counts is not None
            assert [report.counts[name] for name in ("rows_read", "duplicate", "rejected")] == [
                counts.rows_read,
                counts.duplicate,
                counts.rejected,
            ]
        self.check()

    def run(self, drop: oracle.Drop, operation: str, death: str) -> Any:
        """The report of the attempt, or of the next one if it dies."""
        note(f"{operation} {drop.load_id} {death and 'dies: ' + death}")
        self.attempts[drop.load_id] = self.attempts.get(drop.load_id, 0) + 1
        try:
            with dying(death):
                report = self._run(drop, operation)
        except Killed:
            self.attempts[drop.load_id] += 1
            report = self._run(drop, operation)
        assert report.outcome == "succeeded", report.error
        return report

    def _run(self, drop: oracle.Drop, operation: str) -> Any:
        archived = self.archived.get(drop.load_id) if operation != RETRACT else None
        return self.shop.run(drop, self.attempts[drop.load_id], operation, archived)

    def check(self) -> None:
        assert self.shop.comparable_fact() == self.model.columns()
        self.shop.assert_books_balance()
        assert {(row["load_id"], row["source_line"]) for row in self.shop.waiting()} == self.model.waiting()
        self.check_ledger()
        self.check_explanations()

    def check_ledger(self) -> None:
        """A waiting row counts as rejected in its load's first entry. A later entry takes it off once."""
        entries = self.shop.ledger_entries()
        arrived: dict[str, int] = {}
        for entry in entries:
            if entry["event"] == FLOW_IN:
                arrived[entry["load_id"]] = arrived.get(entry["load_id"], 0) - entry["rejected"]
        assert arrived == {load_id: rows for load_id, rows in self.model.arrived.items() if rows}
        first = {entry["load_id"]: entry["rejected"] for entry in entries if entry["event"] == LOAD}
        assert first == self.model.first_rejected

    def check_explanations(self) -> None:
        winners = self.model.fact()
        with mock.patch.object(cli.loads.explanation, "run_statement", self.answer):
            for name in IDS:
                rows = explain_transaction(None, name).rows  # type: ignore[arg-type]
                actual = [(row.source_uri, row.source_line, row.load_id) for row in rows if row.reason == "wins"]
                winner = winners.get(name)
                assert actual == ([(winner.source_uri, winner.source_line, winner.load_id)] if winner else [])
                assert all(row.reason == "wins" for row in rows[:1]) or winner is None
                own = [said for said in self.model.said.values() if name in said.ids.values()]
                assert {row.load_id for row in rows} == {said.drop.load_id for said in own}

    def answer(self, _: object, statement: str, *, limit: int, transaction_id: str) -> Result:
        """The response of the Data API."""
        actual = self.shop.sql(statement.replace(":transaction_id", f"'{transaction_id}'"))[:limit]
        return Result(list(actual[0]) if actual else [], [list(row.values()) for row in actual], None, is_cut=False)


def test_after_every_step_rows_money_and_explanations_are_right(shop: Shop) -> None:
    run_state_machine_as_test(
        lambda: HistoryMachine(shop),
        settings=settings(
            settings.default,
            phases=[Phase.generate],
            max_examples=30 if THOROUGH else 6,
            stateful_step_count=20 if THOROUGH else 10,
        ),
    )
