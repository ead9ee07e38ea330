"""The words of the oracle: columns, refusals, and how values and headings are compared and shown. See __init__.py."""

from __future__ import annotations

SOURCE_COLUMNS = ("transaction_id", "customer_id", "product_id", "quantity", "transaction_date", "status")
REFUSALS = (
    "broken_gzip",
    "other_format",
    "empty_file",
    "not_utf8",
    "line_too_long",
    "hidden_row",
    "other_delimiter",
    "malformed_header",
    "duplicate_column",
    "missing_column",
    "second_header",
    "too_many_rejected",
)
REJECTED_COLUMNS = ("source_line", "reject_reasons", "source_text")
"""The columns that the rejected file adds to those of its drop."""
FORMULA_SIGNS = "=+-@＝＋－＠\t\r\n\0"
"""The characters with which a spreadsheet begins a formula, or which it skips before one (OWASP)."""

WHITE_SPACE = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


class Refused(Exception):
    """The load of this file fails and nothing is loaded; `kind` says why, `kinds` all the reasons why."""

    def __init__(self, *kinds: str) -> None:
        self.kinds = frozenset(kinds)
        self.kind = next(kind for kind in REFUSALS if kind in self.kinds)
        super().__init__(", ".join(kind for kind in REFUSALS if kind in self.kinds))


def trim(text: str) -> str:
    """The text without Unicode White_Space at either end (str.strip knows four characters too many)."""
    return text.strip(WHITE_SPACE)


def ascii_lower(text: str) -> str:
    """The text with A-Z made small and everything else untouched."""
    return "".join(chr(ord(letter) + 32) if "A" <= letter <= "Z" else letter for letter in text)


NOT_IN_HEADINGS = "-_#.:*`'\"“”„«»‘’[]\xad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
"""Characters that do not distinguish headings; neither do case and white space."""


def heading_key(heading: str) -> str:
    """The key by which headings are compared."""
    return "".join(letter for letter in heading.lower() if letter not in WHITE_SPACE + NOT_IN_HEADINGS)


def as_shown(text: str) -> str:
    """The text as the rejected file shows it: one apostrophe more where a spreadsheet would run it."""
    return "'" + text if _is_formula(text.lstrip("'")) else text


def as_dropped(text: str) -> str:
    """The text that the rejected file shows as this one."""
    return text[1:] if text.startswith("'") and _is_formula(text.lstrip("'")) else text


def _is_formula(text: str) -> bool:
    return text != "" and text[0] in FORMULA_SIGNS


WANTED = {name.replace("_", ""): name for name in SOURCE_COLUMNS}
