"""The key of a file in the drop bucket, from its folder, its name or the given day."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from cli.refusals import Refused
from schemas.drops import (
    CUSTOMERS,
    DIMENSIONS_PREFIX,
    PRODUCTS,
    TRANSACTIONS,
    KeyOutsideLayout,
    day_prefix,
    is_drop,
    parse_key,
)

DAY_IN_NAME = re.compile(r"(?<![0-9])([0-9]{4}-[0-9]{2}-[0-9]{2})(?![0-9])")
_FILES = ("*.csv", "*.csv.gz")


@dataclass(frozen=True)
class FileToDrop:
    """A file on disk and its key in the drop bucket."""

    path: Path
    key: str

    @property
    def is_dimension(self) -> bool:
        return parse_key(self.key).kind != TRANSACTIONS


def files_to_drop(paths: list[Path], day: str | None) -> list[FileToDrop]:
    """The files at these paths, folders included, dimensions first; raises Refused when a file has no key."""
    return in_order([file for path in paths for file in _files_at(path, day)])


def in_order(files: Sequence[FileToDrop]) -> list[FileToDrop]:
    """Dimensions first, then by key; raises Refused where two have the same key."""
    keys: dict[str, Path] = {}
    for file in files:
        if file.key in keys:
            raise Refused(
                f"{keys[file.key]} and {file.path} have the same key {file.key}; drop them one after the other"
            )
        keys[file.key] = file.path
    return sorted(files, key=lambda file: (not file.is_dimension, file.key))


def key_of(name: str, day: str | None) -> str:
    """The key of a file of this name; raises Refused when neither the name nor `day` gives its day."""
    if name.startswith((PRODUCTS, CUSTOMERS)):
        key = f"{DIMENSIONS_PREFIX}{name}"
    else:
        named = DAY_IN_NAME.search(name)
        text = day or (named[1] if named else None)
        if text is None:
            raise Refused(f"{name} has no day in its name; give it with --day YYYY-MM-DD")
        key = f"{day_prefix(_calendar_day(text))}{name}"
    try:
        parse_key(key)
    except KeyOutsideLayout as error:
        raise Refused(str(error)) from error
    return key


def settle_day(name: str, own: str | None, given: str | None) -> date | None:
    """The file's own day, as its folder or name has it, else the given one; None without either.

    Raises Refused where the two differ, or where the calendar has no such day.
    """
    if given is None:
        return None if own is None else _calendar_day(own)
    day = _calendar_day(given)
    if own is not None and _is_day(own) and _calendar_day(own) != day:
        raise Refused(f"{name} is of {own}, and --day is {day}; leave out --day, or rename the file")
    return day


def _calendar_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refused(f"{text} is not a day of the calendar; give it with --day YYYY-MM-DD") from None


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _files_at(path: Path, day: str | None) -> list[FileToDrop]:
    if path.is_file():
        return [FileToDrop(path, _key_on(path.name, day))]
    if not path.is_dir():
        raise Refused(f"{path} is neither a file nor a folder; check the name")
    inside = sorted(file for pattern in _FILES for file in path.rglob(pattern) if file.is_file())
    files = [FileToDrop(file, _key_in_folder(file.relative_to(path), day)) for file in inside]
    if not files:
        raise Refused(f"{path} holds no .csv or .csv.gz file")
    return files


def _key_in_folder(inside: Path, day: str | None) -> str:
    """The key of a file in a folder that has the layout of the drop bucket, or is flat."""
    key = inside.as_posix()
    if not is_drop(key):
        return _key_on(inside.name, day)
    own = parse_key(key).partition_day
    if own is not None:
        settle_day(key, own.isoformat(), day)
    return key


def _key_on(name: str, given: str | None) -> str:
    """The key of a file on the day in its name, else on the given one; raises Refused where the two differ."""
    named = DAY_IN_NAME.search(name)
    if named and not name.startswith((PRODUCTS, CUSTOMERS)):
        settle_day(name, named[1], given)
    return key_of(name, given)
