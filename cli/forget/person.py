"""The person that `pipeline forget` is about: by which texts a row is known to show that person."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

FORGOTTEN = "forgotten"
"""What stands in the place of an address, or of a line that cannot be divided into columns."""


@dataclass(frozen=True)
class Person:
    """A customer_id and every e-mail address that is this customer's alone.

    A name is no mark: many people share one. It is removed with the row in which it stands.
    """

    customer_id: str
    addresses: frozenset[str] = frozenset()

    def has_address_in(self, text: str) -> bool:
        return bool(self.addresses) and self._address.search(text) is not None

    def is_named_in(self, text: str) -> bool:
        """True where the id or an address stands in a text, each by itself and not as a part of another."""
        return self.has_address_in(text) or self._id.search(text) is not None

    def may_be_in(self, line: str) -> bool:
        """Quick, and True too often rather than too rarely."""
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
