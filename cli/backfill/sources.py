"""The files of a backfill: the files in a folder, or below a prefix of a bucket, for the wanted days."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cli.drops.keys import FileToDrop, in_order, key_of
from cli.refusals import Refused
from schemas.drops import CUSTOMERS, PRODUCTS, is_drop, parse_key

_ENDS = (".csv", ".csv.gz")
_URI = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")
# A pattern needs one form of each: year, month and day.
_PARTS = (("%Y", "%y"), ("%m", "%b", "%B"), ("%d",))


@dataclass(frozen=True)
class Selection:
    """The pattern of file names, and the days that are wanted."""

    pattern: str | None = None
    """A file name in `strptime`'s format, such as `till_%d%m%Y.csv`; None where names hold YYYY-MM-DD."""
    first: date | None = None
    last: date | None = None

    def __post_init__(self) -> None:
        if self.pattern is not None and not all(any(part in self.pattern for part in parts) for parts in _PARTS):
            raise Refused(f"--name {self.pattern} has no full day; give year, month and day, as in till_%Y%m%d.csv")
        if self.first is not None and self.last is not None and self.last < self.first:
            raise Refused(f"--from {self.first} is later than --to {self.last}; give the earlier day to --from")

    def key(self, inside: str) -> str | None:
        """The key of a file, by its path in the folder; None for a file that is not wanted."""
        name = inside.rpartition("/")[2]
        if not name.lower().endswith(_ENDS):
            return None
        key = self._key(inside, name)
        day = parse_key(key).partition_day if key is not None else None
        is_wanted = day is None or (self.first or day) <= day <= (self.last or day)
        return key if is_wanted else None

    def _key(self, inside: str, name: str) -> str | None:
        if is_drop(inside):
            return inside
        if self.pattern is None or name.startswith((PRODUCTS, CUSTOMERS)):
            return key_of(name, None)
        try:
            return key_of(name, datetime.strptime(name, self.pattern).date().isoformat())
        except ValueError:
            return None


@contextmanager
def files_of(source: str, selection: Selection, s3: Any) -> Iterator[list[FileToDrop]]:
    """The wanted files of a folder or of s3://BUCKET/PREFIX, on disk while the block runs; raises Refused if none."""
    if _URI.fullmatch(source) is None:
        yield files_in_folder(Path(source), selection)
        return
    with TemporaryDirectory() as scratch:
        yield files_in_bucket(s3, source, selection, Path(scratch))


def files_in_folder(folder: Path, selection: Selection) -> list[FileToDrop]:
    """The wanted files in a folder and its subfolders; raises Refused if there is none."""
    if not folder.is_dir():
        raise Refused(f"{folder} is neither a folder nor s3://BUCKET/PREFIX; `pipeline drop` takes files")
    inside = sorted(path for path in folder.rglob("*") if path.is_file())
    return _chosen(str(folder), ((path, path.relative_to(folder).as_posix()) for path in inside), selection)


def files_in_bucket(s3: Any, uri: str, selection: Selection, scratch: Path) -> list[FileToDrop]:
    """Download the wanted files; raises Refused if there is none."""
    parts = _URI.fullmatch(uri)
    assert parts is not None
    bucket, prefix = parts[1], parts[2] or ""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    folder = prefix if not prefix or prefix.endswith("/") else prefix[: prefix.rfind("/") + 1]
    sources = {scratch / str(number): key for number, key in enumerate(keys)}
    files = _chosen(uri, ((path, key.removeprefix(folder)) for path, key in sources.items()), selection)
    for file in files:
        s3.download_file(bucket, sources[file.path], str(file.path))
    return files


def _chosen(source: str, paths: Iterable[tuple[Path, str]], selection: Selection) -> list[FileToDrop]:
    files = [FileToDrop(path, key) for path, inside in paths if (key := selection.key(inside)) is not None]
    is_narrowed = selection.pattern is not None or selection.first is not None or selection.last is not None
    if not files or (is_narrowed and all(file.is_dimension for file in files)):
        raise Refused(f"{source} has no file of transactions for the wanted days; check --name, --from and --to")
    return in_order(files)
