"""A measured process: a file of customers read as the job reads it, up to what is staged."""

from __future__ import annotations

from pathlib import Path

from benchmarks.work import Work
from jobs.load_dimensions import open_dimension
from jobs.rows.dimensions import DimensionRows
from schemas.drops import CUSTOMERS
from schemas.warehouse.tables import DIMENSIONS


def run(work: Work, out: Path) -> int:
    dimension = DIMENSIONS[CUSTOMERS]
    source = open_dimension(work.folder / "customers.csv", name="customers.csv", dimension=dimension)
    rows = DimensionRows(source, dimension)
    read = 0
    for number, chunk in enumerate(rows.chunks()):
        read += chunk.height
        chunk.write_parquet(out / f"part-{number:05d}.parquet")
    rows.refuse_faults()
    return read
