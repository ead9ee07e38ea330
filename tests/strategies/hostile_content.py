"""Texts and files chosen to break a reader, with their results by the contract.

HOSTILE_TEXTS may be in any field. BROKEN_FILES are files that break, or look broken: an entry with
`refusals` fails its load for one of those kinds, and nothing is loaded; an entry without has to be read,
and `reasons` gives the result of each of its rows.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from tests.oracle.records import LONGEST_LINE
from tests.oracle.rows import Customer, Product
from tests.oracle.text import SOURCE_COLUMNS

HEADER = ",".join(SOURCE_COLUMNS)

HOSTILE_TEXTS = (
    "",
    " ",
    "\x00",
    "T1\x00",
    "\r",
    "\n",
    "a\nb",
    "a\r\nb",
    "a\rb",
    "\n5\n",
    '"',
    '""',
    '"5"',
    'a"b',
    ",",
    ";",
    "'; DROP TABLE fact_transactions; --",
    "=1+1",
    "@SUM(A1)",
    "\\N",
    "\\",
    "NULL",
    "null",
    "None",
    "true",
    " 5 ",
    "\xa05\u3000",
    "\x1c5\x1f",
    "\u200b5",
    "\ufeff5",
    "5\x85",
    "-0",
    "+5",
    "-5",
    "0",
    "00",
    "0005",
    "5.0",
    "5.",
    "1e3",
    "1_000",
    "1,299.00",
    "0x10",
    "NaN",
    "inf",
    "-Infinity",
    "\u0663",
    "\uff15",
    "\u00b2",
    "2147483647",
    "2147483648",
    "00000000000002147483647",
    "9223372036854775808",
    "1" + "0" * 400,
    "9" * 5000,
    "45000",
    "45000.5",
    "3/15/2023",
    "15.03.2023",
    "20230315",
    "2023-3-15",
    "2023-03-15T",
    "2023-03-15 ",
    "2023-03-15  10:00",
    "2023-03-15t10:00z",
    "2023-03-15Z",
    "2023-03-15T10",
    "2023-03-15T10:00:00.",
    "2023-03-15T10:00:00.1234567",
    "2023-03-15T10:00:00,5",
    "2023-03-15T10:00 Z",
    "2023-03-15T10:00+0100",
    "2023-03-15T10:00+01",
    "2023-03-15T10:00+24:00",
    "2023-03-15T10:00+01:60",
    "2023-03-15T24:00:00",
    "2023-03-14T23:59:60Z",
    "2023-03-15T10:60",
    "2020-02-29",
    "2023-02-29",
    "2000-02-29T00:00-00:00",
    "1900-02-29",
    "0000-01-01",
    "0001-01-01",
    "0001-01-01T00:00+00:01",
    "1582-10-10",
    "1969-12-31T23:59:59.999999Z",
    "9999-12-31",
    "9999-12-31T23:59:59.999999-00:01",
    "\u0662\u0660\u0662\u0663-\u0660\u0663-\u0661\u0665",
    "2023\u201303\u201315",
    "refunded\u0130",
    "\u017fhipped",
    "SHIPPED\u200b",
    "COMPLETED ",
    "p\u0435nding",
    "x" * 64,
    "x" * 65,
    "\U0001f600" * 16,
    "\U0001f600" * 17,
    " " * 100 + "T1" + " " * 100,
    "e\u0301",
    "\u202eT1",
    "\U0010ffff",
    "\x7f\x1b[31m",
)


@dataclass(frozen=True)
class HostileFile:
    """Bytes that break the contract, or look as if they did."""

    name: str
    content: bytes
    gz: bool = False
    refusals: frozenset[str] = frozenset()
    """Of a named file: every kind of refusal that is due (oracle.files.REFUSALS), none if it has to be read."""
    reasons: tuple[tuple[str, ...], ...] = ()
    """Of a file that has to be read: per row its reject reasons, () for an accepted one, validated with
    SOUND_PRODUCTS and SOUND_CUSTOMERS as a drop of SOUND_DAY."""

    def __repr__(self) -> str:
        shown = self.content if len(self.content) <= 2000 else self.content[:200] + b" and so on"
        return f"HostileFile({self.name!r}, {shown!r}, gz={self.gz})"


SOUND_DAY = date(2023, 3, 15)
SOUND_PRODUCTS: Mapping[str, Product] = {
    "P12345": Product("P12345", "Widget A", "Gadgets", Decimal("29.99"), "S123"),
    "P0": Product("P0", "Widget B", "Gadgets", Decimal("0.1"), "S123"),
}
SOUND_CUSTOMERS: Mapping[str, Customer] = {
    "C12345": Customer("C12345", "John", "Doe", "john.doe@example.com", "Gold"),
    "C0": Customer("C0", "Jane", "Doe", "jane.doe@example.com", "Silver"),
}
SOUND_LINE = "T1,C12345,P12345,2,2023-03-15,Completed"
"""Accepted with the dimensions above in a drop of SOUND_DAY."""


def _broken(name: str, text: str | bytes, *refusals: str, gz: bool = False) -> HostileFile:
    content = text.encode("utf-8") if isinstance(text, str) else text
    return HostileFile(name=name, content=content, gz=gz, refusals=frozenset(refusals))


def _odd(name: str, text: str, *reasons: tuple[str, ...]) -> HostileFile:
    return HostileFile(name=name, content=text.encode("utf-8"), reasons=reasons)


_SOUND = f"{HEADER}\n{SOUND_LINE}\n"
_MALFORMED = ("malformed_row",)
_APOSTROPHE = "'"
_WIDE = LONGEST_LINE - len(SOUND_LINE) - 1

BROKEN_FILES = (
    _broken("zero bytes", b"", "empty_file"),
    _broken("zero bytes, named as zipped", b"", "empty_file", gz=True),
    _broken("zero bytes, zipped", gzip.compress(b"", mtime=0), "empty_file", gz=True),
    _broken("a byte order mark alone", b"\xef\xbb\xbf", "empty_file"),
    _broken("blank lines alone", "\n\r\n\n", "empty_file"),
    _broken("rows of delimiters alone", ",,,,,\n,,,,,\n", "empty_file"),
    _odd("header only", HEADER),
    _odd("header only, with line ends", HEADER + "\r\n\r\n"),
    _odd("a blank line above the header", "\n ,,\r\n" + _SOUND, ()),
    _broken("lines above the header", '"Orders, all of them"\n\n' + _SOUND, "missing_column"),
    _broken("no header", SOUND_LINE + "\n", "missing_column"),
    _broken("missing column", _SOUND.replace(",status", ""), "missing_column"),
    _broken("column written twice", _SOUND.replace(HEADER, HEADER + ", STATUS "), "duplicate_column"),
    _broken("column in two spellings", _SOUND.replace(HEADER, HEADER + ",Customer ID"), "duplicate_column"),
    _odd("ignored column written twice", f"{HEADER},note,Note\n{SOUND_LINE},a,b\n", ()),
    _odd(
        "headings in another spelling",
        _SOUND.replace(HEADER, "Transaction ID,CustomerId,product-id,QUANTITY,Transaction Date #, Status"),
        (),
    ),
    _broken("semicolons", _SOUND.replace(",", ";"), "other_delimiter", "missing_column"),
    _broken("tabs", _SOUND.replace(",", "\t"), "other_delimiter", "missing_column"),
    _broken("misplaced quote in the header", _SOUND.replace("status", 'status,"no"te'), "malformed_header"),
    _broken("unclosed quote in the header", '"' + _SOUND, "malformed_header"),
    _odd(
        "unclosed quote", f'{HEADER}\n{SOUND_LINE}\n"T2,C0,P0,1,2023-03-15,pending\n{SOUND_LINE}\n', (), _MALFORMED, ()
    ),
    _odd("unclosed quote at the end", _SOUND + 'T2,C0,P0,1,2023-03-15,"', (), _MALFORMED),
    _odd("a heading of two lines", f'{HEADER},"a\nnote"\n{SOUND_LINE},x\n', ()),
    _broken("a heading that hides a row", f'{HEADER},"note\n{SOUND_LINE},x\n{SOUND_LINE},"\n', "malformed_header"),
    _broken("latin-1", _SOUND.replace("T1", "T\xe9").encode("latin-1"), "not_utf8"),
    _broken("a surrogate in bytes", _SOUND.encode() + b"\xed\xa0\x80,C0,P0,1,2023-03-15,pending\n", "not_utf8"),
    _broken("half a character at the end", _SOUND.encode() + b"\xf0\x9f\x98", "not_utf8"),
    HostileFile("UTF-16", _SOUND.encode("utf-16"), reasons=((),)),
    HostileFile("UTF-16 without its mark", _SOUND.encode("utf-16-le"), reasons=((),)),
    HostileFile("UTF-16 without its mark, big end first", _SOUND.encode("utf-16-be"), reasons=((),)),
    HostileFile("UTF-16, big end first", b"\xfe\xff" + _SOUND.encode("utf-16-be"), reasons=((),)),
    HostileFile("Excel's Unicode text", _SOUND.replace(",", "\t").encode("utf-16"), reasons=((),)),
    _broken("a workbook", b"PK\x03\x04" + bytes(30) + b"[Content_Types].xml" + bytes(100), "other_format"),
    _broken("JSON", '[{"transaction_id": "T1"}]', "other_format"),
    _broken("a web page", "\n<!DOCTYPE html><html></html>", "other_format"),
    _broken("a PDF", b"%PDF-1.7\n", "other_format"),
    _broken("carriage return in the header", "\r" + _SOUND[1:], "missing_column"),
    _broken("no comma at all", "hello\nworld\n", "missing_column"),
    _odd("two byte order marks", "\ufeff\ufeff" + _SOUND, ()),
    HostileFile("zipped, but named as plain", gzip.compress(_SOUND.encode(), mtime=0), reasons=((),)),
    HostileFile(
        "zipped twice", gzip.compress(gzip.compress(_SOUND.encode(), mtime=0), mtime=0), gz=True, reasons=((),)
    ),
    HostileFile("plain, but named as zipped", _SOUND.encode(), gz=True, reasons=((),)),
    _broken("half a gzip", gzip.compress(_SOUND.encode(), mtime=0)[:-9], "broken_gzip", gz=True),
    _broken("a line too long", f"{HEADER},note\n{SOUND_LINE},{'x' * (_WIDE + 1)}\n", "line_too_long"),
    _broken("a last line too long", f"{HEADER},note\n{SOUND_LINE},{'x' * (_WIDE + 1)}", "line_too_long"),
    _broken(
        "a long line of few characters",
        f"{HEADER},note\n{SOUND_LINE},{'é' * (_WIDE // 2 + 1)}\n",
        "line_too_long",
    ),
    _odd("the longest line", f"{HEADER},note\r\n{SOUND_LINE},{'x' * (_WIDE - 1)}\r\n", ()),
    _broken("the longest line and one more", f"{HEADER},note\r\n{SOUND_LINE},{'x' * _WIDE}\r\n", "line_too_long"),
    _odd("a long field of short lines", f'{HEADER},note\n{SOUND_LINE},"{(("x" * 999) + chr(10)) * 1000}"\n', ()),
    _odd("short row", f"{HEADER}\nT1,C0,P0\n{SOUND_LINE}\n", _MALFORMED, ()),
    _odd("long row", f"{HEADER}\n{SOUND_LINE},\n{SOUND_LINE}\n", _MALFORMED, ()),
    _odd("every row too long by nothing", f"{HEADER}\n{SOUND_LINE},\n,,,\n{SOUND_LINE}, \n", (), ()),
    _odd("every sound row too long by nothing", f"{HEADER}\n{SOUND_LINE},\nT1,\n{SOUND_LINE},\n", (), _MALFORMED, ()),
    _odd("every row too long by something", f"{HEADER}\n{SOUND_LINE},\n{SOUND_LINE},x\n", _MALFORMED, _MALFORMED),
    _odd(
        "a short row and a long one, together of the right length",
        f"{HEADER}\n{SOUND_LINE.rpartition(',')[0]}\n{SOUND_LINE},\n{SOUND_LINE}\n",
        _MALFORMED,
        _MALFORMED,
        (),
    ),
    _broken("header written a second time", f"{HEADER}\n{SOUND_LINE}\n{HEADER}\n", "second_header"),
    _broken(
        "header written a second time in another dress",
        f'{HEADER}\n" Transaction_ID",{HEADER.upper().partition(",")[2]}\n',
        "second_header",
    ),
    _broken(
        "header written a second time in another order",
        f"{HEADER},note\n{SOUND_LINE},x\nnote,{HEADER}\nx,{SOUND_LINE}\n",
        "second_header",
    ),
    _broken("header written a second time with a column too many", f"{HEADER}\n{HEADER},note\n", "second_header"),
    _odd(
        "most of a header written a second time",
        f"{HEADER}\n{HEADER.replace('status', 'shipped')}\n",
        ("unknown_customer", "unknown_product", "invalid_quantity", "invalid_transaction_date"),
    ),
    _odd("three commas behind every row", f"{HEADER}\n{SOUND_LINE},,,\n{SOUND_LINE},, ,\n", (), ()),
    _odd("a comma behind the header alone", f"{HEADER},\n{SOUND_LINE}\n{SOUND_LINE}\n", (), ()),
    _odd("a comma behind the header and one row", f"{HEADER},\n{SOUND_LINE}\n{SOUND_LINE},\n", _MALFORMED, ()),
    _odd("two commas behind one row, one behind another", f"{HEADER}\n{SOUND_LINE},,\n{SOUND_LINE},\n", (), _MALFORMED),
    _odd("Excel's line saved once more", f"sep=;;;;;\n{HEADER}\n{SOUND_LINE}\n".replace(",", ";"), ()),
    _odd("Excel's trailing commas", f"{HEADER},,\n{SOUND_LINE},,\n{SOUND_LINE},\n", (), _MALFORMED),
    _odd(
        "a rejected file corrected and dropped again",
        f"note,{HEADER},source_line,reject_reasons,source_text\n"
        f"'=1+1,'@1{SOUND_LINE[2:]},2,unknown_customer,\n"
        f"'=1+1,'\t{SOUND_LINE},3,unknown_customer,\n"
        f"'=1+1,'{SOUND_LINE},4,unknown_customer,\n"
        f"n,{SOUND_LINE},5\n"
        f"n,{SOUND_LINE.replace(',2,', f',{_APOSTROPHE}+2,')},6,invalid_quantity,\n",
        (),
        (),
        (),
        _MALFORMED,
        ("invalid_quantity",),
    ),
    _odd(
        "a rejected file with a lone CR at the start of a value",
        f"{HEADER},source_line,reject_reasons,source_text\n'\r{SOUND_LINE},2,unknown_customer,\n",
        (),
    ),
    _odd(
        "apostrophes in a file that is no rejected file",
        f"{HEADER},source_line\n{SOUND_LINE.replace(',2,', f',{_APOSTROPHE}-2,')},1\n'-1{SOUND_LINE[2:]},2\n",
        ("invalid_quantity",),
        (),
    ),
    _odd("byte order mark", "\ufeff" + _SOUND, ()),
    _odd("byte order mark and quotes", '\ufeff"transaction_id"' + _SOUND[len("transaction_id") :], ()),
    _odd("a byte order mark in the first value", f"{HEADER}\n\ufeff{SOUND_LINE}\n\n\ufeff{SOUND_LINE}\n", (), ()),
    _odd("a byte order mark in the first line, malformed", f"{HEADER}\n\ufeffT1,C0\n{SOUND_LINE}\n", _MALFORMED, ()),
    _odd("CRLF", _SOUND.replace("\n", "\r\n"), ()),
    _odd("no line end at the end", _SOUND[:-1], ()),
    _odd("trailing blank lines", _SOUND + "\n\r\n\n", ()),
    _odd("a line of spaces", _SOUND + "  \n", ()),
    _odd("a line of one quoted nothing", _SOUND + '""\n', ()),
    _odd("rows without a value", _SOUND + ',,,,,\n" ","",,\n\xa0,\u3000,,,,\n,,,,,,,,,\n' + SOUND_LINE, (), ()),
    _odd("a line of a lone quote", _SOUND + '"\n', (), _MALFORMED),
    _odd("a line of a lone CR", _SOUND + "\r\r\n", ()),
    _odd("DOS's end of file", _SOUND + "\x1a", ()),
    _odd("DOS's end of file behind the last value", _SOUND[:-1] + "\x1a\r\n", ()),
    _odd("DOS's end of file in the middle", f"{HEADER}\n\x1a\n{SOUND_LINE}\n", _MALFORMED, ()),
    _odd("Excel's separator line above the header", "sep=,\r\n" + _SOUND, ()),
    _odd("Excel's separator line with another separator", '"sep=;"\n' + _SOUND.replace(",", ";"), ()),
    _odd("a last line that ends with a lone CR", f"{HEADER}\n{SOUND_LINE}\r", ()),
    _odd("a malformed last line that ends with a lone CR", f"{HEADER}\n{SOUND_LINE}\nT1,C0\r", (), _MALFORMED),
    _odd("a header alone that ends with a lone CR", HEADER + "\r"),
    _broken("a lone CR alone", "\r", "empty_file"),
    _odd("lone CR for all line ends", f"{HEADER}\r{SOUND_LINE}\r\r{SOUND_LINE}", (), ()),
    _odd("lone CR for line ends", f"{HEADER}\n{SOUND_LINE}\r{SOUND_LINE}\n", _MALFORMED),
    _odd("lone CR inside a value", _SOUND.replace("T1", "T\r1"), _MALFORMED),
    _odd("lone CR beside a value", _SOUND.replace("T1", "\rT1\r"), ()),
    _odd("quoted line break inside a value", _SOUND.replace("T1", '"T\n1"'), _MALFORMED, _MALFORMED),
    _odd("quoted line break beside a value", _SOUND.replace("T1", '"\nT1\r\n"'), *[_MALFORMED] * 3),
    _odd("quoted line break in an ignored column", f'note,{HEADER}\n"a\r\nb\n",{SOUND_LINE}\n', ()),
    _odd("quoted line breaks in two ignored columns", f'note,{HEADER},x\n"a\nb",{SOUND_LINE},"c\n\nd"\n', ()),
    _odd(
        "two slips of a quote with rows between them",
        f'{HEADER},note\n{SOUND_LINE},"vinyl 12\\""\n{SOUND_LINE},a\n{SOUND_LINE},"vinyl 7\\""\n{SOUND_LINE},b\n',
        _MALFORMED,
        (),
        _MALFORMED,
        (),
    ),
    _broken(
        "two slips of a quote that close each other round a row",
        f'{HEADER},note\n{SOUND_LINE},"a\n{SOUND_LINE},b\n{SOUND_LINE},"\n',
        "hidden_row",
    ),
    _broken(
        "two slips of a quote in neighbouring rows",
        f'{HEADER},note\n{SOUND_LINE},"a\n{SOUND_LINE},"\n',
        "hidden_row",
    ),
    _broken("a slip in the first column", f'note,{HEADER}\n"a,{SOUND_LINE}\nb",{SOUND_LINE}\n', "hidden_row"),
    _odd("a line break that is not closed soundly", f'{HEADER},note\n{SOUND_LINE},"a\nb"x\n', _MALFORMED, _MALFORMED),
    _odd(
        "two rows in one line, the second inside a value of the first",
        f'{HEADER},note\n{SOUND_LINE},"a{SOUND_LINE},b"\n{SOUND_LINE},"a, b, c, d, e, f, g"\n',
        _MALFORMED,
        (),
    ),
    _odd("NUL inside a value", _SOUND.replace("T1", "T\x001"), _MALFORMED),
    _odd("NUL inside a quoted value", _SOUND.replace("T1", '"T\x001"'), _MALFORMED),
    _odd("NUL in an ignored column", f"note,{HEADER}\n\x00,{SOUND_LINE}\n", ()),
    _odd("embedded quotes", _SOUND.replace("T1", '"T""1"'), ()),
    _odd("quote inside an unquoted value", _SOUND.replace("T1", 'T"1"'), _MALFORMED),
    _odd("a backslash before a closing quote", _SOUND.replace("T1", '"T1\\"'), _MALFORMED),
    _odd("a backslash at the end of an id", _SOUND.replace("T1", "T1\\"), ()),
    _odd("Excel's way to keep an id as it is", _SOUND.replace("T1", ' ="0012"'), ()),
    _odd("quote inside an unquoted value of an ignored column", f'note,{HEADER}\n27" wide,{SOUND_LINE}\n', ()),
    _odd(
        "quote inside an unquoted value beside a quoted one",
        f'{HEADER}\n"T1",C12345,P1"2345,2,2023-03-15,Completed\n',
        _MALFORMED,
    ),
    _odd(
        "a lost quote ahead of an id", f'{HEADER},note\nT1",C12345,P12345,2,2023-03-15,Completed,"a, b"\n', _MALFORMED
    ),
    _odd("space ahead of a quote", _SOUND.replace("T1", ' "T1"'), ()),
    _odd("a tab ahead of a quote and a comma inside", f'note,{HEADER}\n\t"a, b",{SOUND_LINE}\n', ()),
    _odd("blanks and text ahead of quotes", f'note,{HEADER},x\n "a ""b"",",{SOUND_LINE},27" wide\n', ()),
    _odd("a last value in quotes, cut inside its CRLF", _SOUND.replace("Completed\n", '"Completed"\r'), ()),
    _odd("text behind a closing quote", f'{HEADER}\n"T1"x,C0,P0\n{SOUND_LINE}\n', _MALFORMED, ()),
    _odd("space behind a closing quote", f'{HEADER}\n"T1" {SOUND_LINE[2:]}\n{SOUND_LINE}\n', (), ()),
    _odd("text behind a quoted line break", f'{HEADER}\n"T\n1"x,"C0\n{SOUND_LINE}\n', _MALFORMED, _MALFORMED, ()),
    _odd("Excel's separator line", f"{HEADER}\nsep=,\n{SOUND_LINE}\n", _MALFORMED, ()),
)
"""Every way a file has been seen to break, or to look broken, with what is due."""
