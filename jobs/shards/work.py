"""The work that all tasks of a load share: sent to each task, set up once in each process."""

from __future__ import annotations

import io
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from jobs.arguments import Arguments
from jobs.csv.reader import Cut, SourceFile
from jobs.load.staging import Stager
from jobs.rows.ids import IdReader
from jobs.rows.marks import Marks
from jobs.rows.validation import RowValidator
from jobs.s3 import ObjectVersion, Prefix, s3_client
from jobs.shards.exchange import ARROW
from jobs.validators import read_validator

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

MARKS = "marks.arrow"
LINES = "lines.arrow"


@dataclass(frozen=True)
class Shard:
    """Whole records of the file, read without the rest of it."""

    number: int
    begin: Cut
    end: int
    """The byte behind the last record."""


@dataclass(frozen=True)
class Work:
    """The facts about the load of one drop that its tasks need."""

    arguments: Arguments
    version: ObjectVersion
    uploaded_at: datetime
    source: SourceFile
    """The whole file, without its content."""
    staging_prefix: str
    marks: Marks | None = None
    """Without the marks themselves, which are the object MARKS; None until they are known."""
    are_lines_selected: bool = False
    """True where only the lines in the object LINES are staged."""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def marked(self, marks: Marks) -> Work:
        """The work once its marks are known."""
        return replace(self, marks=replace(marks, marked=marks.marked.clear()), id=uuid.uuid4().hex)


class Setup:
    """The objects that the tasks of one process share: a client, the rules, the marks."""

    def __init__(self, work: Work) -> None:
        self.work = work

    @cached_property
    def s3(self) -> S3Client:
        return s3_client(self.work.arguments.warehouse.region)

    @cached_property
    def staging(self) -> Prefix:
        return Prefix(self.s3, self.work.arguments.work_bucket, self.work.staging_prefix)

    @cached_property
    def ids(self) -> IdReader:
        return IdReader(self.work.arguments.source.null_words)

    @cached_property
    def validator(self) -> RowValidator:
        with tempfile.TemporaryDirectory(prefix="lookups-") as folder:
            return read_validator(self.work.arguments, self.work.uploaded_at, self.staging, Path(folder))

    @cached_property
    def marks(self) -> Marks:
        assert self.work.marks is not None, "ids are marked before rows are validated"
        return replace(self.work.marks, marked=_read_series(self.staging, MARKS))

    @cached_property
    def lines(self) -> pl.Series | None:
        return _read_series(self.staging, LINES) if self.work.are_lines_selected else None

    def stager(self, folder: Path) -> Stager:
        """Stages below the attempt's prefix."""
        return Stager(self.work.arguments.drop, self.staging, folder, self.lines)

    def fetch(self, begin: Cut, end: int, folder: Path) -> SourceFile:
        """The part of the file up to the byte `end`, on local disk."""
        path = folder / "part"
        with path.open("wb") as file:
            file.writelines(self.work.version.ranges(self.s3, begin.offset, end))
        return replace(
            self.work.source,
            content=path,
            data_offset=0,
            data_line=begin.line,
            end=end - begin.offset,
            orders=begin.orders,
            read_part=self.ids.read,
        )


_setups: dict[str, Setup] = {}
_setting_up = threading.Lock()


def setup_of(work: Work) -> Setup:
    """The setup of this process for the work; that of other work is dropped."""
    with _setting_up:
        if work.id not in _setups:
            _setups.clear()
            _setups[work.id] = Setup(work)
        return _setups[work.id]


@contextmanager
def task(work: Work) -> Iterator[tuple[Setup, Path, str]]:
    """(the setup, a scratch folder, a word that no other run of any task has in its names)."""
    with tempfile.TemporaryDirectory(prefix="task-") as folder:
        yield setup_of(work), Path(folder), uuid.uuid4().hex[:12]


def write_series(series: pl.Series, staging: Prefix, name: str) -> None:
    """Store one column for all tasks."""
    file = io.BytesIO()
    series.alias("values").to_frame().write_ipc(file)
    staging.upload_blocks([file.getvalue()], name, ARROW)


def _read_series(staging: Prefix, name: str) -> pl.Series:
    return pl.read_ipc(staging.read(name), memory_map=False).to_series()
