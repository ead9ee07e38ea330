"""The folder of a demo's results, in which a demo deletes only files that a demo wrote.

A marker file in the folder lists every file that a demo wrote. The next demo deletes
exactly those. A folder without the marker is used only when it is empty or new.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from cli.refusals import Refused

MARKER = ".pipeline-demo.json"
RESULTS = (
    "rejected",
    "reports",
    "emails",
    "index.html",
    "summary.json",
    "archive.json",
    "fact_transactions.parquet",
    "load_ledger.parquet",
)
DATA = "data"
CLOUD = "cloud"
"""Logs of the local AWS. They are overwritten, never deleted."""


@dataclass(frozen=True)
class DemoFolder:
    """A folder that belongs to this demo while it runs."""

    path: Path
    _marker: IO[str]
    _owned: set[str] = field(default_factory=set)
    """The names that this demo alone writes to."""

    def clear(self, *names: str) -> None:
        """Delete what earlier demos wrote under these names.

        A name is a file or a folder directly inside the demo's folder. Raises Refused, and
        deletes nothing, when one of them holds a file that no demo wrote.
        """
        present = self._files(names)
        strangers = sorted(present - self._written())
        if strangers:
            more = f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""
            raise Refused(
                f"{self.path / strangers[0]}{more}: no demo wrote this, and a demo would mix with it; "
                "move it away or name another folder with --out"
            )
        for name in present:
            (self.path / name).unlink()
        for name in names:
            _remove_empty_folders(self.path / name)
        self._owned.update(names)
        self._note(self._written(), sorted(self._owned))

    def note_written(self) -> None:
        """Remember what this demo and earlier ones have written."""
        self._note(self._written() | self._files(self._owned), [])

    def _note(self, files: set[str], unfinished: list[str]) -> None:
        self._marker.seek(0)
        self._marker.truncate()
        present = sorted(name for name in files if (self.path / name).exists())
        json.dump({"written_by": "pipeline demo", "files": present, "unfinished": unfinished}, self._marker, indent=2)
        self._marker.flush()

    def _written(self) -> set[str]:
        """The files in the marker's list, and all files below the names that a killed demo had claimed."""
        self._marker.seek(0)
        try:
            noted = json.loads(self._marker.read())
            return set(noted["files"]) | self._files(noted["unfinished"])
        except (ValueError, LookupError, TypeError):
            return set()

    def _files(self, names: Iterable[str]) -> set[str]:
        """Every file under these names, relative to the folder."""
        files: set[str] = set()
        for name in names:
            place = self.path / name
            inside = [place] if place.is_file() or place.is_symlink() else place.rglob("*")
            files |= {
                path.relative_to(self.path).as_posix() for path in inside if path.is_symlink() or not path.is_dir()
            }
        return files


@contextmanager
def demo_folder(path: Path) -> Iterator[DemoFolder]:
    """The folder for one demo at a time, made if it is new; raises Refused."""
    if path.exists() and not path.is_dir():
        raise Refused(f"--out {path} is a file; name a folder")
    marker = path / MARKER
    if path.is_dir() and any(path.iterdir()) and not marker.is_file():
        raise Refused(f"--out {path} is not empty, and no demo has written it; name a new or empty folder")
    path.mkdir(parents=True, exist_ok=True)
    with marker.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                f"another demo is writing to {path}; wait until it ends, or name another folder with --out"
            ) from None
        folder = DemoFolder(path, file)
        try:
            yield folder
        finally:
            folder.note_written()


def _remove_empty_folders(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        for inside in place.iterdir():
            _remove_empty_folders(inside)
        if not any(place.iterdir()):
            place.rmdir()
