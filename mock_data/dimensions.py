"""Products and customers: their CSV files, and the values that orders need.

Faker generates pools of names. Persons and products combine entries of the pools, so a
million customers need no more calls of Faker than ten do.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import polars as pl
from faker import Faker

from mock_data.catalogue import GOODS, PRICE_ENDINGS
from mock_data.rng import Integers, below, bits, quantiles, random_words

MEMBERSHIP_LEVELS = ("Bronze", "Silver", "Gold", "Platinum")
_MEMBERSHIP_SHARES = (0.55, 0.27, 0.14, 0.04)

_LOCALES = ("en_US", "de_DE", "es_ES")
_NAMES_PER_LOCALE = 256
_MAIL_DOMAINS = ("example.com", "example.org", "example.net")

_SUPPLIERS = 200

PRICE_UNIT = 10_000
"""Prices are integers in ten-thousandths: exact, and as precise as the warehouse's column."""

_PRODUCTS, _CUSTOMERS = range(2)
_ROWS_PER_WRITE = 200_000


@dataclass(frozen=True)
class Products:
    frame: pl.DataFrame
    """The columns of dim_products; price as the text of the file."""
    prices: Integers
    """In PRICE_UNIT."""
    best_sellers: Integers
    """A quantile table: SALES_BITS uniform bits look up a product, weighted by its sales."""

    def write(self, file: BinaryIO) -> None:
        _write_csv(self.frame, file, unquoted=("product_id", "price"))


@dataclass(frozen=True)
class Customers:
    frame: pl.DataFrame
    """The columns of dim_customers."""
    levels: Integers
    """Index into MEMBERSHIP_LEVELS."""

    def write(self, file: BinaryIO) -> None:
        _write_csv(self.frame, file, unquoted=("customer_id",))


SALES_BITS = 20


def make_products(seed: int, count: int) -> Products:
    """The sample row of the contract and count - 1 others, each with a name and a price of its category."""
    faker = Faker("en_US")
    faker.seed_instance(seed)
    brands = [faker.unique.last_name() for _ in range(_SUPPLIERS)]
    offers = [(at, good.name, variant) for at, (_, good) in enumerate(GOODS) for variant in good.variants]

    words = random_words(seed, _PRODUCTS, np.arange(count))
    offer = below(len(offers), bits(words, low=0, count=12), count=12)
    supplier = below(_SUPPLIERS, bits(words, low=24, count=12), count=12)
    good = np.array([at for at, _, _ in offers])[offer]
    prices = _prices(bits(words, low=36, count=24), good=good, kind=bits(words, low=60, count=4))
    prices[0] = 29 * PRICE_UNIT + 9_900

    labels = [f"{name} ({variant})" for _, name, variant in offers]
    names = pl.select(pl.concat_str(_pick(brands, supplier), _pick(labels, offer), separator=" ")).to_series()
    frame = pl.DataFrame(
        {
            "product_id": _ids("P", "P12345", count),
            "product_name": _first("Widget A", names),
            "category": _first("Gadgets", _pick([category for category, _ in GOODS], good)),
            "price": [_price_text(price) for price in prices.tolist()],
            "supplier_id": _first("S123", _pick([f"S{1001 + i}" for i in range(_SUPPLIERS)], supplier)),
        }
    )
    popularity = 1.0 / np.arange(1, count + 1) ** 1.05
    return Products(frame, prices, quantiles(popularity, count=SALES_BITS))


def make_customers(seed: int, count: int) -> Customers:
    """The sample row of the contract and count - 1 others; each has an e-mail address of its own."""
    first_names: list[str] = []
    last_names: list[str] = []
    for locale in _LOCALES:
        faker = Faker(locale)
        faker.seed_instance(seed)
        first_names += [faker.first_name() for _ in range(_NAMES_PER_LOCALE)]
        last_names += [faker.last_name() for _ in range(_NAMES_PER_LOCALE)]

    numbers = np.arange(count)
    words = random_words(seed, _CUSTOMERS, numbers)
    locale_start = below(len(_LOCALES), bits(words, low=0, count=8), count=8) * _NAMES_PER_LOCALE
    first = locale_start + bits(words, low=8, count=8)
    last = locale_start + bits(words, low=16, count=8)
    domain = below(len(_MAIL_DOMAINS), bits(words, low=24, count=8), count=8)
    levels = quantiles(_MEMBERSHIP_SHARES, count=10)[bits(words, low=32, count=10)]
    levels[0] = MEMBERSHIP_LEVELS.index("Gold")

    # The number makes the address unique: no pooled name ends in a digit.
    emails = pl.select(
        pl.concat_str(
            _pick([_mail_name(name) for name in first_names], first),
            pl.lit("."),
            _pick([_mail_name(name) for name in last_names], last),
            pl.Series(numbers),
            pl.lit("@"),
            _pick(list(_MAIL_DOMAINS), domain),
        )
    ).to_series()
    frame = pl.DataFrame(
        {
            "customer_id": _ids("C", "C12345", count),
            "first_name": _first("John", _pick(first_names, first)),
            "last_name": _first("Doe", _pick(last_names, last)),
            "email": _first("john.doe@example.com", emails),
            "membership_level": _pick(list(MEMBERSHIP_LEVELS), levels),
        }
    )
    return Customers(frame, levels)


def _prices(uniform: Integers, *, good: Integers, kind: Integers) -> Integers:
    """Prices within the range of each good, with usual cents.

    One price in sixteen has four decimals, as prices per unit have. One in 128 is 0.
    """
    low, high = (np.array([getattr(each, end) for _, each in GOODS])[good] for end in ("low", "high"))
    position = (uniform + 0.5) / 2**24
    units = np.floor(low * (high / low) ** position).astype(np.int64)
    cents = np.array(PRICE_ENDINGS)[uniform % len(PRICE_ENDINGS)]
    prices: Integers = units * PRICE_UNIT + cents * (PRICE_UNIT // 100)
    finer = kind == 1
    prices[finer] = units[finer] * PRICE_UNIT + uniform[finer] % PRICE_UNIT
    prices[(kind == 2) & (uniform % 8 == 0)] = 0
    return prices


def _price_text(price: int) -> str:
    text = f"{price // PRICE_UNIT}.{price % PRICE_UNIT:04d}"
    return text[:-2] if text.endswith("00") else text


def _mail_name(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    return "".join(letter for letter in plain.lower() if letter.isalpha())


def _ids(letter: str, sample: str, count: int) -> pl.Series:
    # Six digits or more, so that none of them is the sample's id.
    numbers = pl.Series(np.arange(100_000, 100_000 + count))
    return _first(sample, pl.select(pl.concat_str(pl.lit(letter), numbers)).to_series())


def _pick(pool: list[str], indices: Integers) -> pl.Series:
    return pl.Series(pool, dtype=pl.String).gather(indices)


def _first(sample: str, values: pl.Series) -> pl.Series:
    return pl.concat([pl.Series([sample]), values[1:].rename("")])


def _write_csv(frame: pl.DataFrame, file: BinaryIO, *, unquoted: tuple[str, ...]) -> None:
    """Write rows with quoted names and unquoted numbers, as in the contract's sample rows."""
    file.write((",".join(frame.columns) + "\n").encode())
    values = [
        pl.col(name)
        if name in unquoted
        else pl.concat_str(pl.lit('"'), pl.col(name).str.replace_all('"', '""', literal=True), pl.lit('"'))
        for name in frame.columns
    ]
    for piece in frame.iter_slices(_ROWS_PER_WRITE):
        lines = piece.select(pl.concat_str(values, separator=","))
        lines.write_csv(file, include_header=False, quote_style="never")
