"""The oracle of records: where each record of a file begins and ends. files.py describes the rules."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.oracle.text import SOURCE_COLUMNS, WANTED, WHITE_SPACE, Refused, heading_key, trim

LONGEST_LINE = 1024 * 1024


@dataclass(frozen=True)
class Record:
    line: int
    """Of its first physical line, from 0."""
    text: str
    fields: tuple[str, ...] | None
    """None where it is malformed."""


class Malformed(Exception):
    pass


class Reader:
    """The records of a text, for one delimiter."""

    def __init__(self, text: str, delimiter: str) -> None:
        self.lines = [line.removesuffix("\r") for line in text.split("\n")]
        self.delimiter = delimiter

    def fields(self, text: str) -> list[tuple[str, bool]]:
        """Each field and whether it was quoted; raises Malformed."""
        fields_read: list[tuple[str, bool]] = []
        at = 0
        while True:
            start = at
            while at < len(text) and text[at] in WHITE_SPACE and text[at] != self.delimiter and text[at] != "\n":
                at += 1
            is_quoted = text.startswith('"', at)
            if is_quoted:
                value, at = _quoted(text, at)
                while at < len(text) and text[at] in WHITE_SPACE and text[at] != self.delimiter and text[at] != "\n":
                    at += 1
                if at < len(text) and text[at] != self.delimiter:
                    raise Malformed
            else:
                stop = text.find(self.delimiter, start)
                at = len(text) if stop < 0 else stop
                value = text[start:at]
            fields_read.append((value, is_quoted))
            if at == len(text):
                return fields_read
            at += 1

    def values(self, text: str) -> tuple[str, ...] | None:
        """The fields of a record, None where it is malformed."""
        try:
            return tuple(value for value, _ in self.fields(text))
        except Malformed:
            return None

    def header(self, first: int) -> tuple[int, tuple[str, ...] | None, int]:
        """(the line of the header, its fields, the line behind it)"""
        while first < len(self.lines) and self.is_blank(self.lines[first]):
            first += 1
        if first == len(self.lines):
            return first, (), first
        last = first
        while True:
            values = self.values("\n".join(self.lines[first : last + 1]))
            if values is not None:
                hides_row = any("\n" in value and value.count(self.delimiter) >= 3 for value in values)
                return (first, None, first + 1) if hides_row else (first, values, last + 1)
            last += 1
            if last >= len(self.lines) or last - first > 20 or not self.may_go_on(first, last):
                return first, None, first + 1

    def may_go_on(self, first: int, last: int) -> bool:
        """Whether the lines before `last` end inside a quoted field."""
        return self.values("\n".join([*self.lines[first:last], '"'])) is not None

    def is_blank(self, line: str) -> bool:
        values = self.values(line)
        return values is not None and all(trim(value) == "" for value in values)

    def records(self, first: int, header: tuple[str, ...], width: int) -> list[Record]:
        """The records below the header; raises Refused where one hides a row."""
        records_read = []
        while first < len(self.lines):
            last = self.last_line(first, header, width)
            text = "\n".join(self.lines[first : last + 1])
            fields = self.values(text)
            is_blank = fields is not None and all(trim(value) == "" for value in fields)
            if not is_blank:
                has_room = text.count(self.delimiter) >= width + len(SOURCE_COLUMNS) - 2
                crowded = last == first and has_room and self.sales(text, header) > 1
                sound = fields is not None and len(fields) == width and not crowded
                sound = sound and not self.has_stray_quote(text, header)
                records_read.append(Record(first, text, fields if sound else None))
            first = last + 1
        return records_read

    def last_line(self, first: int, header: tuple[str, ...], width: int) -> int:
        """The last line of the record that begins here: the first one again unless it may span lines."""
        size = len(self.lines[first].encode("utf-8", "surrogateescape"))
        for last in range(first, len(self.lines)):
            if last > first:
                size += 1 + len(self.lines[last].encode("utf-8", "surrogateescape"))
            try:
                fields = self.fields("\n".join(self.lines[first : last + 1]))
            except Malformed:
                if size > LONGEST_LINE or not self.may_go_on(first, last + 1):
                    return first
                continue
            spans = [at for at, (value, _) in enumerate(fields) if "\n" in value]
            names = [heading_key(header[at]) if at < len(header) else "" for at in spans]
            if last == first or len(fields) != width or any(name in WANTED for name in names):
                return first
            if self.has_stray_quote("\n".join(self.lines[first : last + 1]), header):
                return first
            rows = [self.rows(line, header, width) for line in self.lines[first : last + 1]]
            inside = ['"' not in line.replace('""', "") for line in self.lines[first : last + 1]]
            read = [at for at, heading in enumerate(header) if heading_key(heading) in WANTED]
            ahead = [at for at in read if at < spans[-1]]
            is_sale_already = self.sales(self.lines[last], header) and len(ahead) >= 3
            cores = self.cores(self.lines[first : last + 1], header)
            is_hidden = any(seen and within for seen, within in zip(rows[1:-1], inside[1:-1]))
            if is_hidden or is_sale_already or cores > 1 or sum(rows) > 1:
                raise Refused("hidden_row")
            return last
        return first

    def has_stray_quote(self, text: str, header: tuple[str, ...]) -> bool:
        """Whether an unquoted field of the contract has a quote, or a backslash before its end."""
        named = zip(header, self.fields(text))
        return any(
            ('"' in value and not quoted and not re.fullmatch('="[^"]*"', trim(value)))
            or ('\\"' in text and value.endswith("\\"))
            for heading, (value, quoted) in named
            if heading_key(heading) in WANTED
        )

    def rows(self, line: str, header: tuple[str, ...], width: int) -> int:
        """How many rows a person sees in a line."""
        bare = line.replace('"', "")
        readings = (bare.split(self.delimiter), self.values(line), self.values(line + '"'))
        is_wide = any(reading is not None and len(reading) == width for reading in readings)
        has_value = any(map(trim, readings[0]))
        return max(self.sales(line, header), int(is_wide and has_value))

    def sales(self, line: str, header: tuple[str, ...]) -> int:
        """0, 1, or 2 for more than one."""
        if line.count(self.delimiter) < len(SOURCE_COLUMNS) - 1:
            return 0
        return self.count(line.replace('"', ""), _groups(header), header)

    def cores(self, lines: list[str], header: tuple[str, ...]) -> int:
        """The number of lines that have the date, with the columns next to it."""
        (dated,) = (group for group in _groups(header) if "transaction_date" in group)
        if dated == _groups(header)[0] and dated[0] == "transaction_id":
            return sum(self.has(line.replace('"', ""), [dated], header) for line in lines)
        return sum(self.windows(line.replace('"', ""), dated, dated == _groups(header)[-1]) > 0 for line in lines)

    def windows(self, text: str, group: list[str], is_last: bool) -> int:
        """The number of times that the columns of a group are side by side in a text."""
        values, at, actual = text.split(self.delimiter), 0, 0
        while at + len(group) <= len(values):
            fits = _fits(group, values[at:], False, is_last)
            actual += fits
            at += len(group) if fits else 1
        return min(actual, 2)

    def count(self, text: str, groups: list[list[str]], header: tuple[str, ...]) -> int:
        """The number of times these columns occur in a text, one after the other: 0, 1, or 2 for more."""
        if not self.has(text, groups, header):
            return 0
        if text.count(self.delimiter) < 2 * sum(map(len, groups)) - 2:
            return 1
        places = range(1, len(text))
        both = (self.has(text[:at], groups, header) and self.has(text[at:], groups, header) for at in places)
        return 2 if any(both) else 1

    def has(self, text: str, groups: list[list[str]], header: tuple[str, ...]) -> bool:
        """Whether the text has the columns in this order, those of a group side by side."""
        values = text.split(self.delimiter)
        at = 0
        for number, group in enumerate(groups):
            is_first, is_last = number == 0, group == _groups(header)[-1]
            while at + len(group) <= len(values) and not _fits(group, values[at:], is_first, is_last):
                at += 1
            if at + len(group) > len(values):
                return False
            at += len(group)
        return True


def _groups(header: tuple[str, ...]) -> list[list[str]]:
    """The columns of the contract in the header's order, grouped where they are adjacent."""
    groups: list[list[str]] = [[]]
    for heading in header:
        if heading_key(heading) in WANTED:
            groups[-1].append(WANTED[heading_key(heading)])
        elif groups[-1]:
            groups.append([])
    return [group for group in groups if group]


def _fits(group: list[str], values: list[str], is_first: bool, is_last: bool) -> bool:
    """Whether values look like these columns. A sale may begin within a value, and end within one."""
    for at, (column, value) in enumerate(zip(group, values)):
        begins, ends = is_first and at == 0, is_last and at == len(group) - 1
        is_word = begins or ends or not any(space in trim(value) for space in WHITE_SPACE)
        looks = {
            "transaction_id": trim(value) != "" and is_word,
            "customer_id": is_word,
            "product_id": is_word,
            "quantity": re.search(r"^[^A-Za-z]*\d" + ("" if ends else "[^A-Za-z]*$"), value),
            "transaction_date": re.search(r"\d[-/:]\d|\d[.]\d\d?[.]\d", value),
            "status": True,
        }
        if not looks[column]:
            return False
    return True


def _quoted(text: str, start: int) -> tuple[str, int]:
    at = start + 1
    while True:
        at = text.find('"', at)
        if at < 0:
            raise Malformed
        if not text.startswith('""', at):
            return text[start + 1 : at].replace('""', '"'), at + 1
        at += 2
