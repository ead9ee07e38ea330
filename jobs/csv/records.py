"""The grammar of a CSV record: RFC 4180 for any delimiter, quote and escape.

A quote opens a value at its start, leading blanks aside. After the closing quote only
blanks may follow up to the delimiter or the end of the line. A quote inside a value that
does not begin with one is an ordinary character, and in an id a slip.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from schemas.sources import SourceSettings

MAX_RECORD_BYTES = 1024 * 1024
"""The longest line or record allowed: each is held in memory whole."""

WHITE_SPACE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""The characters trimmed from a value: Unicode's White_Space, as Polars' strip_chars() has it."""


@dataclass(frozen=True)
class Dialect:
    """The special characters of a source format, and patterns for its lines. The patterns work in Polars and in
    Python. Each is made for one physical line without its end.
    """

    delimiter: str = ","
    quote: str = '"'
    """Empty where a quote is an ordinary character."""
    escape: str = ""
    """Before a quote or itself inside a quoted value; empty where a quote is only written twice."""

    @classmethod
    def of(cls, settings: SourceSettings) -> Dialect:
        """The dialect of a source format."""
        return cls(settings.delimiter, settings.quote, settings.escape)

    @cached_property
    def simple(self) -> str:
        """A whole record that Polars reads correctly: quotes enclose whole values, without blanks around them."""
        quoted = f"{self._q}[^{self._q}{self._e}]*(?:{self._q}{self._q}[^{self._q}{self._e}]*)*{self._q}"
        value = f"(?:{quoted}|[^{self._d}{self._q}]*)"
        return f"^{value}(?:{self._d}{value})*$"

    @cached_property
    def sound(self) -> str:
        """A whole record."""
        return f"^{self._value}(?:{self._d}{self._value})*$"

    @cached_property
    def opens(self) -> str:
        """A record whose last value is quoted and goes on in the next line."""
        return f"^(?:{self._value}{self._d})*{self._blanks}{self._q}{self._content}{self._e_at_end}$"

    @cached_property
    def continues(self) -> str:
        """Inside a quoted value: the value goes on in the next line."""
        return f"^{self._content}{self._e_at_end}$"

    @cached_property
    def closes(self) -> str:
        """Inside a quoted value: it ends here, and so does the record."""
        return f"^{self._content}{self._q}{self._blanks}(?:{self._d}{self._value})*$"

    @cached_property
    def reopens(self) -> str:
        """Inside a quoted value: it ends here, and another one goes on in the next line."""
        more = f"(?:{self._value}{self._d})*{self._blanks}{self._q}{self._content}{self._e_at_end}"
        return f"^{self._content}{self._q}{self._blanks}{self._d}{more}$"

    @cached_property
    def unquoted(self) -> str:
        """A whole record without a quoted value; quotes inside values are ordinary."""
        value = f"(?:{self._blanks}|{self._blanks}[^{self._d}{self._q}{self._b}][^{self._d}]*)"
        return f"^{value}(?:{self._d}{value})*$"

    @cached_property
    def padded(self) -> str:
        """A quoted value with the blanks around it: `${1}${2}` is the value without them."""
        return f"(^|{self._d}){self._blanks}({self._q}{self._content}{self._q}){self._blanks}"

    @cached_property
    def without_value(self) -> str:
        """A line of delimiters, blanks and quoted nothings."""
        empty = f"{self._blanks}(?:{self._q}{self._blanks}{self._q}{self._blanks})?" if self.quote else self._blanks
        return f"^{empty}(?:{self._d}{empty})*$"

    def split(self, record: str) -> list[str] | None:
        """The values of a record, unquoted and untrimmed; None where a quote is out of place or not closed."""
        parsed = self.parse(record)
        return None if parsed is None else parsed[0]

    def parse(self, record: str) -> tuple[list[str], set[int]] | None:
        """As `split`, and the positions of unquoted values that contain a quote."""
        if not self.quote or self.quote not in record:
            return record.split(self.delimiter), set()
        values: list[str] = []
        strays: set[int] = set()
        at = 0
        while True:
            if self._opening.match(record, at):
                quoted = self._closed.match(record, at)
                if quoted is None:
                    return None
                values.append(self._unescaped(quoted.group(1)))
                if not quoted.group(2):
                    return values, strays
                at = quoted.end()
            else:
                end = record.find(self.delimiter, at)
                value = record[at:] if end < 0 else record[at:end]
                if self.quote in value and not self._excel_text.search(value):
                    strays.add(len(values))
                values.append(value)
                if end < 0:
                    return values, strays
                at = end + 1

    def fault(self, line: str, width: int) -> str:
        """Why a line is not a record of `width` values, in a few words without any of its content."""
        values = self.split(line)
        if values is None:
            return "a quote is out of place or not closed"
        if "\0" in line:
            return "a NUL character in it: the file was damaged or not written to its end"
        if len(values) == 1 and self.delimiter in values[0]:
            return "the whole line is quoted, so it is one value"
        if len(values) != width:
            ending = ", the last empty" if len(values) > width and not values[-1].strip(WHITE_SPACE) else ""
            return f"{_counted(len(values), 'value')} under {_counted(width, 'heading')}{ending}"
        return "a quote or a line break inside a value, or two rows in one line"

    def _unescaped(self, content: str) -> str:
        if not self.escape:
            return content.replace(self.quote * 2, self.quote)
        return self._pairs.sub(lambda pair: pair.group()[1], content)

    @cached_property
    def _opening(self) -> re.Pattern[str]:
        return re.compile(self._blanks + self._q)

    @cached_property
    def _closed(self) -> re.Pattern[str]:
        return re.compile(f"{self._blanks}{self._q}({self._content}){self._q}{self._blanks}({self._d}|\\Z)")

    @cached_property
    def stray_escape(self) -> str:
        """A backslash before a quote where no escape is declared: some programs escape so, and here the quote ends an
        id."""
        return "" if self.escape or not self.quote else "\\" + self.quote

    @cached_property
    def excel_text(self) -> str:
        """Excel's way to keep a text as it is, `="0012"`: the quotes are no slip."""
        return f"^{self._blanks}={self._q}[^{self._q}]*{self._q}{self._blanks}$"

    @cached_property
    def _excel_text(self) -> re.Pattern[str]:
        return re.compile(self.excel_text)

    @cached_property
    def _pairs(self) -> re.Pattern[str]:
        return re.compile(f"{self._q}{self._q}|{self._e}[{self._q}{self._e}]")

    @cached_property
    def _d(self) -> str:
        return escaped(self.delimiter)

    @cached_property
    def _q(self) -> str:
        return escaped(self.quote)

    @cached_property
    def _e(self) -> str:
        return escaped(self.escape)

    @cached_property
    def _e_at_end(self) -> str:
        return f"{self._e}?" if self.escape else ""

    @cached_property
    def _b(self) -> str:
        return "".join(character for character in WHITE_SPACE if character not in (self.delimiter, "\n"))

    @cached_property
    def _blanks(self) -> str:
        return f"[{self._b}]*"

    @cached_property
    def _content(self) -> str:
        """The pattern of a quoted value's content, between its quotes."""
        plain = f"[^{self._q}{self._e}]*"
        pairs = f"{self._q}{self._q}"
        if self.escape:
            pairs = f"(?:{pairs}|{self._e}[{self._q}{self._e}]|{self._e}[^{self._q}{self._e}])"
        return f"{plain}(?:{pairs}{plain})*"

    @cached_property
    def _value(self) -> str:
        quoted = f"{self._blanks}{self._q}{self._content}{self._q}{self._blanks}"
        return f"(?:{quoted}|{self._blanks}(?:[^{self._d}{self._q}{self._b}][^{self._d}]*)?)"


def escaped(character: str) -> str:
    """The character escaped for a pattern, inside and outside of a class. Rust refuses a backslash that is not
    needed."""
    return "\\" + character if character and character in "\\.+*?()|[]{}^$#&-~" else character


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
