"""Shows text from outside on one line, without invisible characters, cut to a limit."""

from __future__ import annotations

import shlex


def printable(text: str, limit: int) -> str:
    """The text with every character that does not print as itself escaped, cut at `limit` characters.

    Line breaks, control characters, and characters without width or with another reading direction could fake a mail's
    text.
    """
    escaped = "".join(_visible(character) for character in text[:limit])
    return escaped if len(escaped) <= limit and len(text) <= limit else escaped[: limit - 1] + "…"


def shell_word(text: str) -> str:
    """The text as one word of a shell command that can be pasted from a mail."""
    if text.isprintable():
        return shlex.quote(text)
    # bash and zsh read $'…' with its escapes; the characters themselves must not reach the mail.
    return "$'" + "".join("\\'" if character == "'" else _visible(character) for character in text) + "'"


def _visible(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    # Not \xNN, which a shell reads as a byte.
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
