"""The validator of a drop: its rules and snapshots of the dimensions, as of this load."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import polars as pl

from jobs.arguments import Arguments
from jobs.load.protocol import unload
from jobs.load.session import WarehouseSession
from jobs.rows.lookup import Lookup
from jobs.rows.validation import RowValidator
from jobs.s3 import Prefix
from schemas.drops import CUSTOMERS, PRODUCTS, drop_precedence, parse_key
from schemas.warehouse.tables import DIMENSIONS


def snapshot_dimensions(warehouse: WarehouseSession, staging: Prefix) -> None:
    """Have the warehouse write what a validator looks up below `staging`."""
    for name in (PRODUCTS, CUSTOMERS):
        unload(warehouse, DIMENSIONS[name], DIMENSIONS[name].joined, staging.below(name))


def read_validator(arguments: Arguments, uploaded_at: datetime, staging: Prefix, folder: Path) -> RowValidator:
    """The validator of the run's drop, from the snapshots below `staging`; `folder` takes them meanwhile."""
    drop, day = arguments.drop, partition_day(arguments)
    return RowValidator(
        products=_read_lookup(PRODUCTS, staging, folder),
        customers=_read_lookup(CUSTOMERS, staging, folder),
        amount_classes=arguments.amount_classes,
        partition_day=day,
        drop_precedence=drop_precedence(day, uploaded_at, drop.load_id),
        load_id=drop.load_id,
        source_uri=drop.uri,
        source=arguments.source,
    )


def partition_day(arguments: Arguments) -> date:
    """The day of the run's drop of transactions."""
    day = parse_key(arguments.drop.key).partition_day
    assert day is not None, "the key of a drop of transactions has a day"
    return day


def _read_lookup(name: str, staging: Prefix, folder: Path) -> Lookup:
    columns = DIMENSIONS[name].joined
    empty = pl.DataFrame(schema={column: DIMENSIONS[name].table[column].polars for column in columns})
    # An empty dimension unloads to no file at all.
    parts = [pl.read_parquet(path) for path in staging.below(name).download(folder / name)]
    typed = [part.select(pl.col(column).cast(dtype) for column, dtype in empty.schema.items()) for part in parts]
    return Lookup(pl.concat([empty, *typed]), name=name, key=columns[0])
