"""The files for the peers: generated once and kept below build/bench-data; the oldest are deleted beyond a size.

They come from the generator of mock data, faults included, with two changes so that every
peer can number lines: there are no blank lines, and LF is the only line end.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.work import COLUMNS, PARTITION_DAY, Work
from mock_data import MockData, MockDataArgs
from schemas.drops import CUSTOMERS, PRODUCTS, transactions_key
from schemas.warehouse.tables import DIMENSIONS

_MOST_BYTES = 6 * 2**30
_FIRST_ID = 10_000_000_000
_BLOCK_BYTES = 2**24


@dataclass(frozen=True)
class DataArgs:
    rows: int
    products: int = 10_000
    customers: int = 100_000
    faults: float = 0.02
    """The share of rejected rows; as many again are valid but oddly written."""
    duplicates: float | None = None
    """The share of rows with the transaction_id of an earlier row; None for the generator's share, about 4 %."""

    @property
    def folder_name(self) -> str:
        duplicates = "" if self.duplicates is None else f"-{self.duplicates:g}-duplicates"
        return (
            f"{self.rows}-rows-{self.products}-products-{self.customers}-customers-{self.faults:g}-faults{duplicates}"
        )


def make_work(args: DataArgs, cache: Path) -> Work:
    """The folder for these arguments, generated if it does not exist yet."""
    folder = cache / args.folder_name
    if not folder.exists():
        made = cache / f"{args.folder_name}.partial"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        _make(args, made)
        made.rename(folder)
    folder.touch()
    _bound(cache, keep=folder)
    return Work(folder)


def _make(args: DataArgs, folder: Path) -> None:
    mock = MockDataArgs(
        start=PARTITION_DAY,
        days=1,
        rows=args.rows,
        products=args.products,
        customers=args.customers,
        faults=args.faults,
    )
    generated = folder / "generated"
    for _ in MockData(mock).write(generated, expected=False):
        pass
    work = Work(folder)
    _even_out(generated / transactions_key(PARTITION_DAY), work.transactions)
    if args.duplicates is not None:
        _renumber(work.transactions, args.duplicates)
    _dimension(generated, PRODUCTS, ("product_id", "product_name", "category", "price", "supplier_id"), work.products)
    _dimension(generated, CUSTOMERS, ("customer_id", "membership_level"), work.customers)
    for name in (PRODUCTS, CUSTOMERS):
        (generated / "dimensions" / f"{name}.csv").rename(folder / f"{name}.csv")
    shutil.rmtree(generated)


def _even_out(generated: Path, path: Path) -> None:
    with generated.open("rb") as source, path.open("wb") as target:
        rest = b""
        while block := source.read(_BLOCK_BYTES):
            block = rest + block
            end = block.rfind(b"\n") + 1
            lines, rest = block[:end].replace(b"\r\n", b"\n"), block[end:]
            while b"\n\n" in lines:
                lines = lines.replace(b"\n\n", b"\n")
            target.write(lines.lstrip(b"\n"))
        target.write(rest)


def _renumber(path: Path, duplicates: float) -> None:
    """Give every row its own id, and replace this share of rows by copies of earlier rows."""
    rows = pl.read_csv(path, infer_schema=False, quote_char=None)
    chance = np.random.default_rng(7)
    numbers = np.arange(rows.height)
    repeats = chance.random(rows.height) < duplicates
    repeats[0] = False
    originals_before = np.cumsum(~repeats)[repeats]
    chosen = (chance.random(originals_before.size) * originals_before).astype(np.int64)
    numbers[repeats] = np.flatnonzero(~repeats)[chosen]
    ids = pl.Series("transaction_id", numbers + _FIRST_ID).cast(pl.String())
    once_more = rows[numbers].with_columns(transaction_id="T" + ids)
    once_more.select(COLUMNS).write_csv(path, quote_style="never")


def _dimension(generated: Path, name: str, columns: tuple[str, ...], path: Path) -> None:
    """Write a dimension as the job's UNLOAD does: Snappy Parquet with the columns of the job's query."""
    table = DIMENSIONS[name].table
    rows = pl.read_csv(generated / "dimensions" / f"{name}.csv", infer_schema=False)
    rows.select(pl.col(column).cast(table[column].polars) for column in columns).write_parquet(
        path, compression="snappy"
    )


def _bound(cache: Path, *, keep: Path) -> None:
    """Delete the least recently used folders while all of them together are too large."""
    folders = sorted(
        (folder for folder in cache.iterdir() if folder != keep), key=lambda folder: folder.stat().st_mtime
    )
    sizes = {folder: _bytes(folder) for folder in [*folders, keep]}
    for folder in folders:
        if sum(sizes.values()) <= _MOST_BYTES:
            return
        shutil.rmtree(folder)
        del sizes[folder]


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
