"""Products and customers: who they are, what their CSV files hold, and what an order needs of them.

Faker makes pools of names; a person or product combines entries of the pools, so that a
million customers cost no more of Faker than ten do.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import polars as pl
from faker import Faker

from mock_data.rng import Integers, below, bits, draws, quantiles
from mock_data.row_variants import PRICELESS

MEMBERSHIP_LEVELS = ("Bronze", "Silver", "Gold", "Platinum")
_MEMBERSHIP_SHARES = (0.55, 0.27, 0.14, 0.04)

_LOCALES = ("en_US", "de_DE", "es_ES")
_NAMES_PER_LOCALE = 256
_MAIL_DOMAINS = ("example.com", "example.org", "example.net")

_NOUNS = {
    "Gadgets": ("Widget", "Charger", "Headphones", '27" Monitor', "Keyboard"),
    "Home": ("Lamp", "Desk Lamp, dimmable", "Bookshelf", "Curtain", "Café Crème Set"),
    "Garden": ("Rake", "Watering Can", "Hose, 20 m", "Bench", "Bird House"),
    "Toys": ("Puzzle", "Robot", 'Model Car 1/8"', "Kite", "Building Blocks"),
    "Sports": ("Racket", "Yoga Mat", "Football", "Jacket", "Jörg's Climbing Rope"),
    "Groceries": ("Olive Oil", "Espresso Beans", "Crème Brûlée", "Honey", "Tea"),
}
_COLOURS = 128
_SUPPLIERS = 200

PRICE_UNIT = 10_000
"""Prices are kept as whole ten-thousandths: exact, and as fine as the warehouse's column."""

_ROUND_PRICES = (10, 20, 25, 50, 100, 250, 500, 1000)

_PRODUCTS, _CUSTOMERS = range(2)
_ROWS_PER_WRITE = 200_000


@dataclass(frozen=True)
class Products:
    frame: pl.DataFrame
    """The columns of dim_products; price as the text of the file."""
    prices: Integers
    """In PRICE_UNIT."""
    best_sellers: Integers
    """Quantile table: SALES_BITS uniform bits look up a product by how much of it is sold."""

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
    """The sample row of the contract, the priceless one, and count - 2 others."""
    faker = Faker("en_US")
    faker.seed_instance(seed)
    colours = [faker.color_name() for _ in range(_COLOURS)]
    brands = [faker.last_name() for _ in range(_SUPPLIERS)]
    kinds = [(category, noun) for category, nouns in _NOUNS.items() for noun in nouns]

    words = draws(seed, _PRODUCTS, np.arange(count))
    kind = below(len(kinds), bits(words, low=0, count=12), count=12)
    supplier = below(_SUPPLIERS, bits(words, low=24, count=12), count=12)
    colour = bits(words, low=12, count=7)
    prices = _prices(bits(words, low=36, count=24), kind=bits(words, low=60, count=4))
    prices[:2] = (29 * PRICE_UNIT + 9_900, 10_000_000 * PRICE_UNIT - 1)

    names = pl.select(
        pl.concat_str(
            _pick(brands, supplier), _pick(colours, colour), _pick([noun for _, noun in kinds], kind), separator=" "
        )
    ).to_series()
    frame = pl.DataFrame(
        {
            "product_id": _ids("P", "P12345", count),
            "product_name": _first_two("Widget A", "Private Island", names),
            "category": _first_two("Gadgets", "Real Estate", _pick([category for category, _ in kinds], kind)),
            "price": [_price_text(price) for price in prices.tolist()],
            "supplier_id": _first_two("S123", "S1000", _pick([f"S{1001 + i}" for i in range(_SUPPLIERS)], supplier)),
        }
    )
    assert frame["product_id"][1] == PRICELESS
    popularity = 1.0 / np.arange(1, count + 1) ** 1.05
    popularity[1] = 0.0
    return Products(frame, prices, quantiles(popularity, count=SALES_BITS))


def make_customers(seed: int, count: int) -> Customers:
    """The sample row of the contract and count - 1 others; every e-mail address is somebody's alone."""
    first_names: list[str] = []
    last_names: list[str] = []
    for locale in _LOCALES:
        faker = Faker(locale)
        faker.seed_instance(seed)
        first_names += [faker.first_name() for _ in range(_NAMES_PER_LOCALE)]
        last_names += [faker.last_name() for _ in range(_NAMES_PER_LOCALE)]

    numbers = np.arange(count)
    words = draws(seed, _CUSTOMERS, numbers)
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


def _prices(uniform: Integers, *, kind: Integers) -> Integers:
    """Mostly a few tens with cents; some round, some finer than a cent, a few free."""
    position = (uniform + 0.5) / 2**24
    cents = np.round(100 * 4 * np.exp(5.0 * position**1.5)).astype(np.int64)
    prices = cents * (PRICE_UNIT // 100)
    prices[kind == 0] = np.array(_ROUND_PRICES)[uniform[kind == 0] % len(_ROUND_PRICES)] * PRICE_UNIT
    prices[kind == 1] = uniform[kind == 1] % 20_000 + 1
    prices[(kind == 2) & (uniform % 8 == 0)] = 0
    return prices


def _price_text(price: int) -> str:
    text = f"{price // PRICE_UNIT}.{price % PRICE_UNIT:04d}"
    return text[:-2] if text.endswith("00") else text


def _mail_name(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    return "".join(letter for letter in plain.lower() if letter.isalpha())


def _ids(letter: str, sample: str, count: int) -> pl.Series:
    # Six digits and more: none of them is the sample's.
    numbers = pl.Series(np.arange(100_000, 100_000 + count))
    return _first(sample, pl.select(pl.concat_str(pl.lit(letter), numbers)).to_series())


def _pick(pool: list[str], indices: Integers) -> pl.Series:
    return pl.Series(pool, dtype=pl.String).gather(indices)


def _first(sample: str, values: pl.Series) -> pl.Series:
    return pl.concat([pl.Series([sample]), values[1:].rename("")])


def _first_two(sample: str, second: str, values: pl.Series) -> pl.Series:
    return pl.concat([pl.Series([sample, second]), values[2:].rename("")])


def _write_csv(frame: pl.DataFrame, file: BinaryIO, *, unquoted: tuple[str, ...]) -> None:
    """Names quoted and figures not, as in the contract's sample rows."""
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
