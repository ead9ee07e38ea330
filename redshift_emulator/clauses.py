"""A word-by-word reader of COPY and UNLOAD statements, and the clauses that both have."""

from __future__ import annotations

import re

from redshift_emulator.errors import RedshiftError
from redshift_emulator.tokens import Statement, Token, unquoted


class Words:
    """A statement read from left to right."""

    def __init__(self, statement: Statement) -> None:
        self._tokens = statement.tokens
        self._position = 0

    @property
    def left(self) -> bool:
        """True while there are more words."""
        return self._position < len(self._tokens)

    def take(self) -> Token:
        """The next token."""
        if not self.left:
            raise RedshiftError("42601", "syntax error at end of input")
        self._position += 1
        return self._tokens[self._position - 1]

    def maybe(self, *shapes: str) -> bool:
        """Takes these words if they come next; False if others do."""
        if tuple(token.shape for token in self._tokens[self._position : self._position + len(shapes)]) != shapes:
            return False
        self._position += len(shapes)
        return True

    def expect(self, *shapes: str) -> None:
        """Takes these words; raises a syntax error if others come next."""
        if not self.maybe(*shapes):
            raise self.error()

    def literal(self) -> str:
        """Takes a string literal and returns its text."""
        token = self.take()
        if token.kind != "string":
            self._position -= 1
            raise self.error()
        return unquoted(token.text)

    def name(self) -> str:
        """Takes an identifier, as written."""
        token = self.take()
        if token.kind not in ("word", "quoted"):
            self._position -= 1
            raise self.error()
        return token.text

    def error(self) -> RedshiftError:
        """The syntax error at the next token."""
        if not self.left:
            return RedshiftError("42601", "syntax error at end of input")
        return RedshiftError("42601", f'syntax error at or near "{self._tokens[self._position].text}"')


def iam_role(words: Words) -> str | None:
    """Takes the ARN after IAM_ROLE; None for the word `default`."""
    if words.maybe("DEFAULT"):
        return None
    arn = words.literal()
    if not re.fullmatch(r"arn:[\w-]+:iam::\d{12}:role/[\w+=,.@/-]+", arn):
        raise RedshiftError("XX000", f"IAM_ROLE takes default or the ARN of a role, not {arn!r}")
    return arn


def switch(words: Words, *, otherwise: bool = True) -> bool:
    """Takes an optional ON/TRUE or OFF/FALSE; `otherwise` if neither comes next."""
    if words.maybe("ON") or words.maybe("TRUE"):
        return True
    if words.maybe("OFF") or words.maybe("FALSE"):
        return False
    return otherwise
