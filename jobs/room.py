"""The free disk of a job: what fits, and the errors when a file does not fit."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.errors import FileRefused
from schemas.counted import agreeing, counted

_DISKS_PER_COPY = 4
"""A copy of the drop may take a quarter of the free disk: the rest is for the rows that are set aside."""

_ADVICE = "split the file and upload the parts of the day one by one"


def has_room_for_a_copy(size: int, folder: Path) -> bool:
    """True where a file of this size (bytes) leaves most of the folder's disk free."""
    return size * _DISKS_PER_COPY <= shutil.disk_usage(folder).free


def refuse_without_room(name: str, rows: int, needed: int, folder: Path) -> None:
    """Raises FileRefused where the folder's disk lacks the bytes that so many repeated rows need."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise FileRefused(
            f"{counted(rows, 'row')} of {name} {agreeing(rows, 'shares its', 'share their')} transaction_id with "
            f"another; settling them takes about {needed:,} bytes, but the job's disk has room for {free:,}; {_ADVICE}"
        )


@contextmanager
def refuse_full_disk(name: str, folder: Path) -> Iterator[None]:
    """Turn "no space left on device" into FileRefused, with the space used and the way out."""
    try:
        yield
    except Exception as reason:
        if not is_disk_full(reason):
            raise
        used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        free = shutil.disk_usage(folder).free
        raise FileRefused(
            f"the job's disk is full: {name} and the files made from it take {used:,} bytes "
            f"and {free:,} are free; {_ADVICE}"
        ) from reason


def is_disk_full(reason: BaseException) -> bool:
    """True for the operating system's error and for the libraries' errors caused by it."""
    full = (errno.ENOSPC, errno.EDQUOT)
    return (isinstance(reason, OSError) and reason.errno in full) or "No space left on device" in str(reason)
