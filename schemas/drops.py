"""Drops: the layout of their S3 keys, and the identity of a drop.

Decided here: the key layout of the drop bucket, the identity of a load, and the part of
precedence that a whole drop shares. Nothing here calls AWS.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import date, datetime, timezone

TRANSACTIONS_PREFIX = "transactions/"
DIMENSIONS_PREFIX = "dimensions/"
"""The drop bucket's prefixes, and the archive's: a drop keeps its key."""

TRANSACTIONS = "transactions"
PRODUCTS = "dim_products"
CUSTOMERS = "dim_customers"
KINDS = (TRANSACTIONS, PRODUCTS, CUSTOMERS)

_CSV = r"\.(?i:csv(?:\.gz)?)"
_TRANSACTIONS_KEY = re.compile(rf"transactions/year=([0-9]{{4}})/month=([0-9]{{1,2}})/day=([0-9]{{1,2}})/([^/]+{_CSV})")
_DIMENSION_KEY = re.compile(rf"dimensions/(dim_products|dim_customers)([^/]*{_CSV})")

# Control and format characters, line and paragraph separators, lone surrogates: a name that has
# one cannot be typed, and can look like another. Bytes that were no UTF-8 arrive as surrogates.
# The list is Unicode 15.1's. It is written out, since each Python version has its own Unicode version.
_UNSEEN = re.compile(
    "[\0-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u2064\u2066-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]"
)

LONGEST_KEY_BYTES = 960
"""S3 accepts 1,024 bytes, but the keys of rejected files are longer than that of their drop."""

# Files that tools leave beside the data: folder markers, Spark's success file and staging folders, unfinished uploads,
# and files that Windows, macOS and Office put into every folder.
_UNFINISHED = r"tmp|temp|part|partial|filepart|crdownload|inprogress|crc|swp"
_OF_A_DESKTOP = r"(?i:thumbs\.db|desktop\.ini)"
_NOT_A_FILE = re.compile(
    rf"(?:.*/)?(?:[_.][^/]*|~\$[^/]*|[^/]*_\$folder\$|{_OF_A_DESKTOP}|[^/]*\.(?i:{_UNFINISHED}))?"
    # `.` and `..` are not hidden folders: no tool that writes data makes such a key.
    r"|(?:.*/)?(?:_|\.(?!\.?/))[^/]*/.*"
)

SOURCE_UPLOADED_AT = "source-uploaded-at"
"""Metadata of an archived copy: when the drop was uploaded, in ISO 8601 with its offset."""
SOURCE_ETAG = "source-etag"
"""Metadata of an archived copy: the drop's ETag, without quotes."""


class KeyOutsideLayout(ValueError):
    """The key of an object that no job will load; the message says what a key must look like."""


@dataclass(frozen=True)
class DropKey:
    """The parts of a drop's key."""

    kind: str
    """One of KINDS."""
    file_name: str
    partition_day: date | None
    """The day in the key; None for a dimension."""

    def is_large(self, size: int, large_file_bytes: int) -> bool:
        """True for a file that the large job loads, where a stack has one."""
        # A packed file has no byte at which a second worker could begin.
        is_packed = self.file_name.lower().endswith(".gz")
        return self.kind == TRANSACTIONS and size >= large_file_bytes and not is_packed


def is_not_a_drop(key: str) -> bool:
    """True for folder markers, leftovers, and everything below a hidden folder: all are ignored silently."""
    return _NOT_A_FILE.fullmatch(key) is not None


def is_drop(key: str) -> bool:
    """True for a key that a job loads: inside the layout, and no leftover."""
    try:
        parse_key(key)
    except KeyOutsideLayout:
        return False
    return not is_not_a_drop(key)


def parse_key(key: str) -> DropKey:
    """The parts of a (decoded) key; raises KeyOutsideLayout with a sentence that a shop's analyst can act on."""
    unseen = _UNSEEN.search(key)
    if unseen is not None:
        raise KeyOutsideLayout(
            f"the key {key[:200]!r} has a character that cannot be seen (U+{ord(unseen.group()):04X}); "
            "drop the file again under a name without it"
        )
    if len(key.encode("utf-8")) > LONGEST_KEY_BYTES:
        raise KeyOutsideLayout(
            f"the key {key[:200]!r}… is {len(key.encode('utf-8')):,} bytes long, more than {LONGEST_KEY_BYTES:,}; "
            "drop the file again under a shorter name"
        )
    match = _TRANSACTIONS_KEY.fullmatch(key)
    if match:
        year, month, day, file_name = match.groups()
        try:
            partition_day = date(int(year), int(month), int(day))
        except ValueError:
            raise KeyOutsideLayout(
                f"the key {key!r} names the day {year}-{month:0>2}-{day:0>2}, which is not in the calendar; "
                "drop the file again under its real day"
            ) from None
        return DropKey(TRANSACTIONS, file_name, partition_day)
    match = _DIMENSION_KEY.fullmatch(key)
    if match:
        return DropKey(match.group(1), match.group(1) + match.group(2), None)
    raise KeyOutsideLayout(
        f"the key {key!r} is outside the layout; drop transactions as "
        "transactions/year=YYYY/month=MM/day=DD/NAME.csv (or .csv.gz) and dimensions as "
        "dimensions/dim_products*.csv or dimensions/dim_customers*.csv"
    )


def day_prefix(day: date) -> str:
    """The prefix of the drops of a day: `transactions/year=2023/month=03/day=15/`."""
    return f"{TRANSACTIONS_PREFIX}{partition(day)}/"


def transactions_key(day: date) -> str:
    """The key of a day's file, as the generator and the operator's command write it."""
    return f"{day_prefix(day)}transactions_{day.isoformat()}.csv"


def dimension_key(kind: str) -> str:
    """The key of a dimension's file, as the generator writes it."""
    return f"{DIMENSIONS_PREFIX}{kind}.csv"


@dataclass(frozen=True)
class Drop:
    """One source file version."""

    bucket: str
    key: str
    version_id: str
    """S3's version id: the drop bucket is versioned."""

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def load_id(self) -> str:
        """16 hex digits, the same for every attempt at this drop."""
        identity = f"{self.bucket}/{self.key}@{self.version_id}"
        # surrogatepass: the mail about a drop with a refused key needs a load_id too.
        return hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def drop_precedence(partition_day: date | None, uploaded_at: datetime, load_id: str) -> str:
    """Points 3 to 5 of precedence as one text whose byte order is their order.

    A later partition day beats a later upload, which beats the larger load_id.
    `uploaded_at` is S3's LastModified, which has whole seconds. A dimension has no
    partition day.
    """
    moment = uploaded_at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return " ".join([partition_day.isoformat(), moment, load_id] if partition_day else [moment, load_id])


def partition(day: date) -> str:
    """The Hive partition of a day: `year=2023/month=03/day=15`."""
    year, month, day_of_month = day.isoformat().split("-")
    return f"year={year}/month={month}/day={day_of_month}"
