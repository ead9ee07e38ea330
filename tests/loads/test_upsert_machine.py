"""Drops in any order, repeated, split, broken or repriced: after every step the warehouse equals the oracle's."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests import oracle
from tests.loads.shop import CUSTOMERS, FIRST_UPLOAD, PRODUCTS, Shop, csv_bytes, key_of
from tests.oracle.text import SOURCE_COLUMNS
from tests.strategies.files import render
from tests.strategies.hostile_content import BROKEN_FILES, HEADER, HostileFile
from tests.strategies.rows import (
    PARTITION_DAYS,
    Transaction,
    dim_customers,
    dim_products,
    hostile_transactions,
    partition_days,
    transactions,
    uploads,
)

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
FILE_NAMES = ("day.csv", "a b+c%41.csv", "it's; --.csv")
ROWS = {
    day: st.lists(
        # Mostly sound rows, or the whole file would be rejected. tests/jobs tests the formats of files.
        st.one_of(*[transactions(partition_day=day, faults=False)] * 3, transactions(partition_day=day)),
        min_size=4,
        max_size=8,
    )
    for day in PARTITION_DAYS
}
useless = (
    HostileFile("header alone", HEADER.encode()),
    *(broken for broken in BROKEN_FILES if broken.refusals and len(broken.content) < 1000),
)


class Upserts(RuleBasedStateMachine):
    """The system is the whole job on the real engine; the model is the oracle's warehouse."""

    drops = Bundle("drops")

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self.shop = shop
        self.model = oracle.Warehouse()
        self.attempts: dict[str, int] = {}
        self.rows: dict[str, Sequence[Transaction]] = {}

    @initialize(products=dim_products(), customers=dim_customers())
    def open_shop(self, products: Mapping[str, oracle.Product], customers: Mapping[str, oracle.Customer]) -> None:
        self.shop.clean(dimensions=True)
        for_products, for_customers = self.shop.load_dimension_rows(products, customers)
        self.model.load_products(for_products, list(products.values()))
        self.model.load_customers(for_customers, list(customers.values()))

    @rule(
        target=drops,
        day=partition_days,
        data=st.data(),
        name=st.sampled_from(FILE_NAMES),
        uploaded_at=uploads,
    )
    def drop(self, day: date, data: st.DataObject, name: str, uploaded_at: datetime) -> oracle.Drop:
        rows = data.draw(ROWS[day])
        return self.load(render(rows).content, rows, day=day, name=name, uploaded_at=uploaded_at)

    @rule(target=drops, row=hostile_transactions(), name=st.sampled_from(FILE_NAMES), uploaded_at=uploads)
    def drop_something_hostile(self, row: Transaction, name: str, uploaded_at: datetime) -> oracle.Drop:
        sound = dict(zip(SOURCE_COLUMNS, ("T0", "C0", "P0", "1", "2023-03-14", "shipped"), strict=True))
        rows = [row, sound]
        return self.load(render(rows).content, rows, day=date(2023, 3, 15), name=name, uploaded_at=uploaded_at)

    @rule(drop=drops)
    def replay(self, drop: oracle.Drop) -> None:
        note(f"replay {drop.load_id}")
        self.bring(drop)

    @rule(target=drops, drop=drops, uploaded_at=uploads, order=st.randoms(use_true_random=False))
    def upload_again_in_another_order(self, drop: oracle.Drop, uploaded_at: datetime, order: object) -> oracle.Drop:
        rows = list(self.rows[drop.load_id])
        order.shuffle(rows)  # type: ignore[attr-defined]
        return self.load(render(rows).content, rows, day=drop.partition_day, name="day.csv", uploaded_at=uploaded_at)

    @rule(target=drops, drop=consumes(drops), cut=st.integers(0, 8), uploaded_at=uploads)
    def split(self, drop: oracle.Drop, cut: int, uploaded_at: datetime) -> object:
        parts = self.rows[drop.load_id][:cut], self.rows[drop.load_id][cut:]
        return multiple(
            *(
                self.load(render(rows).content, rows, day=drop.partition_day, name=name, uploaded_at=uploaded_at)
                for rows, name in zip(parts, ("a.csv", "b.csv"), strict=True)
            )
        )

    @rule(file=st.sampled_from(useless))
    def drop_something_without_rows(self, file: HostileFile) -> None:
        name = "day.csv.gz" if file.gz else "day.csv"
        self.load(file.content, [], day=date(2023, 3, 15), name=name, uploaded_at=datetime(2023, 3, 16))

    @rule(products=dim_products(), customers=dim_customers(), later=st.integers(-1, 2))
    def change_dimensions(
        self,
        products: Mapping[str, oracle.Product],
        customers: Mapping[str, oracle.Customer],
        later: int,
    ) -> None:
        note(f"new prices, uploaded {later} days after the first ones")
        for columns, rows, upsert in (
            (PRODUCTS, list(products.values()), self.model.load_products),
            (CUSTOMERS, list(customers.values()), self.model.load_customers),
        ):
            key = f"dimensions/dim_{columns[0].removesuffix('_id')}s.csv"
            drop = self.shop.upload(key, csv_bytes(columns, rows), FIRST_UPLOAD + timedelta(later))
            report = self.shop.run(drop)
            assert report.outcome == "succeeded", report.error
            upsert(drop, rows)

    def load(
        self, content: bytes, rows: Sequence[Transaction], *, day: date, name: str, uploaded_at: datetime
    ) -> oracle.Drop:
        drop = self.shop.upload(key_of(day, name), content, uploaded_at.replace(tzinfo=UTC))
        self.rows[drop.load_id] = rows
        note(f"{drop.load_id} = {replace(drop, version_id='…')}")
        self.bring(drop)
        return drop

    def bring(self, drop: oracle.Drop) -> None:
        self.attempts[drop.load_id] = self.attempts.get(drop.load_id, 0) + 1
        self.shop.load_as(self.model, drop, self.attempts[drop.load_id])


def test_after_every_step_the_warehouse_equals_the_oracle(shop: Shop) -> None:
    run_state_machine_as_test(
        lambda: Upserts(shop),
        settings=settings(
            settings.default,
            max_examples=40 if THOROUGH else 4,
            stateful_step_count=20 if THOROUGH else 8,
        ),
    )
