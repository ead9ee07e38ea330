"""A count and its noun, as people write them."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """`1 row`, `8,655 rows`; the noun takes an s and may have words before it (`waiting row`)."""
    return f"{number:,} {noun}{agreeing(number, '', 's')}"


def agreeing(number: int, singular: str, plural: str) -> str:
    """The form of a word that goes with a count."""
    return singular if number == 1 else plural
