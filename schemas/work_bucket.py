"""Every prefix and key of the work bucket: written here, parsed here, and nowhere else.

Nothing here calls AWS.
"""

from __future__ import annotations

import hashlib
import re
from datetime import date, datetime

from schemas.drops import partition

CODE = "code/"
"""The job's script and wheel."""
STAGING = "staging/"
"""Files that an attempt stages for COPY, and the dimensions it unloads."""
REJECTED = "rejected/"
"""Rejected rows: one CSV per load, or a folder of them where the drop is large."""
REPORTS = "reports/"
"""One JSON report per attempt."""
CLAIMS = "claims/"
"""One lease per attempt: the worker that starts its run, and the run's id."""
NOTIFIED = "notified/"
"""One note per outcome that was mailed, and one per failure whose mail waits for the next attempt."""
ARCHIVING = "archiving/"
"""One lease per load while its drop is copied to the archive, and one note per request to flow in."""
ARCHIVED = "archived/"
"""One index per archived key: which version is the copy of which drop."""
OPEN = "open/"
"""One note per claimed attempt with unfinished work: `sweep` examines only these and the drops."""
SWEEP = "sweep/"
"""Notes of `sweep` about drops in the drop bucket: a drop is settled, or how often it was sent again."""

FORGOTTEN = "forgotten/"
"""One note per run of `pipeline forget`: the places where the person was found, without the data."""

_ATTEMPT_KEY = re.compile(r"[a-z]+/([0-9a-f]{16})/([0-9]+)(\..+)")
_OPEN_KEY = re.compile(r"open/([0-9a-f]{16})/([0-9]+)\.[0-9a-f]+\.json")
_SETTLED_KEY = re.compile(r"sweep/([0-9a-f]{16})/settled\.json")
_STAGED_KEY = re.compile(r"staging/([0-9a-f]{16})/([0-9]+)/")
_JSON = ".json"
_SENDING = ".sending.json"
_DEFERRED = ".deferred.json"
_SETTLED = "settled.json"


def staging_prefix(load_id: str, attempt: int) -> str:
    """The prefix of one attempt's staged files; no other attempt ever writes there."""
    return f"{STAGING}{load_id}/{attempt}/"


def planned_key(load_id: str) -> str:
    """The file that a plan reads. It is not a drop, so it is stored with the files that the plan's run stages."""
    return f"{staging_prefix(load_id, 1)}file"


def plan_key(load_id: str) -> str:
    """The result of a plan: the report (schemas.reports) of a load that was rolled back."""
    return f"{staging_prefix(load_id, 1)}plan{_JSON}"


def parse_staging_key(key: str) -> tuple[str, int] | None:
    """The load_id and attempt of a key below `staging_prefix`; None for any other key."""
    match = _STAGED_KEY.match(key)
    return (match.group(1), int(match.group(2))) if match else None


def rejected_key(partition_day: date, file_name: str, load_id: str) -> str:
    """The rejected rows of a load: always plain CSV, whatever the drop was."""
    stem = re.sub(r"\.csv(\.gz)?$", "", file_name, flags=re.IGNORECASE)
    return f"{REJECTED}{partition(partition_day)}/{stem}.{load_id}.csv"


def rejected_folder(partition_day: date, file_name: str, load_id: str) -> str:
    """The rejected rows of a large load: one CSV with a header for each shard, in the order of the drop."""
    return rejected_key(partition_day, file_name, load_id).removesuffix(".csv") + "/"


def rejected_part(partition_day: date, load_id: str, number: int) -> str:
    """A file in `rejected_folder`. Corrected, it is a drop: the name gives its day, and no other load has it."""
    return f"rejected_{partition_day}.{load_id}.{number:05d}.csv"


def report_key(load_id: str, attempt: int) -> str:
    """The report of an attempt."""
    return f"{REPORTS}{load_id}/{attempt}{_JSON}"


def page_key(load_id: str, attempt: int) -> str:
    """The HTML page of an attempt's report."""
    return f"{REPORTS}html/{load_id}/{attempt}.html"


def claims_prefix(load_id: str) -> str:
    """The prefix of the claims of every attempt at a load."""
    return f"{CLAIMS}{load_id}/"


def claim_key(load_id: str, attempt: int) -> str:
    """The claim of an attempt."""
    return f"{claims_prefix(load_id)}{attempt}{_JSON}"


def outside_layout_stem(load_id: str) -> str:
    """The note that a mail about a key outside the layout was sent, without its ending."""
    return f"{CLAIMS}outside/{load_id}"


def refused_stem(load_id: str, request: str) -> str:
    """The note that a mail about a request that cannot be met was sent, without its ending."""
    return f"{CLAIMS}refused/{load_id}-{_digest(request)}"


def archiving_key(load_id: str) -> str:
    """The lease of the worker that copies a drop to the archive."""
    return f"{ARCHIVING}{load_id}{_JSON}"


def archived_key(key: str) -> str:
    """The index of the versions archived under a key."""
    return f"{ARCHIVED}{_digest(key)}{_JSON}"


def flow_in_key(load_id: str, attempt: int) -> str:
    """The note that all loads waiting for this attempt's rows were asked to flow in."""
    return f"{ARCHIVING}{load_id}/{attempt}{_JSON}"


def open_key(load_id: str, attempt: int, starter: str) -> str:
    """The note of one starter that an attempt has unfinished work.

    Each starter writes a note of its own: `sweep` closes only those that it has seen.
    """
    return f"{OPEN}{load_id}/{attempt}.{starter}{_JSON}"


def settled_key(load_id: str) -> str:
    """The note that nothing is left to do about a drop that stays in the drop bucket."""
    return f"{SWEEP}{load_id}/{_SETTLED}"


def resent_key(load_id: str, times: int) -> str:
    """The note that `sweep` has sent a drop to the queue for the nth time."""
    return f"{SWEEP}{load_id}/{times}{_JSON}"


LAST_DROP_KEY = f"{SWEEP}last_drop{_JSON}"
"""The note with the upload time of the newest drop that `sweep` has seen."""


def notified_prefix(load_id: str) -> str:
    """The prefix of the notes about the mails of a load."""
    return f"{NOTIFIED}{load_id}/"


def notified_stem(load_id: str, attempt: int) -> str:
    """The note that the outcome of an attempt was mailed, without its ending."""
    return f"{notified_prefix(load_id)}{attempt}"


BACKFILL_KEY = f"{NOTIFIED}backfill{_JSON}"
"""The running backfill (schemas.backfills): one digest reports the outcomes of its drops."""


def digest_key(backfill: str) -> str:
    """The note that the digest of a backfill was sent."""
    return f"{NOTIFIED}backfill/{backfill}{_JSON}"


def stopped_stem(backfill: str, last_batch_at: datetime) -> str:
    """The note that a mail about a stopped backfill was sent, without its ending."""
    return f"{NOTIFIED}backfill/{backfill}.stopped-{last_batch_at:%Y%m%dT%H%M%SZ}"


def forgotten_key(customer_id: str, started_at: str) -> str:
    """The note of one run of `pipeline forget`."""
    return f"{FORGOTTEN}{_digest(customer_id)}/{started_at}{_JSON}"


def sent_key(stem: str) -> str:
    """The note that a mail was sent."""
    return stem + _JSON


def sending_key(stem: str) -> str:
    """The lease of the worker that sends a mail."""
    return stem + _SENDING


def deferred_key(load_id: str, attempt: int) -> str:
    """The note that an attempt failed and is retried: its mail comes with the last attempt."""
    return notified_stem(load_id, attempt) + _DEFERRED


def parse_attempt_key(key: str) -> tuple[str, int] | None:
    """The load_id and attempt of a claim, a report, a sent note or a note of `sweep`'s; None for any other key."""
    return _parse(key, _JSON)


def parse_deferred_key(key: str) -> tuple[str, int] | None:
    """The load_id and attempt of a key that `deferred_key` wrote; None for any other key."""
    return _parse(key, _DEFERRED)


def parse_open_key(key: str) -> tuple[str, int] | None:
    """The load_id and attempt of a key that `open_key` wrote; None for any other key."""
    match = _OPEN_KEY.fullmatch(key)
    return (match.group(1), int(match.group(2))) if match else None


def parse_settled_key(key: str) -> str | None:
    """The load_id of a key that `settled_key` wrote; None for any other key."""
    match = _SETTLED_KEY.fullmatch(key)
    return match.group(1) if match else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _parse(key: str, ending: str) -> tuple[str, int] | None:
    match = _ATTEMPT_KEY.fullmatch(key)
    return (match.group(1), int(match.group(2))) if match and match.group(3) == ending else None
