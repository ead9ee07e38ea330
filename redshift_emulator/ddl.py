"""Translates Redshift's DDL for PostgreSQL: no distribution or sort keys, no enforced keys, Redshift's types."""

from __future__ import annotations

import re
from collections.abc import Iterator

from redshift_emulator.errors import BYTE_LIMIT
from redshift_emulator.tokens import Statement, Token, joined, tokens_of

_KEY = r"(?:CONSTRAINT \S+ )?(?:PRIMARY KEY|UNIQUE|FOREIGN KEY)"
# the longest first, because one attribute's pattern must not match the beginning of another
_COLUMN_ATTRIBUTES = re.compile(
    r" (?:ENCODE \w+|DISTKEY|SORTKEY|UNIQUE|REFERENCES \S+(?: \. \S+)?(?: \( [^()]* \))?)(?= |$)"
)
_TABLE_ATTRIBUTES = re.compile(
    r"(?:DISTSTYLE \w+|DISTKEY \( [^()]* \)|(?:COMPOUND |INTERLEAVED )?SORTKEY (?:\( [^()]* \)|AUTO)"
    r"|BACKUP (?:YES|NO)|ENCODE AUTO)(?: |$)"
)
_TEXT = re.compile(r"(?:TEXT|VARCHAR|NVARCHAR|CHARACTER VARYING|BPCHAR)(?: \( (\w+) \))?(?= |$)")
_BARE_DECIMAL = re.compile(r"(?:DECIMAL|NUMERIC)(?! \()(?= |$)")


def create_table_for_postgresql(statement: Statement) -> Statement:
    """The CREATE TABLE with which PostgreSQL behaves as Redshift does."""
    opening = next((i for i, token in enumerate(statement.tokens) if token.text == "("), len(statement.tokens))
    head = statement.tokens[:opening]
    named_columns = opening < len(statement.tokens) and not any(t.shape in ("AS", "DISTKEY", "SORTKEY") for t in head)
    if not named_columns:
        return _without_table_attributes(statement.tokens)
    elements, rest = _elements(statement.tokens[opening:])
    keys = {name for element in elements for name in _primary_key_columns(element)}
    columns = [text for element in elements if (text := _element(element, keys)) is not None]
    body = tokens_of("(" + ", ".join(columns) + ")")
    return Statement.of([*head, *body, *_without_table_attributes(rest).tokens])


def alter_table_for_postgresql(statement: Statement) -> Statement:
    """The ALTER TABLE for PostgreSQL; it changes nothing where Redshift's is about keys or distribution."""
    table = re.match(r"ALTER TABLE \S+(?: \. \S+)?", statement.shape)
    assert table is not None
    length = len(table[0].split(" "))
    action = Statement.of(statement.tokens[length:])
    if re.match(
        rf"ADD {_KEY}|ALTER (?:DISTKEY|DISTSTYLE|(?:COMPOUND )?SORTKEY|ENCODE)|ALTER COLUMN \S+ ENCODE", action.shape
    ):
        return Statement.of([*statement.tokens[:length], *_spaced("RESET (fillfactor)")])
    added = re.match(r"ADD (?:COLUMN )?", action.shape)
    if added and not action.shape.startswith("ADD CONSTRAINT"):
        words = len(added[0].split())
        column = _column(action.tokens[words:], set())
        return Statement.of([*statement.tokens[:length], *_spaced(f"ADD COLUMN {column}")])
    return statement


def _elements(tokens: tuple[Token, ...]) -> tuple[list[tuple[Token, ...]], tuple[Token, ...]]:
    """The elements inside the outer brackets, split at commas, and the tokens after the brackets."""
    elements: list[tuple[Token, ...]] = []
    current: list[Token] = []
    depth = 0
    for position, token in enumerate(tokens):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0:
            return [*elements, tuple(current)], tokens[position + 1 :]
        if depth == 1 and token.text == ",":
            elements.append(tuple(current))
            current = []
        elif position:
            current.append(token)
    return [*elements, tuple(current)], ()


def _primary_key_columns(element: tuple[Token, ...]) -> Iterator[str]:
    shape = Statement.of(element).shape
    if re.match(r"(?:CONSTRAINT \S+ )?PRIMARY KEY \(", shape):
        inside = shape[shape.index("(") + 1 : shape.index(")")]
        yield from (name.strip().upper() for name in inside.split(","))


def _element(element: tuple[Token, ...], keys: set[str]) -> str | None:
    shape = Statement.of(element).shape
    if re.match(rf"{_KEY}\b", shape):
        return None
    if shape.startswith("LIKE "):
        return joined(element) + " INCLUDING CONSTRAINTS"
    return _column(element, keys)


def _column(element: tuple[Token, ...] | list[Token], keys: set[str]) -> str:
    """A column definition with type, NOT NULL and default, but without keys and encodings."""
    name, attributes = element[0], list(element[1:])
    attributes = _cut(attributes, _COLUMN_ATTRIBUTES)
    shape = Statement.of(attributes).shape
    primary = re.search(r" ?\bPRIMARY KEY\b", shape)
    if primary:
        attributes = _cut(attributes, re.compile(r" PRIMARY KEY(?= |$)"))
        shape = Statement.of(attributes).shape
    not_null = " NOT NULL" if (primary or name.shape.upper() in keys) and "NOT NULL" not in shape else ""
    text = _TEXT.match(shape)
    if text:
        limit = {None: "256", "MAX": "65535"}.get(text[1], text[1])
        plain = name.text.strip('"').lower()
        constraint = f'"{BYTE_LIMIT}{limit}_{plain}"'
        rest = joined(attributes[len(text[0].split(" ")) :])
        check = f"CONSTRAINT {constraint} CHECK (octet_length({name.text}) <= {limit})"
        return f"{name.text} VARCHAR({limit}) {rest}{not_null} {check}"
    if _BARE_DECIMAL.match(shape):
        return f"{name.text} DECIMAL(18,0) {joined(attributes[1:])}{not_null}"
    return f"{name.text} {joined(attributes)}{not_null}"


def _cut(tokens: list[Token], noise: re.Pattern[str]) -> list[Token]:
    """The tokens without those that `noise` matches."""
    while match := noise.search(Statement.of(tokens).shape):
        first = len(Statement.of(tokens).shape[: match.start()].split(" "))
        tokens = tokens[:first] + tokens[first + len(match[0].split()) :]
    return tokens


def _without_table_attributes(tokens: tuple[Token, ...]) -> Statement:
    """The tokens without the table attributes before an AS."""
    kept: list[Token] = []
    position = 0
    while position < len(tokens):
        if tokens[position].shape == "AS":
            return Statement.of([*kept, *tokens[position:]])
        noise = _TABLE_ATTRIBUTES.match(Statement.of(tokens[position : position + 60]).shape)
        if noise:
            position += len(noise[0].split())
        else:
            kept.append(tokens[position])
            position += 1
    return Statement.of(kept)


def _spaced(sql: str) -> list[Token]:
    return [Token(token.kind, token.text, True) for token in tokens_of(sql)]
