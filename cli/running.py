"""How other terminals find the laptop that `pipeline up` keeps running."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3

from local.iam_middleware import OPERATOR

STATE_FILE = Path(__file__).parent.parent / "build" / "laptop" / "running.json"


class NothingRuns(Exception):
    """No laptop runs; the message says what to do."""


class AnotherRuns(Exception):
    """A laptop runs already; the message says which."""


@dataclass(frozen=True)
class Running:
    """A laptop in another process."""

    pid: int
    url: str
    region: str
    outputs: Mapping[str, Any]

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=self.region,
            aws_access_key_id=OPERATOR,
            aws_secret_access_key="laptop",
        )


@contextmanager
def announced(running: Running, path: Path = STATE_FILE) -> Iterator[None]:
    """Others find the laptop while the block runs; raises AnotherRuns."""
    refuse_a_second(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(asdict(running), indent=2), encoding="utf-8")
    unfinished.rename(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def find_running(path: Path = STATE_FILE) -> Running:
    """The laptop that runs; raises NothingRuns."""
    try:
        running = Running(**json.loads(path.read_text(encoding="utf-8")))
        os.kill(running.pid, 0)
    except (OSError, ValueError, TypeError):
        raise NothingRuns("no laptop runs; start one with `pipeline up` in another terminal") from None
    return running


def refuse_a_second(path: Path = STATE_FILE) -> None:
    """Raises AnotherRuns where a laptop runs already: a drop would not know to which it is meant to go."""
    try:
        other = find_running(path)
    except NothingRuns:
        return
    raise AnotherRuns(f"another laptop runs already (process {other.pid}); end it first")
