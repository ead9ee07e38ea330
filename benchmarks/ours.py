"""The job's own code from a local file to staged Parquet; uploads to S3 are links on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

# Polars imports numpy on first use if it is installed, as it is not in Glue. Imports must not be measured.
import numpy  # noqa: F401
import polars as pl

from benchmarks.work import AMOUNT_CLASSES, DROP_PRECEDENCE, LOAD_ID, PARTITION_DAY, SOURCE_URI, Work
from jobs.csv.reader import open_source_file
from jobs.csv.rejected_file import RejectedRows
from jobs.load.staging import Stager
from jobs.rows.duplicates import DuplicateCandidates
from jobs.rows.ids import IdReader
from jobs.rows.lookup import Lookup
from jobs.rows.validation import RowValidator
from jobs.s3 import Prefix
from schemas.drops import Drop
from schemas.sources import CONTRACT_COLUMNS, DEFAULT, SourceSettings


class _LocalPrefix:
    """A prefix in S3, replaced by a folder on the same disk; an upload makes a link."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def below(self, name: str) -> _LocalPrefix:
        return _LocalPrefix(self._folder / name)

    def upload(self, path: Path, name: str) -> str:
        os.link(path, self._folder / name)
        return name

    def put(self, name: str, body: str) -> str:
        (self._folder / name).write_text(body)
        return name


def run(work: Work, out: Path, settings: SourceSettings = DEFAULT) -> int:
    transform = RowValidator(
        products=Lookup(pl.read_parquet(work.products), name="dim_products", key="product_id"),
        customers=Lookup(pl.read_parquet(work.customers), name="dim_customers", key="customer_id"),
        amount_classes=AMOUNT_CLASSES,
        partition_day=PARTITION_DAY,
        drop_precedence=DROP_PRECEDENCE,
        load_id=LOAD_ID,
        source_uri=SOURCE_URI,
        source=settings,
    )
    ids = IdReader(settings.null_words)
    source = open_source_file(
        work.transactions,
        name=work.transactions.name,
        required=CONTRACT_COLUMNS,
        settings=settings,
        read_part=ids.read,
    )
    prefix = cast(Prefix, _LocalPrefix(out / "staged"))
    candidates = DuplicateCandidates(source, out, ids)
    rejected = RejectedRows(source.layout, out, source.unread_chunks)
    staged = Stager(Drop("bucket", "key", "version"), prefix, out).stage(source, transform, candidates, rejected)
    if rejected.rows:
        with (out / "rejected.csv").open("wb") as file:
            file.writelines(rejected.blocks())
    return staged.rows_read
