"""Redshift's errors, and the translation of PostgreSQL's errors where the two differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping


class RedshiftError(Exception):
    """An error for the client: SQLSTATE, message and, where Redshift gives one, the detail."""

    def __init__(self, sqlstate: str, message: str, detail: str | None = None) -> None:
        super().__init__(f"{sqlstate}: {message}" + (f" {detail}" if detail else ""))
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail

    def fields(self) -> dict[str, str]:
        """The fields of the ErrorResponse."""
        return {"C": self.sqlstate, "M": self.message, **({"D": self.detail} if self.detail else {})}


BYTE_LIMIT = "varchar_bytes_"
"""The prefix of the name of the constraint on a VARCHAR's bytes; the limit and the column follow."""


def as_redshift(fields: Mapping[str, str]) -> RedshiftError:
    """Redshift's error for an error of PostgreSQL; unchanged where the two agree."""
    translate = _TRANSLATIONS.get(fields["C"])
    translated = translate(fields) if translate else None
    return translated or RedshiftError(fields["C"], fields["M"], fields.get("D"))


def _serializable_violation(fields: Mapping[str, str]) -> RedshiftError:
    table = fields.get("t", "0")
    return RedshiftError(
        "XX000",
        "1023",
        f"Serializable isolation violation on table - {table}, transactions forming the cycle are: 0, 0 (pid:0)",
    )


def _too_long(fields: Mapping[str, str]) -> RedshiftError | None:
    limit = re.match(rf"{BYTE_LIMIT}(\d+)_", fields.get("n", ""))
    return RedshiftError("22001", f"value too long for type character varying({limit[1]})") if limit else None


def _matched_twice(fields: Mapping[str, str]) -> RedshiftError | None:
    if not fields["M"].startswith("MERGE command cannot affect row a second time"):
        return None
    return RedshiftError("XX000", "Found multiple matches to update the same tuple")


_TRANSLATIONS: dict[str, Callable[[Mapping[str, str]], RedshiftError | None]] = {
    "40001": _serializable_violation,
    "40P01": lambda fields: RedshiftError("XX000", "deadlock detected", fields.get("D")),
    "23514": _too_long,
    "21000": _matched_twice,
}
