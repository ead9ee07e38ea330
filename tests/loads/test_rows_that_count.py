"""Uploads, late dimensions, replays and loads taken back, in any order: the fact is the maximum of the rows that count.

The oracle knows none of these steps. It loads the uploads that count into an empty warehouse that has every
dimension row that has arrived.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from schemas.runs import FLOW_IN, LOAD, RETRACT
from tests import oracle
from tests.loads.shop import CUSTOMERS, FIRST_UPLOAD, PRODUCTS, Shop, csv_bytes, key_of
from tests.strategies.hostile_content import HEADER

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
DAY = date(2023, 3, 15)
NOON = datetime(2023, 3, 16, 12, tzinfo=UTC)
ALL_PRODUCTS = {f"P{n}": oracle.Product(f"P{n}", f"Widget {n}", "Gadgets", Decimal(60 * n + 1), "S") for n in range(3)}
ALL_CUSTOMERS = {f"C{n}": oracle.Customer(f"C{n}", "J", "D", "", "Gold") for n in range(3)}

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


class RowsThatCount(RuleBasedStateMachine):
    drops = Bundle("drops")

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self.shop = shop
        self.products: dict[str, oracle.Product] = {}
        self.customers: dict[str, oracle.Customer] = {}
        self.loaded: dict[str, oracle.Drop] = {}
        """Loads that count: loaded and not taken back."""
        self.attempts: dict[str, int] = {}

    @initialize(same_key=st.sampled_from(("add", "replace")))
    def open_shop(self, same_key: str) -> None:
        self.shop.clean(dimensions=True)
        self.shop.same_key, self.shop.max_reject_ratio = same_key, "1"
        note(f"same_key {same_key}")

    @rule(target=drops, lines=rows, name=st.sampled_from(("a.csv", "b.csv")), hour=st.integers(0, 2))
    def upload(self, lines: Sequence[str], name: str, hour: int) -> oracle.Drop:
        content = "".join(f"{line}\n" for line in (HEADER, *lines)).encode()
        drop = self.shop.upload(key_of(DAY, name), content, NOON + timedelta(hours=hour))
        note(f"{drop.load_id} is {name} of {hour}: {lines}")
        self.attempt(drop, LOAD)
        return drop

    @rule(drop=drops)
    def replay(self, drop: oracle.Drop) -> None:
        self.attempt(drop, LOAD)

    @rule(drop=drops)
    def retract(self, drop: oracle.Drop) -> None:
        self.attempt(drop, RETRACT)

    @rule(numbers=st.sets(st.integers(0, 2), min_size=1))
    def products_arrive(self, numbers: set[int]) -> None:
        products = {f"P{n}": ALL_PRODUCTS[f"P{n}"] for n in numbers}
        self.products |= products
        self.dimension("dim_products", csv_bytes(PRODUCTS, products.values()))

    @rule(numbers=st.sets(st.integers(0, 2), min_size=1))
    def customers_arrive(self, numbers: set[int]) -> None:
        customers = {f"C{n}": ALL_CUSTOMERS[f"C{n}"] for n in numbers}
        self.customers |= customers
        self.dimension("dim_customers", csv_bytes(CUSTOMERS, customers.values()))

    def dimension(self, name: str, content: bytes) -> None:
        note(f"{name} {content!r}")
        report = self.shop.run(self.shop.upload(f"dimensions/{name}.csv", content, FIRST_UPLOAD))
        assert report.outcome == "succeeded", report.error
        for awaited in report.awaited_by:
            self.attempt(next(drop for drop in self.loaded.values() if drop.load_id == awaited.load_id), FLOW_IN)
        self.check()

    def attempt(self, drop: oracle.Drop, operation: str) -> None:
        note(f"{operation} {drop.load_id}")
        before = self.shop.comparable_fact()
        self.attempts[drop.load_id] = self.attempts.get(drop.load_id, 0) + 1
        report = self.shop.run(drop, self.attempts[drop.load_id], operation)
        assert report.outcome == "succeeded", report.error
        assert report.awaited_by == [], "no dimension arrived while the drop was read"
        if operation == RETRACT:
            self.loaded.pop(drop.load_id, None)
        elif operation == LOAD:
            self.loaded[drop.load_id] = drop
        if operation != FLOW_IN:
            self.check()
        if report.changed_nothing:
            self.assert_says_the_same(before)

    def assert_says_the_same(self, before: dict[str, dict[str, object]]) -> None:
        names = oracle.BUSINESS_COLUMNS
        after = self.shop.comparable_fact()
        assert {key: [row[name] for name in names] for key, row in before.items()} == {
            key: [row[name] for name in names] for key, row in after.items()
        }

    def check(self) -> None:
        model = oracle.Warehouse(max_reject_ratio="1")
        model.load_products(oracle.Drop("b", "k", "v", NOON), list(self.products.values()))
        model.load_customers(oracle.Drop("b", "k", "v", NOON), list(self.customers.values()))
        counting = list(self.loaded.values())
        if self.shop.same_key == "replace":
            newest = {drop.key: drop for drop in sorted(counting, key=lambda drop: (drop.uploaded_at, drop.load_id))}
            counting = list(newest.values())
        for drop in counting:
            model.load(drop)
        assert self.shop.comparable_fact() == model.columns()
        self.shop.assert_books_balance()


def test_the_fact_is_always_the_maximum_of_the_rows_that_count(shop: Shop) -> None:
    run_state_machine_as_test(
        lambda: RowsThatCount(shop),
        settings=settings(
            settings.default,
            phases=[Phase.generate],
            max_examples=60 if THOROUGH else 5,
            stateful_step_count=20 if THOROUGH else 10,
        ),
    )
