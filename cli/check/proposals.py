"""Proposals of settings with which a file can be read: a preset with its headings, or single changes for its content.

Every proposal is checked on the file first. Ambiguous settings are not proposed: 03/04/2023 may be in March or
in April.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cli.check.headings import heading_changes
from cli.check.number_forms import number_changes
from cli.check.result import CheckResult
from jobs.csv.diagnosis import likely_encoding
from schemas.drops import TRANSACTIONS
from schemas.source_values import date_pattern
from schemas.sources import DEFAULT, NEGATIVE, SourceSettings, heading_key
from sources import known_sources, read_source

TITLES = {
    "amazon": "Amazon's order report",
    "amazon-all-orders": "Amazon's report of all orders",
    "excel-german": "a CSV file of a German Excel",
    "magento": "an export of Magento's order items",
    "online-retail-ii": "Online Retail II",
    "shopify": "Shopify's order export",
    "square": "Square's items detail",
    "woocommerce": "WooCommerce's export with one row per item",
}

_HEAD_BYTES = 256 * 1024
_HEADER_LINES = 40
_DELIMITERS = (",", ";", "\t", "|")
_NUMBERS = ("quantity", "price")
_DAYS = {
    "day first": ("%d{0}%m{0}%Y", "%d{0}%m{0}%y"),
    "month first": ("%m{0}%d{0}%Y", "%m{0}%d{0}%y"),
    "year first": ("%Y{0}%m{0}%d",),
}
_NAMED_DAYS = (
    *("%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%Y%m%d"),
    *("%d %b %y", "%d-%b-%y", "%b %d, %y", "%b-%d-%y", "%b-%d-%Y"),
)
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S", ", %I:%M:%S %p", ", %H:%M")

CheckWith = Callable[[SourceSettings], CheckResult]


@dataclass(frozen=True)
class Proposal:
    """Settings with which more of the file would be loaded, and the result of a check with them."""

    settings: SourceSettings
    result: CheckResult
    preset: str | None
    """The name of the preset, or None for changes of the settings in use."""
    changes: dict[str, Any]
    """The settings that differ from those in use; empty for a preset."""


def propose(
    path: Path, used: SourceSettings, current: CheckResult, check: CheckWith, kind: str = TRANSACTIONS
) -> Proposal | None:
    """The best preset or set of changes for this file, if it is better than `current`.

    For a dimension, only a preset with headings of its own, and none where the file has the contract's id: contract
    headings show no shop system.
    """
    lines = list(_head_lines(path))
    contract = _of_kind(DEFAULT, kind).columns
    has_contract_id = any(next(iter(contract)) in _split(line, DEFAULT, ",") for line in lines[:_HEADER_LINES])

    def has_own_headings(settings: SourceSettings) -> bool:
        return _of_kind(settings, kind).columns != contract

    proposals = [
        Proposal(settings, check(settings), settings.name, {})
        for settings in map(read_source, known_sources())
        if settings.name not in ("default", used.name)
        and (kind == TRANSACTIONS or (has_own_headings(settings) and not has_contract_id))
        and _has_headings(lines, _of_kind(settings, kind))
    ]
    changed = _changed(lines, used, check, kind)
    if changed is not None:
        proposals.append(changed)
    better = [proposal for proposal in proposals if proposal.result.loaded > current.loaded]
    return max(better, key=lambda proposal: (proposal.result.loaded, proposal.preset is not None), default=None)


def ambiguous_dates(texts: Iterable[str]) -> list[str]:
    """Two or more formats that each read all of these dates; empty where fewer than two do."""
    readings = [formats[0] for formats in _orders_of(list(texts)).values()]
    return readings if len(readings) > 1 else []


def _of_kind(settings: SourceSettings, kind: str) -> SourceSettings:
    return settings if kind == TRANSACTIONS else settings.of_dimension(kind)


def _changed(lines: list[str], used: SourceSettings, check: CheckWith, kind: str) -> Proposal | None:
    """The settings in use with changes for this file, made one after the other."""
    changes: dict[str, Any] = {}
    if any("\udc80" <= character <= "\udcff" for line in lines for character in line):
        head = "\n".join(lines).encode("utf-8", "surrogateescape")
        encoding = likely_encoding(head) or "cp1252"
        lines = head.decode(encoding, "replace").split("\n")
        changes = {"encoding": encoding} if used.encoding == "utf-8" else {}
    changes |= _shape_changes(lines, _of_kind(used, kind), kind)
    settings = _with(used, changes)
    result = check(settings)
    for _ in range(3):
        asked_for = _value_changes(result, _of_kind(settings, kind), lines)
        more = {key: value for key, value in asked_for.items() if key not in changes}
        if not more:
            break
        changes.update(more)
        settings = _with(used, changes)
        result = check(settings)
    return Proposal(settings, result, None, changes) if changes else None


def _with(settings: SourceSettings, changes: dict[str, Any]) -> SourceSettings:
    return SourceSettings.parse({**settings.to_mapping(), **changes})


def _shape_changes(lines: list[str], used: SourceSettings, kind: str) -> dict[str, Any]:
    """Delimiter, lines above the header, and its headings, where the header can be found."""
    signs = (sign for line in lines[:_HEADER_LINES] for sign in line if _is_delimiter(sign, used))
    delimiters = dict.fromkeys((used.delimiter, *_DELIMITERS, *signs))
    changes = _contract_header(lines, used, delimiters) or _shop_header(lines, used, kind)
    return {key: value for key, value in changes.items() if value != getattr(used, key)}


def _contract_header(lines: list[str], used: SourceSettings, delimiters: Iterable[str]) -> dict[str, Any]:
    """Where the wanted headings are."""
    for delimiter in delimiters:
        line = _header_line(lines, used, delimiter)
        if line is not None:
            return {"delimiter": delimiter, "skip_rows": line}
    return {}


def _shop_header(lines: list[str], used: SourceSettings, kind: str) -> dict[str, Any]:
    """Where headings are whose words show which columns they are."""
    for delimiter in dict.fromkeys((used.delimiter, *_DELIMITERS)):
        for number, line in enumerate(lines[:_HEADER_LINES]):
            headings = heading_changes(_split(line, used, delimiter), kind)
            if headings:
                return {"delimiter": delimiter, "skip_rows": number, **headings}
    return {}


def _is_delimiter(sign: str, used: SourceSettings) -> bool:
    """True for a sign that the settings allow as a delimiter and that no heading, number or date contains."""
    return not (sign.isalnum() or sign in "_-.: \0\x1a\ufeff\ufffd" or sign in (used.quote, used.escape))


def _value_changes(result: CheckResult, settings: SourceSettings, lines: list[str]) -> dict[str, Any]:
    """Changes for dates, numbers, returns and escapes, found in the values of rejected rows and the first lines."""
    changes: dict[str, Any] = {}
    formats = _orders_of(list(result.values.get("invalid_transaction_date", ())))
    if len(formats) == 1:
        (only,) = formats.values()
        changes["date_formats"] = [*settings.date_formats, *only]
    if result.refusal or {"invalid_quantity", "invalid_unit_price"} & result.reasons.keys():
        changes.update(number_changes(_numbers(lines, settings), settings))
    quantities = list(result.values.get("invalid_quantity", ()))
    if any(re.fullmatch(r"-[0-9.,]+", quantity) for quantity in quantities):
        changes["returns"] = NEGATIVE
    is_escaped = settings.quote and any("\\" + settings.quote in line for line in lines)
    if "malformed_row" in result.reasons and is_escaped and not settings.escape:
        changes["escape"] = "\\"
    return changes


def _numbers(lines: list[str], settings: SourceSettings) -> Iterator[str]:
    """The quantities and prices in the first lines of the file."""
    at = _header_line(lines, settings, settings.delimiter)
    if at is None:
        return
    header = [heading_key(heading) for heading in _split(lines[at], settings, settings.delimiter)]
    named = [heading for column in _NUMBERS for heading in settings.columns.get(column, ())]
    keys = {heading_key(heading) for heading in (*named, settings.unit_price or "") if heading}
    for line in lines[at + 1 :]:
        values = _split(line, settings, settings.delimiter)
        if len(values) == len(header):
            yield from (value for key, value in zip(header, values, strict=True) if key in keys)


def _orders_of(texts: list[str]) -> dict[str, list[str]]:
    """Order of day and month (day first, month first, …) -> its formats, for each order that reads every text."""
    written = [text for text in texts if re.search("[0-9]", text)]
    orders = {
        order: [day.format(separator) + time for separator in "./-" for day in days for time in _TIMES]
        for order, days in _DAYS.items()
    }
    orders["named"] = [day + time for day in _NAMED_DAYS for time in _TIMES]
    readable = {}
    for order, formats in orders.items():
        used = {_format_of(text, formats) for text in written}
        if used and None not in used:
            readable[order] = [format_ for format_ in formats if format_ in used]
    return readable


def _format_of(text: str, formats: Iterable[str]) -> str | None:
    for format_ in formats:
        if re.search(date_pattern(format_), text) and _is_day(text, format_):
            return format_
    return None


def _is_day(text: str, format_: str) -> bool:
    try:
        datetime.strptime(text, format_)
    except ValueError:
        return False
    return True


def _has_headings(lines: list[str], settings: SourceSettings) -> bool:
    return _header_line(lines[: settings.skip_rows + 1], settings, settings.delimiter) is not None


def _header_line(lines: list[str], settings: SourceSettings, delimiter: str) -> int | None:
    """The number, from 0, of the first line that has all wanted headings."""
    wanted = {heading_key(heading) for heading in settings.headings}
    for number, line in enumerate(lines[:_HEADER_LINES]):
        if wanted <= {heading_key(heading) for heading in _split(line, settings, delimiter)}:
            return number
    return None


def _split(line: str, settings: SourceSettings, delimiter: str) -> list[str]:
    if not settings.quote:
        return line.split(delimiter)
    return next(csv.reader([line], delimiter=delimiter, quotechar=settings.quote), [])


def _head_lines(path: Path) -> Iterator[str]:
    """The first lines of the file as text; a byte that is not UTF-8 becomes a lone surrogate."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(b"\x1f\x8b"):
        head = b""
        # No setting would make a damaged file whole.
        with gzip.open(path) as file, suppress(EOFError, gzip.BadGzipFile, zlib.error):
            head = file.read(_HEAD_BYTES)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = head.decode("utf-16", "replace")
    else:
        # The last character may be cut.
        text = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(head.removeprefix(codecs.BOM_UTF8))
    # Not splitlines: it breaks lines at \x1e too, which is a delimiter in some files.
    yield from re.split("\r\n|[\r\n]", text)
