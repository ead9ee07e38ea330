"""The files themselves: their layout, their bytes, what they cost."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from mock_data import MockData, MockDataArgs
from mock_data.calendar import plan_days
from mock_data.catalogue import CATALOGUE
from mock_data.dimensions import make_customers, make_products
from mock_data.profile import profile
from mock_data.row_variants import FAULTS
from schemas.drops import parse_key
from schemas.warehouse.tables import DIMENSIONS

CHECKOUT = Path(__file__).parents[2]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write(folder: Path, args: MockDataArgs, *, expected: bool = True) -> list[str]:
    return list(MockData(args).write(folder, expected=expected))


def test_the_layout_is_that_of_the_drop_bucket(tmp_path: Path) -> None:
    keys = write(tmp_path, MockDataArgs(start=date(2023, 2, 28), days=2, rows=50))
    transactions = [
        "transactions/year=2023/month=02/day=28/transactions_2023-02-28.csv",
        "transactions/year=2023/month=03/day=01/transactions_2023-03-01.csv",
    ]
    assert keys == ["dimensions/dim_products.csv", "dimensions/dim_customers.csv", *transactions]
    assert [parse_key(key).partition_day for key in keys] == [None, None, date(2023, 2, 28), date(2023, 3, 1)]
    assert set(contents(tmp_path)) == {
        *keys,
        "expected/outcomes/transactions_2023-02-28.parquet",
        "expected/outcomes/transactions_2023-03-01.parquet",
        "expected/fact_transactions.parquet",
        "expected/summary.json",
    }
    header = b"transaction_id,customer_id,product_id,quantity,transaction_date,status\n"
    assert all((tmp_path / key).read_bytes().startswith(header) for key in transactions)


def test_the_same_seed_gives_the_same_bytes_anywhere(tmp_path: Path) -> None:
    """In another process, too: nothing may depend on the hash seed, the time or the folder."""
    code = (
        "import sys; from pathlib import Path; from mock_data import MockData, MockDataArgs\n"
        "list(MockData(MockDataArgs(days=4, rows=700, seed=11)).write(Path(sys.argv[1])))"
    )
    for name in ("first", "second"):
        environment = {**os.environ, "PYTHONHASHSEED": str(len(name)), "TZ": f"Etc/GMT+{len(name)}"}
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / name)], cwd=CHECKOUT, env=environment, check=True, timeout=300
        )
    first = contents(tmp_path / "first")
    assert first == contents(tmp_path / "second")
    write(tmp_path / "other seed", MockDataArgs(days=4, rows=700, seed=12))
    other = contents(tmp_path / "other seed")
    assert first.keys() == other.keys()
    assert [name for name in first if first[name] == other[name]] == []


def test_without_expected_outcomes_the_files_are_the_same(tmp_path: Path) -> None:
    args = MockDataArgs(days=3, rows=300)
    write(tmp_path / "with", args)
    write(tmp_path / "without", args, expected=False)
    drops = {name: data for name, data in contents(tmp_path / "with").items() if not name.startswith("expected/")}
    assert contents(tmp_path / "without") == drops


def test_every_third_file_has_quotes_and_the_others_have_none(tmp_path: Path) -> None:
    """The job reads files without quotes and NULs in another, faster way: both ways need files."""
    keys = write(tmp_path, MockDataArgs(days=6, rows=3_000))
    has_quotes = [b'"' in (tmp_path / key).read_bytes() for key in keys[2:]]
    assert has_quotes == [False, False, True, False, False, True]
    has_nul = [b"\0" in (tmp_path / key).read_bytes() for key in keys[2:]]
    assert has_nul == has_quotes


def test_without_faults_every_line_is_six_plain_values(tmp_path: Path) -> None:
    keys = write(tmp_path, MockDataArgs(days=4, rows=2_000, faults=0.0))
    for key in keys[2:]:
        for line in (tmp_path / key).read_bytes().splitlines():
            assert (line.count(b","), line.count(b'"'), line.strip()) == (5, 0, line)


def test_rows_are_recognised_as_they_are_written(tmp_path: Path) -> None:
    row_counts: list[int] = []
    for _ in MockData(MockDataArgs(days=3, rows=200)).write(tmp_path, on_rows=row_counts.append):
        pass
    assert sum(row_counts) == 600


def test_sample_rows_of_the_contract_are_in_every_set(tmp_path: Path) -> None:
    write(tmp_path, MockDataArgs(days=1, rows=1, products=2, customers=1, seed=99))
    products = (tmp_path / "dimensions/dim_products.csv").read_text(encoding="utf-8").splitlines()
    customers = (tmp_path / "dimensions/dim_customers.csv").read_text(encoding="utf-8").splitlines()
    assert products[:2] == [
        "product_id,product_name,category,price,supplier_id",
        'P12345,"Widget A","Gadgets",29.99,"S123"',
    ]
    assert customers == [
        "customer_id,first_name,last_name,email,membership_level",
        'C12345,"John","Doe","john.doe@example.com","Gold"',
    ]


@pytest.mark.parametrize("kind", ["dim_products", "dim_customers"])
def test_dimension_rows_have_unique_ids_and_fitting_values(tmp_path: Path, kind: str) -> None:
    write(tmp_path, MockDataArgs(days=1, rows=1, products=3_000, customers=20_000))
    with open(tmp_path / "dimensions" / f"{kind}.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    columns = DIMENSIONS[kind].source_columns
    assert list(rows[0]) == [column.name for column in columns]
    assert len({row[columns[0].name] for row in rows}) == len(rows) == {"dim_products": 3_000}.get(kind, 20_000)
    for column in columns:
        longest = max(len(row[column.name].encode()) for row in rows)
        assert 0 < longest <= (column.max_bytes or 18), column.name
        assert all(row[column.name].strip() == row[column.name] != "" for row in rows)


def test_every_email_is_somebodys_alone_and_ascii() -> None:
    emails = make_customers(5, 50_000).frame["email"]
    assert emails.n_unique() == 50_000
    assert emails.str.contains(r"^[a-z]+\.[a-z]+[0-9]*@example\.(com|org|net)$").all()


def test_product_names_hold_what_a_csv_reader_can_trip_over() -> None:
    products = make_products(5, 1_000).frame
    for odd in ('"', ",", "é"):
        assert products["product_name"].str.contains(odd, literal=True).any(), odd
    prices = products["price"]
    for odd in (r"^0\.00$", r"\.[0-9]{4}$"):
        assert prices.str.contains(odd).any(), odd


def sold(folder: Path, args: MockDataArgs) -> pl.DataFrame:
    write(folder, args)
    return pl.read_parquet(folder / "expected" / "fact_transactions.parquet")


def test_sales_are_those_of_a_shop(tmp_path: Path) -> None:
    """Weekends, evenings, best sellers and members' baskets can be seen in the numbers."""
    args = MockDataArgs(start=date(2023, 3, 13), days=7, rows=20_000, products=200, customers=2_000)
    fact = sold(tmp_path, args)
    assert fact["category"].n_unique() >= 5

    by_product = fact["product_id"].value_counts(sort=True)["count"]
    assert by_product.head(20).sum() > 0.5 * fact.height, "a tenth of the products is most of the sales"

    by_level = dict(fact.group_by("membership_level").agg(pl.col("quantity").mean()).iter_rows())
    assert by_level["Bronze"] < by_level["Silver"] < by_level["Gold"] < by_level["Platinum"]

    by_hour = dict(fact["transaction_date"].dt.hour().value_counts().iter_rows())
    assert by_hour[19] > 2 * by_hour[7] > 4 * by_hour[4]

    lengths = [
        pl.scan_parquet(path).select(pl.len()).collect().item()
        for path in sorted((tmp_path / "expected" / "outcomes").iterdir())
    ]
    assert sum(lengths) == 140_000
    assert max(lengths) == lengths[5], "Saturday is the best day"
    assert min(lengths) in lengths[:3]


@pytest.mark.parametrize("seed", [1, 7])
def test_prices_and_names_are_those_of_their_category(seed: int) -> None:
    products = make_products(seed, 3_000).frame.with_columns(pl.col("price").cast(pl.Float64))
    for category, goods in CATALOGUE.items():
        sold = products.filter(pl.col("category") == category)[1:]
        assert sold["price"].max() <= max(good.high for good in goods) + 1
        assert sold["price"].median() >= min(good.low for good in goods)
        names = [good.name for good in goods]
        assert [name for name in sold["product_name"] if not any(known in name for known in names)] == []


def rows_by_day(**arguments: object) -> dict[date, int]:
    return {day.date: day.rows for day in plan_days(MockDataArgs(**arguments))}  # type: ignore[arg-type]


def test_a_year_has_a_season_campaigns_and_growth() -> None:
    rows = rows_by_day(start=date(2022, 1, 1), days=730, rows=1_000)
    assert sum(rows.values()) == 730_000

    def mean(year: int, *months: int) -> float:
        days = [count for day, count in rows.items() if day.year == year and day.month in months]
        return sum(days) / len(days)

    assert mean(2022, 12) > 1.3 * mean(2022, 2), "December is the best month"
    assert rows[date(2022, 11, 25)] > 1.5 * rows[date(2022, 11, 18)], "Black Friday"
    assert rows[date(2022, 12, 25)] < 0.7 * rows[date(2022, 12, 18)], "a holiday"
    assert mean(2023, 3, 4, 5) > 1.1 * mean(2022, 3, 4, 5), "the shop grows"


def test_customers_join_day_by_day(tmp_path: Path) -> None:
    args = MockDataArgs(days=20, rows=2_000, customers=1_000, faults=0.0)
    write(tmp_path, args)
    seen: list[int] = []
    for path in sorted((tmp_path / "transactions").rglob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            seen.append(max(int(row["customer_id"].strip()[1:]) % 12_245 for row in csv.DictReader(file)))
    assert max(seen[:3]) < max(seen[-3:])


def test_the_profile_counts_what_is_in_the_files(tmp_path: Path) -> None:
    args = MockDataArgs(days=7, rows=4_000)
    write(tmp_path, args)
    outcomes = pl.concat(pl.read_parquet(path) for path in (tmp_path / "expected" / "outcomes").iterdir())
    variants = dict(outcomes["variant"].value_counts().iter_rows())
    profiled = profile(args)
    assert {fault.name: fault.count for fault in profiled.faults} == {
        fault.name: variants[fault.name] for fault in FAULTS if fault.name in variants
    }
    assert sum(order.share for order in profiled.orders) == pytest.approx(1.0)
    assert profiled.rows == outcomes.height


def peak_memory(folder: Path, rows: int) -> int:
    """Bytes a process of its own needs at most for a day of so many rows."""
    code = (
        "import resource, sys; from pathlib import Path; from mock_data import MockData, MockDataArgs\n"
        f"list(MockData(MockDataArgs(days=1, rows={rows})).write(Path(sys.argv[1]), expected=False))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=CHECKOUT, check=True, timeout=300, capture_output=True, text=True
    )
    return int(run.stdout)


def test_memory_does_not_grow_with_the_rows_of_a_day(tmp_path: Path) -> None:
    few, many = 400_000, 2_400_000
    grown = peak_memory(tmp_path / "many", many) - peak_memory(tmp_path / "few", few)
    size = sum(path.stat().st_size for path in (tmp_path / "many").rglob("*.csv"))
    assert size > 130_000_000
    assert grown < 60_000_000, f"{many - few} more rows took {grown / 1e6:.0f} MB more"
