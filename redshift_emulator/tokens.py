"""A statement cut into words: enough to recognise COPY, UNLOAD and DDL clauses, which no SQL parser knows whole."""

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
    """One word, literal or symbol, as written; `spaced` when something stood between it and the one before."""

    kind: str
    text: str
    spaced: bool

    @property
    def shape(self) -> str:
        """The token without what a person may choose freely: literals emptied, words in capitals."""
        if self.kind == "word":
            return self.text.upper()
        if self.kind == "quoted":
            return re.sub(r"\s", "_", self.text)  # a shape is cut at its blanks
        return "'…'" if self.kind == "string" else self.text


@dataclass(frozen=True)
class Statement:
    """One statement as tokens; `shape` is its text normalised for recognising."""

    tokens: tuple[Token, ...]
    shape: str

    @classmethod
    def of(cls, tokens: Iterable[Token]) -> Statement:
        """The statement made of these tokens."""
        tokens = tuple(tokens)
        return cls(tokens, " ".join(token.shape for token in tokens))

    @property
    def text(self) -> str:
        """The statement as SQL, comments dropped."""
        return joined(self.tokens)


def joined(tokens: Sequence[Token]) -> str:
    """Tokens as SQL text, a blank where something stood between them."""
    return "".join((" " if token.spaced else "") + token.text for token in tokens).strip()


def statements(sql: str) -> list[Statement]:
    """The statements of a text, empty ones left out."""
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
    """The text of a string literal: doubled quotes are one, and backslashes escape as in Redshift."""
    inner = literal[literal.index("'") + 1 : -1].replace("''", "'")
    return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)
