"""Redacting a file leaves nothing of the person. All values that are loaded stay the same, line by line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.forget.person import Person
from cli.forget.redaction import FileKind, redact
from jobs.errors import FileRefused
from schemas.drops import CUSTOMERS, PRODUCTS, TRANSACTIONS
from schemas.sources import SourceSettings
from tests.oracle.files import read_file
from tests.oracle.text import Refused

ADDRESS = "Ada.Lovelace@example.com"
ADA = Person("C1", frozenset({ADDRESS}))
SALES = FileKind(TRANSACTIONS)
HEADER = "transaction_id,customer_id,product_id,quantity,transaction_date,status,e-mail,note\n"


def without(folder: Path, content: bytes, kind: FileKind = SALES, person: Person = ADA) -> tuple[bytes, int]:
    """The content without the person, and the number of changed rows."""
    source, target = folder / "source", folder / "target"
    source.write_bytes(content)
    target.unlink(missing_ok=True)
    rows = redact(source, target, kind, person)
    assert target.exists() == bool(rows)
    return (target.read_bytes() if rows else content), rows


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("T1,C1,P1,1,2023-03-01,paid,ada@home.example,for Ada\n", "T1,C1,P1,1,2023-03-01,paid,,\n"),
        ("T1, C1 ,P1,1,2023-03-01,paid,x,y\r\n", "T1, C1 ,P1,1,2023-03-01,paid,,\r\n"),
        ('"T1","C1","P,1","1",d,paid,"x, y",""\n', 'T1,C1,"P,1",1,d,paid,,\n'),
        ("T1,C1,P1,1,d,paid,,\n", None),
        ("T1,C12,P1,1,d,paid,x,C1\n", None),
        (f"T1,C2,P1,1,d,paid,{ADDRESS.lower()},mine\n", "T1,C2,P1,1,d,paid,,mine\n"),
        (f"T1,,P1,1,d,paid,{ADDRESS},for Ada\n", "T1,,P1,1,d,paid,,\n"),
        (f"T1,C2,P1,1,d,paid,x{ADDRESS},{ADDRESS}.au\n", None),
        (f"T1,C2,P1,1,d,{ADDRESS},x,y\n", "T1,C2,P1,1,d,forgotten,x,y\n"),
        (f"{ADDRESS},C2,P1,1,d,paid,x,y\n", None),
        ("T1,C1,P1,1,d,paid,Ada\n", "forgotten\n"),
        (f"T1,C2,P1,1,d,paid,{ADDRESS}\n", "forgotten\n"),
        ('T1,C1,P1,1,d,paid,"Ada" x,y\n', "forgotten\n"),
        ('T1,C1,P1,1,d,paid,x,"of\nAda\n"\n', 'T1,C1,P1,1,d,paid,,"\n\n"\n'),
        (f'T1,C2,P1,1,d,paid,x,"of\n{ADDRESS}"\n', 'T1,C2,P1,1,d,paid,x,"\n"\n'),
    ],
)
def test_a_row_shows_a_person_by_id_or_by_address(tmp_path: Path, row: str, expected: str | None) -> None:
    before = HEADER + "T0,C0,P0,1,d,paid,zero@example.com,kept\n"
    after = "T9,C9,P9,1,d,paid,nine@example.com,kept"
    content_left, rows = without(tmp_path, (before + row + after).encode())
    assert content_left.decode() == before + (expected or row) + after
    assert rows == (expected is not None)


values = st.one_of(
    st.sampled_from(("", "x", ADDRESS, f"mail {ADDRESS.upper()}", "C1", "of\nAda", 'a "quoted" word', "a, b", " b ")),
    st.text("abc,\"\n'@. ", max_size=6),
)


def quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


records = st.one_of(
    st.builds(
        "T{},{},P{},1,2023-03-01,paid,{},{}".format,
        st.integers(0, 9),
        st.sampled_from(("C1", " C1", "C2", "C11", "")),
        st.integers(0, 3),
        values.map(quoted),
        values.map(quoted),
    ),
    st.builds("T{},C1,{}".format, st.integers(0, 9), st.sampled_from((ADDRESS, 'x"y', '"x', "Ada"))),
    st.sampled_from(('T1,C1,P1,1,d,paid,"open,x', f'T1,C2,P1,1,d,paid,{ADDRESS},"x" y', ",,,,,,,", "")),
)


@given(lines=st.lists(records, max_size=8), end=st.sampled_from(("\n", "\r\n")), is_packed=st.booleans())
def test_what_is_loaded_of_a_file_is_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], end: str, is_packed: bool
) -> None:
    content = (HEADER + "T0,C0,P0,1,d,paid,,\n" + "".join(f"{line}\n" for line in lines)).replace("\n", end).encode()
    before = _rows(content)
    if before is None:
        return
    content_left, _ = without(tmp_path_factory.mktemp("file"), gzip.compress(content) if is_packed else content)
    assert is_packed == content_left.startswith(b"\x1f\x8b")
    content_left = gzip.decompress(content_left) if is_packed else content_left
    assert _rows(content_left) == before
    text = content_left.decode()
    assert ADDRESS.lower() not in text.lower()
    assert all("Ada" not in row.text for row in read_file(content_left).rows if row.values.get("customer_id") == "C1")


def _rows(content: bytes) -> list[tuple[int, dict[str, str]]] | None:
    """Line and values of each row; a malformed row has no values. None for a file that is refused as a whole."""
    try:
        return [(row.source_line, dict(row.values)) for row in read_file(content).rows]
    except Refused:
        return None


def test_names_and_address_leave_a_file_of_customers(tmp_path: Path) -> None:
    content = (
        "customer_id,first_name,last_name,email,membership_level,phone\n"
        f'C0,Bob,Byron,bob@example.com,Gold,1\nC1,Ada,"Love\nlace",{ADDRESS},Silver,2\nC2,Ada,King,{ADDRESS},Gold,3\n'
    )
    content_left, rows = without(tmp_path, content.encode(), FileKind(CUSTOMERS))
    assert content_left.decode().splitlines()[1:] == [
        "C0,Bob,Byron,bob@example.com,Gold,1",
        'C1,,"',
        '",,Silver,',
        "C2,Ada,King,,Gold,3",
    ]
    assert rows == 2


def test_a_file_that_cannot_be_read_loses_the_lines_of_the_person(tmp_path: Path) -> None:
    content = f"id;name\nC0;Bob\nC1;Ada\n7;{ADDRESS}\nG\xf6;C12\n".encode("latin-1")
    content_left, _ = without(tmp_path, content, FileKind(CUSTOMERS))
    assert content_left == "id;name\nC0;Bob\nforgotten\nforgotten\nG\xf6;C12\n".encode("latin-1")


def test_a_sale_that_cannot_be_read_now_keeps_its_columns(tmp_path: Path) -> None:
    """Other settings may be able to read the file. They must then find the same sale."""
    content_left, _ = without(tmp_path, f"order;customer;mail\n1;C1;{ADDRESS}\n2;C2;x\n".encode())
    assert content_left == b"order;customer;mail\n1;C1;forgotten\n2;C2;x\n"


def test_a_file_of_products_has_no_owner(tmp_path: Path) -> None:
    content = f"product_id,product_name,category,price,supplier_id,buyer\nP1,Tea,C1,1,S,{ADDRESS}\nP2,Tea,x,1,S,Bob\n"
    content_left, rows = without(tmp_path, content.encode(), FileKind(PRODUCTS))
    assert content_left.decode().splitlines()[1:] == ["P1,Tea,C1,1,S,", "P2,Tea,x,1,S,Bob"]
    assert rows == 1


def test_a_rejected_file_keeps_its_lines_and_reasons(tmp_path: Path) -> None:
    content = (
        HEADER.rstrip("\n") + ",source_line,reject_reasons,source_text\n"
        "T1,C1,P1,none,d,paid,x,Ada,2,invalid_quantity,\n"
        ',,,,,,,,3,malformed_row,"T2,C1,Ada"\n'
        ",,,,,,,,4,malformed_row,T3\n"
    )
    content_left, rows = without(tmp_path, content.encode())
    assert content_left.decode().splitlines()[1:] == [
        "T1,C1,P1,none,d,paid,,,2,invalid_quantity,",
        ",,,,,,,,3,malformed_row,",
        ",,,,,,,,4,malformed_row,T3",
    ]
    assert rows == 2


def test_settings_and_encoding_of_the_source_are_used(tmp_path: Path) -> None:
    settings = SourceSettings.parse(
        {"name": "shop", "delimiter": ";", "encoding": "cp1252", "fill_down": ["Kunde"], "columns": {
            "transaction_id": ["Nr", "<line>"], "customer_id": "Kunde", "product_id": "Artikel", "quantity": "Menge",
            "transaction_date": "Datum", "status": "Status"}}
    )  # fmt: skip
    content = (
        "Nr;Kunde;Artikel;Menge;Datum;Status;Gruß\n1;C1;P1;1;d;paid;für Ada\n1;;P2;1;d;paid;Ada\n2;C2;P1;1;d;paid;ß\n"
    )
    content_left, rows = without(tmp_path, content.encode("cp1252"), FileKind(TRANSACTIONS, settings))
    assert content_left.decode("cp1252").splitlines()[1:] == [
        "1;C1;P1;1;d;paid;",
        "1;;P2;1;d;paid;",
        "2;C2;P1;1;d;paid;ß",
    ]
    assert rows == 2


def test_a_torn_gzip_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="is not a whole gzip file"):
        without(tmp_path, gzip.compress(b"customer_id\nC1\n" * 99)[:-9])


def test_a_rejected_file_that_cannot_be_read_loses_the_lines(tmp_path: Path) -> None:
    kind = FileKind(TRANSACTIONS, is_loaded_again=False)
    content_left, _ = without(tmp_path, b"order;customer;name\n1;C1;Ada\n2;C2;x\n", kind)
    assert content_left == b"order;customer;name\nforgotten\n2;C2;x\n"
