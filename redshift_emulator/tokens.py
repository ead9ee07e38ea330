"""Splits a statement into tokens, to recognise the clauses of COPY, UNLOAD and DDL that SQL parsers do not know."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
    (?P<space>  \s+ | --[^\n]* | /\*.*?\*/ )
  | (?P<string> [eE]?'(?:[^'\\]|\\.|'')*' | \$\$.*?\$\$ )
  | (?P<quoted> "(?:[^"]|"")*" )
  | (?P<bind>   \$\d+ )
  | (?P<number> \d+(?:\.\d*)?(?:[eE][+-]?\d+)? | \.\d+ )
  | (?P<word>   [^\W\d]\w* )
  | (?P<symbol> :: | <= | >= | <> | != | \|\| | . )
    """,
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """One word, literal or symbol, as written; `spaced` when a blank or comment separates it from the one before."""

    kind: str
    text: str
    spaced: bool

    @property
    def shape(self) -> str:
        """The token in normal form: literals emptied, words in capitals."""
        if self.kind == "word":
            return self.text.upper()
        if self.kind == "quoted":
            return re.sub(r"\s", "_", self.text)  # shapes are split at blanks
        return "'…'" if self.kind == "string" else self.text


@dataclass(frozen=True)
class Statement:
    """One statement as tokens; `shape` is its normal form, which patterns match."""

    tokens: tuple[Token, ...]
    shape: str

    @classmethod
    def of(cls, tokens: Iterable[Token]) -> Statement:
        """The statement made of these tokens."""
        tokens = tuple(tokens)
        return cls(tokens, " ".join(token.shape for token in tokens))

    @property
    def text(self) -> str:
        """The statement as SQL, without comments."""
        return joined(self.tokens)


def joined(tokens: Sequence[Token]) -> str:
    """Tokens as SQL text, with a blank before each spaced one."""
    return "".join((" " if token.spaced else "") + token.text for token in tokens).strip()


def statements(sql: str) -> list[Statement]:
    """The statements of a text, without empty ones."""
    complete: list[Statement] = []
    current: list[Token] = []
    spaced = False
    for match in _TOKEN.finditer(sql):
        kind, text = str(match.lastgroup), match[0]
        if kind == "space":
            spaced = True
            continue
        if text == ";":
            if current:
                complete.append(Statement.of(current))
            current = []
        else:
            current.append(Token(kind, text, spaced))
        spaced = False
    return [*complete, Statement.of(current)] if current else complete


def tokens_of(sql: str) -> list[Token]:
    """The tokens of a fragment of SQL."""
    return [token for statement in statements(sql) for token in statement.tokens]


def unquoted(literal: str) -> str:
    """The value of a string literal, with doubled quotes and backslashes resolved as in Redshift."""
    inner = literal[literal.index("'") + 1 : -1].replace("''", "'")
    return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)
