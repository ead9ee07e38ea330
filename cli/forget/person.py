"""The person that `pipeline forget` removes, and the texts that show the person."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

FORGOTTEN = "forgotten"
"""Replaces an address, or a line that cannot be divided into columns."""


@dataclass(frozen=True)
class Person:
    """A customer_id and every e-mail address that is this customer's alone.

    Names do not identify a person, because many people share one. They are removed with their row.
    """

    customer_id: str
    addresses: frozenset[str] = frozenset()

    def has_address_in(self, text: str) -> bool:
        return bool(self.addresses) and self._address.search(text) is not None

    def is_named_in(self, text: str) -> bool:
        """True where the text contains the id or an address as a whole word."""
        return self.has_address_in(text) or self._id.search(text) is not None

    def may_be_in(self, line: str) -> bool:
        """A quick check: False is certain, True is not."""
        return self.customer_id in line or (bool(self.addresses) and self._address.search(line) is not None)

    def without_addresses(self, text: str) -> str:
        return self._address.sub(FORGOTTEN, text) if self.addresses else text

    @cached_property
    def _address(self) -> re.Pattern[str]:
        known = "|".join(map(re.escape, sorted(self.addresses)))
        return re.compile(rf"(?<![\w.%+-])(?:{known})(?![\w-]|\.\w)", re.IGNORECASE)

    @cached_property
    def _id(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![\w-]){re.escape(self.customer_id)}(?![\w-])")


def addresses_in(texts: list[str]) -> frozenset[str]:
    """The e-mail addresses among values of the column email: `unknown` or `-` is none."""
    return frozenset(text.strip() for text in texts if re.fullmatch(r"\s*[^\s@]+@[^\s@]+\s*", text))
