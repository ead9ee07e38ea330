"""The effect of the merge on the fact, on the real engine."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from schemas.warehouse.tables import FACT_TRANSACTIONS, PRECEDENCE_COLUMNS, STAGED_TRANSACTIONS
from schemas.warehouse.upsert import TRANSACTIONS_UPSERT
from tests import oracle
from tests.loads.shop import Shop
from tests.strategies.hostile_content import SOUND_CUSTOMERS, SOUND_PRODUCTS

NOON = datetime(2023, 3, 16, 12, tzinfo=UTC)


def row(transaction_id: str = "T1", at: str = "2023-03-15", status: str = "completed", quantity: int = 1) -> str:
    return f"{transaction_id},C0,P0,{quantity},{at},{status}"


def fact_columns(shop: Shop, *columns: str) -> dict[str, object]:
    """By transaction_id: these columns of the fact, as a tuple."""
    return {key: tuple(fact_row[name] for name in columns) for key, fact_row in shop.fact().items()}


def test_a_stale_row_does_not_become_a_second_row(sound_shop: Shop) -> None:
    sound_shop.load(row(at="2023-03-15", status="shipped"))
    report = sound_shop.load(row(at="2023-03-14", status="pending"))
    assert report.counts is not None
    assert (report.counts["stale"], report.counts["inserted"]) == (1, 0)
    assert fact_columns(sound_shop, "status") == {"T1": ("shipped",)}


def test_the_merge_joins_by_the_key_alone() -> None:
    on = TRANSACTIONS_UPSERT.merge().partition("\nON ")[2].partition("\nWHEN ")[0]
    assert on == "fact_transactions.transaction_id = staged_transactions.transaction_id"


def test_two_rows_of_one_key_are_one_before_they_are_staged(sound_shop: Shop) -> None:
    report = sound_shop.load(row(quantity=3), row(quantity=3), row(quantity=3))
    assert report.counts is not None
    assert (report.counts["inserted"], report.counts["duplicate"]) == (1, 2)
    assert fact_columns(sound_shop, "quantity") == {"T1": (3,)}


def test_ids_are_trimmed_and_blank_ones_rejected_on_every_load(sound_shop: Shop) -> None:
    for _ in range(2):
        report = sound_shop.load(row("T1"), row(" T1\u3000"), row(""), row("  "), row("t1"), row("T2"))
        assert report.counts is not None
        assert report.counts["rejected"] == 2
    assert sorted(sound_shop.fact()) == ["T1", "T2", "t1"], "ids differ by case, not by padding"


def test_no_null_can_be_where_an_order_is_compared() -> None:
    """A NULL date or status would be neither older nor newer, so the row would be inserted twice."""
    for table in (FACT_TRANSACTIONS, STAGED_TRANSACTIONS):
        compared = [table.key, *(column.name for column in PRECEDENCE_COLUMNS), "transaction_date", "status"]
        assert not any(table[name].nullable for name in compared)


def test_a_row_without_date_or_status_is_rejected(sound_shop: Shop) -> None:
    report = sound_shop.load(row("T1"), row("T2"), row("T3", at=""), row("T4", status=""))
    assert list(report.reject_reasons) == ["invalid_transaction_date", "invalid_status"]
    with pytest.raises(Exception, match="null value in column"):
        sound_shop.sql("UPDATE fact_transactions SET status = NULL")


def test_an_older_and_a_newer_row_in_one_file_leave_one(sound_shop: Shop) -> None:
    sound_shop.load(row(at="2023-03-14", status="processing"))
    report = sound_shop.load(row(at="2023-03-13", quantity=3), row(at="2023-03-15", quantity=5))
    assert report.counts is not None
    assert (report.counts["updated"], report.counts["duplicate"]) == (1, 1)
    assert fact_columns(sound_shop, "quantity") == {"T1": (5,)}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_rows_that_tie_in_date_status_day_and_upload_have_one_winner(sound_shop: Shop, order: tuple[int, ...]) -> None:
    drops = [sound_shop.drop(row(quantity=at + 1), name=f"{at}.csv", uploaded_at=NOON) for at in range(3)]
    for at in order:
        sound_shop.run(drops[at])
    winner = max(drops, key=lambda drop: drop.load_id)
    assert fact_columns(sound_shop, "load_id", "quantity") == {"T1": (winner.load_id, drops.index(winner) + 1)}


@pytest.mark.parametrize(
    ("standing", "arriving", "wins"),
    [
        (row(status="completed"), row(status="pending"), False),
        (row(at="2023-03-14", status="delivered"), row(at="2023-03-15", status="pending"), True),
        (row(status="refunded"), row(status="delivered"), False),
        (row(status="cancelled"), row(status="refunded"), True),
        (row(at="2023-03-14", status="refunded"), row(at="2023-03-15", status="pending"), True),
        (row(status="completed"), row(status="  COMPLETED "), True),  # the same row, uploaded later
    ],
)
def test_a_change_of_status_has_one_outcome_in_both_orders(
    sound_shop: Shop, standing: str, arriving: str, wins: bool
) -> None:
    first = sound_shop.drop(standing, name="first.csv", uploaded_at=NOON)
    second = sound_shop.drop(arriving, name="second.csv", uploaded_at=NOON + timedelta(minutes=1))
    for order in ((first, second), (second, first)):
        sound_shop.clean()
        for drop in order:
            sound_shop.run(drop)
        assert fact_columns(sound_shop, "load_id") == {"T1": ((second if wins else first).load_id,)}


def test_an_unknown_status_is_rejected(sound_shop: Shop) -> None:
    report = sound_shop.load(row("T1"), row("T2"), row("T3", status="returned"))
    assert list(report.reject_reasons) == ["invalid_status"]


def test_no_other_transaction_is_ever_overwritten(sound_shop: Shop) -> None:
    sound_shop.load(*(row(f"T{at}") for at in range(5)))
    before = sound_shop.comparable_fact()
    sound_shop.load(row("T9"), row("T3", status="shipped"))
    after = sound_shop.comparable_fact()
    assert {key: after[key] for key in ("T0", "T1", "T2", "T4")} == {
        key: before[key] for key in ("T0", "T1", "T2", "T4")
    }
    assert sorted(after) == ["T0", "T1", "T2", "T3", "T4", "T9"]


def test_a_corrected_date_moves_the_row_and_leaves_one(sound_shop: Shop) -> None:
    sound_shop.load(row(at="2023-03-10"), day=date(2023, 3, 10))
    sound_shop.load(row(at="2023-03-15"), day=date(2023, 3, 15))
    assert fact_columns(sound_shop, "transaction_date") == {"T1": (datetime(2023, 3, 15),)}


def test_an_unchanged_row_keeps_updated_at_and_takes_later_lineage(sound_shop: Shop) -> None:
    sound_shop.load(row("T1"), row("T2"), uploaded_at=NOON)
    sound_shop.stamp(1)
    later = sound_shop.load(row("T2", quantity=2), row("T1"), uploaded_at=NOON + timedelta(hours=1))
    assert later.counts is not None
    assert (later.counts["unchanged"], later.counts["updated"]) == (1, 1)
    sound_shop.stamp(2)
    assert sound_shop.stamps() == {"T1": (2, 1), "T2": (2, 2)}
    assert fact_columns(sound_shop, "load_id", "source_line") == {"T1": (later.load_id, 3), "T2": (later.load_id, 2)}


def test_classes_at_their_bounds_zero_and_beyond_the_column(shop: Shop) -> None:
    prices = {"Z": "0", "A": "99.99", "B": "100", "C": "999.995", "D": "1000", "E": "99999999999999.9999"}
    products = {name: oracle.Product(name, name, "", Decimal(price), "") for name, price in prices.items()}
    shop.load_dimension_rows(products, SOUND_CUSTOMERS)
    shop.max_reject_ratio = "1"
    report = shop.load(
        *(f"{name},C0,{name},1,2023-03-15,pending" for name in prices),
        "F,C0,E,100,2023-03-15,pending",
        "G,C0,E,101,2023-03-15,pending",
        "H,C0,A,0,2023-03-15,pending",
        "I,C0,A,-1,2023-03-15,refunded",
    )
    assert fact_columns(shop, "amount_class", "total_amount") == {
        "Z": ("Small", Decimal("0.00")),
        "A": ("Small", Decimal("99.99")),
        "B": ("Medium", Decimal("100.00")),
        "C": ("Large", Decimal("1000.00")),
        "D": ("Large", Decimal("1000.00")),
        "E": ("Large", Decimal("100000000000000.00")),
        "F": ("Large", Decimal("9999999999999999.99")),
    }
    assert {reason: rejected.rows for reason, rejected in report.reject_reasons.items()} == {"invalid_quantity": 3}
    assert report.amount_classes["Large"].amount == "10100000000001999.99"
    assert report.change == "10100000000002199.98"


def forget_staged(connection: Any) -> None:
    """A job's session ends after its load. Here it is reused, because signing in takes longer than loading."""
    for table in ("staged_transactions", "staged_waiting"):
        connection.cursor().execute(f"DROP TABLE {table}")
    connection.commit()


PERMUTED = (
    # Date, status, partition day and upload all have ties. Every drop wins for some id and loses for another.
    ("a.csv", 15, 0, [row("T1"), row("T2", quantity=2), row("T3", status="shipped"), row("T4", at="2023-03-14")]),
    ("b.csv", 15, 0, [row("T4"), row("T1"), row("T2", quantity=3), row("T3", status="shipped", quantity=9)]),
    ("c.csv", 15, 1, [row("T2", quantity=5), row("T2", quantity=5), row("T3", status="pending")]),
    (
        "a.csv",
        14,
        2,
        [row("T1", at="2023-03-14", status="refunded"), row("T5", at="2023-03-14"), row("T4", at="2023-03-14")],
    ),
)


def test_every_order_of_the_same_drops_gives_one_table_and_lineage(sound_shop: Shop) -> None:
    drops = [
        sound_shop.drop(*rows, day=date(2023, 3, day), name=name, uploaded_at=NOON + timedelta(minutes=minutes))
        for name, day, minutes, rows in PERMUTED
    ]
    loads = {drop.load_id: sound_shop.stage(drop) for drop in drops}
    assert len(loads) == 4
    tables = []
    session = sound_shop.session()
    for order in permutations(drops):
        sound_shop.clean()
        model = oracle.Warehouse()
        model.load_products(order[0], list(SOUND_PRODUCTS.values()))
        model.load_customers(order[0], list(SOUND_CUSTOMERS.values()))
        for drop in order:
            assert vars(loads[drop.load_id](session).counts) == vars(model.load(drop))
            session.run(forget_staged)
        assert sound_shop.comparable_fact() == model.columns()
        tables.append(sound_shop.comparable_fact())
    session.close()
    sound_shop.clean_stage()
    assert len(tables) == 24
    assert all(table == tables[0] for table in tables)
    assert len({fact_row["load_id"] for fact_row in tables[0].values()}) > 2


def test_the_ledger_describes_the_first_commit_of_a_load_only(sound_shop: Shop) -> None:
    drop = sound_shop.drop(
        row("T1", quantity=2), row("T1", quantity=2), row("T2", status="x"), name="it's %41.csv", uploaded_at=NOON
    )
    first = sound_shop.run(drop, attempt=3)
    again = sound_shop.run(drop, attempt=4)
    assert again.first_commit == first.counts
    assert again.counts != first.counts
    (entry,) = sound_shop.ledger().values()
    started_at, committed_at = entry.pop("started_at"), entry.pop("committed_at")
    assert committed_at >= started_at.replace(microsecond=0)
    assert started_at.isoformat() == first.started_at.removesuffix("+00:00")
    assert entry == {
        "load_id": drop.load_id,
        "attempt": 3,
        "source_uri": drop.uri,
        "version_id": drop.version_id,
        "etag": first.etag,
        "bytes": len(drop.content),
        "partition_day": date(2023, 3, 15),
        "uploaded_at": NOON.replace(tzinfo=None),
        **(first.counts or {}),
        "staged_amount": Decimal("0.20"),
        "job_version": first.versions["job"],
        "polars_version": first.versions["polars"],
        "event": "load",
        "removed": 0,
        "restored": 0,
    }
    assert len(sound_shop.ledger_entries()) == 1, "a replay that changes nothing has no ledger entry"
    assert (again.event, again.change, again.changed_nothing) == ("replay", "0.00", True)
    assert (again.first_change, first.change) == ("0.20", "0.20")
