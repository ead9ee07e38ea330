"""How large a file may be, and what is said when the disk has no room for it."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.errors import FileRefused
from schemas.counted import counted

MAX_FILE_BYTES = 10 * 1024**3
"""A Python Shell job has about 14 GiB of temporary disk; the rest is for what is staged."""

_ADVICE = "split the file and upload the parts of the day one by one"


def refuse_too_large(name: str, size: int, folder: Path) -> None:
    """Raises FileRefused where a file of this size (bytes) is over the limit or does not fit into the folder."""
    if size > MAX_FILE_BYTES:
        raise FileRefused(f"{name} has {counted(size, 'byte')}, more than {MAX_FILE_BYTES:,}; {_ADVICE}")
    free = shutil.disk_usage(folder).free
    if size > free:
        raise FileRefused(f"{name} has {counted(size, 'byte')}, but the job's disk has room for {free:,}; {_ADVICE}")


@contextmanager
def disk_full_is_told(name: str, folder: Path) -> Iterator[None]:
    """Turn "no space left on device" into FileRefused with what is there and what to do."""
    try:
        yield
    except Exception as reason:
        if not is_disk_full(reason):
            raise
        used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        free = shutil.disk_usage(folder).free
        raise FileRefused(
            f"the job's disk is full: {name} and what was made of it take {used:,} bytes "
            f"and {free:,} are free; {_ADVICE}"
        ) from reason


def is_disk_full(reason: BaseException) -> bool:
    """True for the operating system's error and for what libraries make of it."""
    full = (errno.ENOSPC, errno.EDQUOT)
    return (isinstance(reason, OSError) and reason.errno in full) or "No space left on device" in str(reason)
