"""Names of loads: an operator names a load by its id, its file's name, its day, or the URI of its drop."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from cli.loads.loads import Load, Loads
from cli.refusals import Refused
from lambdas.archived_copies import SOURCE_VERSION_ID
from schemas.counted import counted
from schemas.drops import TRANSACTIONS_PREFIX, Drop, day_prefix

_LOAD_ID = re.compile(r"[0-9a-f]{16}")
_DAYS = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:\.\.([0-9]{4}-[0-9]{2}-[0-9]{2}))?")
_MOST_DAYS = 3700
_READERS = 16


@dataclass(frozen=True)
class LoadNames:
    """Finds loads by name."""

    loads: Loads

    def find(self, name: str) -> list[Load]:
        """Every load of that name, the first uploaded first; raises Refused when there is none."""
        if _LOAD_ID.fullmatch(name):
            load = self.loads.by_id(name)
            if load is None:
                raise Refused(f"{self._pipeline} knows no load {name}; `pipeline loads` lists the recent ones")
            return [load]
        if name.startswith("s3://"):
            return self._loads_of(self._drops_at(name), f"{name}: no version of it was ever loaded or is waiting")
        days = _DAYS.fullmatch(name)
        if days is None and _DAYS.match(name) and ".." in name:
            raise Refused(f"{name} is not a range of days; give it as YYYY-MM-DD..YYYY-MM-DD")
        if days:
            return self._loads_of(self._drops_of_days(*_days(name, days)), f"no file of {name} was dropped")
        return self._loads_of(self._drops_named(name), f"no file called {name!r} was dropped")

    def resolve(self, name: str) -> Load:
        """The load of that name; raises Refused when there is none, or more than one."""
        loads = self.find(name)
        if len(loads) > 1:
            listed = ", ".join(f"{load.load_id} ({load.status.file_name}, {load.status.phase.value})" for load in loads)
            raise Refused(f"{name} names {len(loads)} loads; name one of them by its id: {listed}")
        return loads[0]

    @property
    def _pipeline(self) -> str:
        return self.loads.pipeline.name

    def _loads_of(self, drops: list[Drop], none: str) -> list[Load]:
        if not drops:
            raise Refused(f"{none} in {self._pipeline}; `pipeline loads` lists the recent loads")
        with ThreadPoolExecutor(_READERS) as readers:
            return list(readers.map(self.loads.of, drops))

    def _drops_at(self, uri: str) -> list[Drop]:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        ours = self.loads.pipeline.output("drop_bucket")
        if bucket != ours:
            raise Refused(f"{uri} is not in the drop bucket of {self._pipeline}, which is s3://{ours}")
        return self._drops(key, lambda candidate: candidate == key)

    def _drops_of_days(self, first: date, last: date) -> list[Drop]:
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        # Listing one day reads one page; for many days, listing the whole prefix is as quick.
        if len(days) == 1:
            return self._drops(day_prefix(first), lambda _: True)
        wanted = {day_prefix(day) for day in days}
        return self._drops(TRANSACTIONS_PREFIX, lambda key: key[: key.rfind("/") + 1] in wanted)

    def _drops_named(self, file_name: str) -> list[Drop]:
        return self._drops("", lambda key: file_name in (key, key.rpartition("/")[2]))

    def _drops(self, prefix: str, is_wanted: Any) -> list[Drop]:
        """The drops below a prefix, waiting or archived, the first uploaded first."""
        bucket = self.loads.pipeline.output("drop_bucket")
        uploaded = {drop: when for drop, when in self.loads.in_drop_bucket.items() if drop.key.startswith(prefix)}
        drops = {drop: when for drop, when in uploaded.items() if is_wanted(drop.key)}
        for copy in self._archived(prefix):
            if is_wanted(copy["Key"]):
                version_id = self._source_version(copy)
                if version_id is not None:
                    drops.setdefault(Drop(bucket, copy["Key"], version_id), copy["LastModified"])
        return sorted(drops, key=lambda drop: (drops[drop], drop.load_id))

    def _archived(self, prefix: str) -> Iterator[dict[str, Any]]:
        pages = self.loads.pipeline.client("s3").get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=self.loads.pipeline.output("archive_bucket"), Prefix=prefix):
            yield from page.get("Versions", [])

    def _source_version(self, copy: dict[str, Any]) -> str | None:
        """The version id of the drop that an archived copy was made of; `archive` keeps it in the metadata."""
        where = {"Bucket": self.loads.pipeline.output("archive_bucket"), "Key": copy["Key"]}
        head = self.loads.pipeline.client("s3").head_object(**where, VersionId=copy["VersionId"])
        version_id: str | None = head["Metadata"].get(SOURCE_VERSION_ID)
        return version_id


def _days(name: str, matched: re.Match[str]) -> tuple[date, date]:
    try:
        first = date.fromisoformat(matched[1])
        last = date.fromisoformat(matched[2] or matched[1])
    except ValueError:
        raise Refused(f"{name} is not in the calendar; give days as YYYY-MM-DD or YYYY-MM-DD..YYYY-MM-DD") from None
    if last < first:
        raise Refused(f"{name} ends before it begins; give the earlier day first")
    if (last - first).days > _MOST_DAYS:
        raise Refused(f"{name} is {counted((last - first).days, 'day')} long; ask for at most {_MOST_DAYS:,} at once")
    return first, last
