"""Reads the values of a row by the contract alone: ids, quantities, dates and statuses."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Container
from datetime import date, datetime, timedelta

from tests.oracle.dates import read_written_date
from tests.oracle.text import WHITE_SPACE, trim

STATUSES = ("pending", "processing", "completed", "shipped", "delivered", "cancelled", "refunded")
"""In rank order: a later one wins on the same transaction_date."""

NULL_WORDS = (
    *("null", "\\n", "nan", "nat", "none", "nil", "(null)", "(none)", "(blank)", "(not set)"),
    *("#n/a", "n/a", "na", "<na>", "<null>", "[null]", "undefined"),
)
"""In small letters; an id that is one of them is none."""
SPELLINGS = {"canceled": "cancelled", "complete": "completed", "fulfilled": "delivered", "dispatched": "shipped"}
LARGEST_QUANTITY = 2147483647

_BLANK = f"[{WHITE_SPACE}]"
ROUNDED = re.compile("[0-9]([.,][0-9]+[Ee][+]?|[Ee][+])[0-9]{1,3}|[0-9]{16,}[.]0")
QUOTATION_MARKS = "“”„‟«»‹›‘’‚‛`´"


ITSELF: Container[str] = ()
"""The known ids for a transaction_id, or for an id in a dimension's own file: none."""


def cleaned(text: str) -> str:
    """The text without white space and format characters around it, and without Excel's `="` and `"`."""
    bare = _bare(text)
    if len(bare) >= 3 and bare.startswith('="') and bare.endswith('"'):
        bare = _bare(bare[2:-1])
    return bare


def meant(text: str) -> str:
    """`cleaned`, and without quotation marks around it or Excel's `'` ahead of it: a value that has none of its own."""
    bare = cleaned(text)
    if len(bare) >= 2 and bare.startswith('"') and bare.endswith('"'):
        bare = bare[1:-1]
    if bare.startswith("'"):
        bare = bare[1:-1] if len(bare) > 1 and bare.endswith("'") else bare[1:]
    return _bare(bare.strip(QUOTATION_MARKS))


def _bare(text: str) -> str:
    def is_nothing(letter: str) -> bool:
        return not trim(letter) or unicodedata.category(letter) == "Cf"

    while text and is_nothing(text[0]):
        text = text[1:]
    while text and is_nothing(text[-1]):
        text = text[:-1]
    return text


def is_nothing(text: str) -> bool:
    """Nothing but punctuation, or the error of a formula, in any language: #REF!, #BEZUG!, #NV, Err:502."""

    def is_mark(letter: str) -> bool:
        return letter in string.punctuation + WHITE_SPACE or unicodedata.category(letter).startswith("P")

    return all(map(is_mark, text)) or re.fullmatch("#[^0-9\\s]+0?[!?]|(?i:#N/?[DV]|Err:[0-9]{3})", text) is not None


def read_id(text: str, known: Container[str] = ITSELF) -> str:
    """The id, or nothing where there is none; `known` are the ids of its dimension, if it is of one."""
    actual = meant(text)
    if actual.lower() in NULL_WORDS or is_nothing(actual):
        return ""
    is_whole = re.fullmatch("[0-9]{1,15}[.]0", actual) is not None
    if is_whole and actual not in known and (known is ITSELF or actual[:-2] in known):
        return actual[:-2]
    return actual


def read_quantity(text: str) -> int | None:
    """A whole number that the column holds, in ASCII digits, perhaps with zeros as decimals; otherwise None.

    1.000 is a thousand to some; 0.000 and 1234.000 have no groups of three digits.
    """
    bare = meant(text)
    # A minus sign may be typographic, or follow the number, or be a pair of brackets.
    for negative in ("[-−](.+)", "(.+)[-−]", "[(](.+)[)]"):
        written = re.fullmatch(negative, bare)
        if written:
            bare = "-" + written[1]
            break
    match = re.fullmatch("(-?)([0-9]+)(?:[.](0*))?", bare)
    if not match:
        return None
    can_be_a_group = len(match[2]) <= 3 and not match[2].startswith("0")
    if match[3] == "000" and can_be_a_group:
        return None
    digits = match[2].lstrip("0") or "0"
    number = int(match[1] + digits) if len(digits) <= 10 else LARGEST_QUANTITY + 1
    return number if -LARGEST_QUANTITY - 1 <= number <= LARGEST_QUANTITY else None


def status_word(text: str) -> str:
    """The key by which statuses are compared: neither case nor the sign between two words counts."""
    return re.sub("[-_ \t\u00a0]+", " ", text.lower())


def read_status(text: str) -> str | None:
    """One of STATUSES; otherwise None."""
    word = status_word(meant(text))
    word = SPELLINGS.get(word, word)
    return word if word in STATUSES else None


def read_transaction_date(text: str) -> datetime | None:
    """The moment in UTC that a date, or a date and a time, with one meaning names; otherwise None."""
    written = read_written_date(meant(text))
    try:
        return None if written is None else written[0] - (written[1] or timedelta(0))
    except OverflowError:
        return None


def written_day(text: str) -> date:
    """The calendar day as written, of a text that is a date."""
    written = read_written_date(meant(text))
    assert written is not None
    return written[0].date()


def is_future(text: str, partition_day: date) -> bool:
    """Of a text that is a date: with an offset, whether the file's day was over everywhere on earth."""
    written, moment = read_written_date(meant(text)), read_transaction_date(text)
    assert written is not None
    assert moment is not None
    if written[1] is None:
        return written_day(text) > partition_day
    noon_after = datetime(partition_day.year, partition_day.month, partition_day.day) + timedelta(days=1, hours=12)
    return moment >= noon_after


def is_too_early(text: str, partition_day: date) -> bool:
    """More than twenty years before the file's day."""
    day = 28 if (partition_day.month, partition_day.day) == (2, 29) else partition_day.day
    return written_day(text) < date(partition_day.year - 20, partition_day.month, day)
