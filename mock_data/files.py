"""The folder of a generated shop: dimensions, a transactions file per day, and the expected results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from mock_data.args import MockDataArgs
from mock_data.calendar import Day, plan_days
from mock_data.dimensions import Customers, Products, make_customers, make_products
from mock_data.expected import Expected
from mock_data.rows import HEADER, Piece, RowWriter
from schemas.drops import CUSTOMERS, DIMENSIONS_PREFIX, PRODUCTS, dimension_key, transactions_key


@dataclass(frozen=True)
class MockData:
    """A shop that can be written to a folder; equal arguments give equal bytes on every machine."""

    args: MockDataArgs

    def write(
        self, folder: Path, *, expected: bool = True, on_rows: Callable[[int], None] | None = None
    ) -> Iterator[str]:
        """Write the files one by one: yields the key of each when it is complete, dimensions first.

        `on_rows` is called with the number of rows of each piece. The expected results (`expected/`)
        are complete when the iterator is exhausted.
        """
        products = make_products(self.args.seed, self.args.products)
        customers = make_customers(self.args.seed, self.args.customers)
        yield from self._dimensions(folder, products=products, customers=customers)
        rows = RowWriter(self.args, products=products, customers=customers)
        with ExitStack() as opened:
            outcomes = (
                opened.enter_context(
                    Expected(folder / "expected", start=self.args.start, products=products, customers=customers)
                )
                if expected
                else None
            )
            for day in plan_days(self.args):
                yield self._transactions(folder, day, rows=rows, outcomes=outcomes, on_rows=on_rows)

    @staticmethod
    def _dimensions(folder: Path, *, products: Products, customers: Customers) -> Iterator[str]:
        (folder / DIMENSIONS_PREFIX).mkdir(parents=True)
        for name, dimension in ((PRODUCTS, products), (CUSTOMERS, customers)):
            key = dimension_key(name)
            with open(folder / key, "wb") as file:
                dimension.write(file)
            yield key

    @staticmethod
    def _transactions(
        folder: Path, day: Day, *, rows: RowWriter, outcomes: Expected | None, on_rows: Callable[[int], None] | None
    ) -> str:
        key = transactions_key(day.date)
        (folder / key).parent.mkdir(parents=True)
        with ExitStack() as opened:
            file = opened.enter_context(open(folder / key, "wb"))
            expected_file = opened.enter_context(outcomes.file(key)) if outcomes else None

            def keep(piece: Piece) -> None:
                file.write(piece.text)
                if expected_file:
                    expected_file.add(piece)

            # One piece is written while the next one is generated, so at most two are in memory.
            keeper = opened.enter_context(ThreadPoolExecutor(max_workers=1))
            keeping: Future[object] = keeper.submit(file.write, HEADER)
            for piece in rows.pieces(day):
                keeping.result()
                keeping = keeper.submit(keep, piece)
                if on_rows:
                    on_rows(piece.rows)
            keeping.result()
        return key
