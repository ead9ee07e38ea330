"""The oracle of rows: what each row of a file becomes, and which of them wins inside the file. See __init__.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from tests.oracle.files import Row, TransactionFile
from tests.oracle.text import REJECTED_COLUMNS, SOURCE_COLUMNS, as_shown, ascii_lower, trim
from tests.oracle.values import (
    ROUNDED,
    STATUSES,
    is_future,
    is_too_early,
    read_id,
    read_quantity,
    read_status,
    read_transaction_date,
)

BUSINESS_COLUMNS = (
    *SOURCE_COLUMNS,
    "unit_price",
    "total_amount",
    "amount_class",
    "product_name",
    "category",
    "supplier_id",
    "membership_level",
)

REJECT_REASONS = (
    "malformed_row",
    "missing_transaction_id",
    "missing_customer_id",
    "missing_product_id",
    "unknown_customer",
    "unknown_product",
    "invalid_quantity",
    "invalid_transaction_date",
    "future_transaction_date",
    "invalid_status",
    "value_too_long",
    "rounded_id",
    "too_early_transaction_date",
    "conflicting_rows",
)
LONGEST_ID = 64
"""UTF-8 bytes a trimmed value may take."""

AMOUNT_LIMIT = Decimal(10) ** 16
"""The first amount that DECIMAL(18,2) cannot hold."""

AmountClasses = Sequence[tuple[str, Decimal]]
AMOUNT_CLASSES: AmountClasses = (("Small", Decimal(0)), ("Medium", Decimal(100)), ("Large", Decimal(1000)))

_EXACT = Context(prec=80, rounding=ROUND_HALF_UP)


@dataclass(frozen=True)
class Product:
    """One row of dim_products."""

    product_id: str
    product_name: str
    category: str
    price: Decimal
    supplier_id: str


@dataclass(frozen=True)
class Customer:
    """One row of dim_customers."""

    customer_id: str
    first_name: str
    last_name: str
    email: str
    membership_level: str


Products = Mapping[str, Product]
Customers = Mapping[str, Customer]


@dataclass(frozen=True)
class Accepted:
    """A row that meets every rule, as BUSINESS_COLUMNS."""

    row: Row
    business: Mapping[str, Any]

    @property
    def transaction_id(self) -> str:
        return str(self.business["transaction_id"])

    @property
    def status_rank(self) -> int:
        return STATUSES.index(self.business["status"])


@dataclass(frozen=True)
class Rejected:
    """A row that breaks a rule, with all its reasons in the order of REJECT_REASONS."""

    row: Row
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ValidatedFile:
    """Every row of a file, in the file's order, on one side or the other."""

    accepted: tuple[Accepted, ...]
    rejected: tuple[Rejected, ...]


@dataclass(frozen=True)
class ResolvedFile:
    """One winner for each transaction_id of a file; the accepted rows that lost are duplicates."""

    winners: Mapping[str, Accepted]
    duplicates: tuple[Accepted, ...]


@dataclass(frozen=True)
class RejectedFile:
    """The cells of the rejected file."""

    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


def amount(quantity: int, price: Decimal) -> Decimal:
    """quantity times price in whole cents, half a cent rounded away from zero."""
    return _EXACT.quantize(_EXACT.multiply(Decimal(quantity), price), Decimal("0.01"))


def amount_class(total_amount: Decimal, amount_classes: AmountClasses = AMOUNT_CLASSES) -> str:
    """The class with the highest lower bound that the amount reaches."""
    reached = [(bound, label) for label, bound in amount_classes if total_amount >= bound]
    return max(reached)[1]


@dataclass(frozen=True)
class _Reading:
    """The meaning of a row's values; None, or an empty id, where there is none."""

    ids: Mapping[str, str]
    product: Product | None
    customer: Customer | None
    quantity: int | None
    transaction_date: datetime | None
    status: str | None


def _read(row: Row, products: Products, customers: Customers) -> _Reading:
    values = row.values
    ids = {
        "transaction_id": read_id(values["transaction_id"]),
        "customer_id": read_id(values["customer_id"], customers),
        "product_id": read_id(values["product_id"], products),
    }
    return _Reading(
        ids=ids,
        product=products.get(ids["product_id"]),
        customer=customers.get(ids["customer_id"]),
        quantity=read_quantity(values["quantity"]),
        transaction_date=read_transaction_date(values["transaction_date"]),
        status=read_status(values["status"]),
    )


def _reasons(reading: _Reading, values: Mapping[str, str], partition_day: date) -> set[str]:
    """Every rule that the row breaks alone."""
    least = 0 if reading.status in ("cancelled", "refunded") else 1
    quantity, product, written = reading.quantity, reading.product, values["transaction_date"]
    is_date = reading.transaction_date is not None
    broken = {
        **{f"missing_{column}": not text for column, text in reading.ids.items()},
        "unknown_customer": bool(reading.ids["customer_id"]) and reading.customer is None,
        "unknown_product": bool(reading.ids["product_id"]) and product is None,
        "invalid_quantity": quantity is None
        or quantity < least
        or (product is not None and amount(quantity, product.price) >= AMOUNT_LIMIT),
        "invalid_transaction_date": not is_date,
        "future_transaction_date": is_date and is_future(written, partition_day),
        "invalid_status": reading.status is None,
        "value_too_long": any(len(text.encode()) > LONGEST_ID for text in reading.ids.values()),
        "rounded_id": any(ROUNDED.fullmatch(part) for text in reading.ids.values() for part in text.split("|")),
        "too_early_transaction_date": is_date and is_too_early(written, partition_day),
    }
    return {reason for reason, is_broken in broken.items() if is_broken}


def validate(
    row: Row,
    *,
    products: Products,
    customers: Customers,
    partition_day: date,
    amount_classes: AmountClasses = AMOUNT_CLASSES,
) -> Accepted | Rejected:
    """The row as the fact would hold it, or every reason why it may not get there."""
    if row.malformed:
        return Rejected(row, ("malformed_row",))
    reading = _read(row, products, customers)
    reasons = _reasons(reading, row.values, partition_day)
    if reasons:
        return Rejected(row, tuple(reason for reason in REJECT_REASONS if reason in reasons))
    product, customer, quantity = reading.product, reading.customer, reading.quantity
    assert product is not None
    assert customer is not None
    assert quantity is not None
    total_amount = amount(quantity, product.price)
    business = {
        **reading.ids,
        "quantity": quantity,
        "transaction_date": reading.transaction_date,
        "status": reading.status,
        "unit_price": _EXACT.quantize(product.price, Decimal("0.0001")),
        "total_amount": total_amount,
        "amount_class": amount_class(total_amount, amount_classes),
        "product_name": product.product_name,
        "category": product.category,
        "supplier_id": product.supplier_id,
        "membership_level": customer.membership_level,
    }
    return Accepted(row, business)


def validate_file(
    file: TransactionFile,
    *,
    products: Products,
    customers: Customers,
    partition_day: date,
    amount_classes: AmountClasses = AMOUNT_CLASSES,
) -> ValidatedFile:
    """Validate every row of the file alone, and then beside the other rows of its transaction."""
    alone = [
        validate(
            row,
            products=products,
            customers=customers,
            partition_day=partition_day,
            amount_classes=amount_classes,
        )
        for row in file.rows
    ]
    conflicting = _conflicting_lines(alone, products, customers)
    verdicts = [_in_conflict(verdict) if verdict.row.source_line in conflicting else verdict for verdict in alone]
    return ValidatedFile(
        accepted=tuple(verdict for verdict in verdicts if isinstance(verdict, Accepted)),
        rejected=tuple(verdict for verdict in verdicts if isinstance(verdict, Rejected)),
    )


def _conflicting_lines(verdicts: Sequence[Accepted | Rejected], products: Products, customers: Customers) -> set[int]:
    """Lines of rows with one id, moment and status that differ in customer, product or quantity.

    A row that only its missing dimension rows keep out counts too: it is loaded once they are there, so what
    conflicts depends on the file alone.
    """
    sales: dict[tuple[Any, ...], set[tuple[Any, ...]]] = {}
    lines: dict[tuple[Any, ...], set[int]] = {}
    for verdict in verdicts:
        if isinstance(verdict, Rejected) and not set(verdict.reasons) <= {"unknown_customer", "unknown_product"}:
            continue
        reading = _read(verdict.row, products, customers)
        event = (reading.ids["transaction_id"], reading.transaction_date, reading.status)
        sale = (reading.ids["customer_id"], reading.ids["product_id"], reading.quantity)
        sales.setdefault(event, set()).add(sale)
        lines.setdefault(event, set()).add(verdict.row.source_line)
    return {line for event, found_sales in sales.items() if len(found_sales) > 1 for line in lines[event]}


def _in_conflict(verdict: Accepted | Rejected) -> Rejected:
    reasons = verdict.reasons if isinstance(verdict, Rejected) else ()
    return Rejected(verdict.row, (*reasons, "conflicting_rows"))


def resolve_file(accepted: Sequence[Accepted]) -> ResolvedFile:
    """The row that wins inside one file: later date, then higher status, then later line."""

    def order(row: Accepted) -> tuple[datetime, int, int]:
        return row.business["transaction_date"], row.status_rank, row.row.source_line

    winners: dict[str, Accepted] = {}
    for candidate in accepted:
        winner = winners.get(candidate.transaction_id)
        if winner is None or order(candidate) > order(winner):
            winners[candidate.transaction_id] = candidate
    duplicates = tuple(row for row in accepted if winners[row.transaction_id] is not row)
    return ResolvedFile(winners=winners, duplicates=duplicates)


def reused_ids(accepted: Sequence[Accepted]) -> list[tuple[str, int, int]]:
    """The ids that name several customers or products, each with its first and last line, in the order of the file.

    Of rows that repeat one event, the last one counts.
    """
    events: dict[tuple[str, datetime, int], Accepted] = {}
    for row in sorted(accepted, key=lambda row: row.row.source_line):
        events[row.transaction_id, row.business["transaction_date"], row.status_rank] = row
    rows: dict[str, list[Accepted]] = {}
    for (transaction_id, _, _), row in events.items():
        rows.setdefault(transaction_id, []).append(row)
    reused = []
    for transaction_id, of_id in rows.items():
        if len({(row.business["customer_id"], row.business["product_id"]) for row in of_id}) > 1:
            lines = [row.row.source_line for row in of_id]
            reused.append((transaction_id, min(lines), max(lines)))
    return sorted(reused, key=lambda each: each[1])


def expected_rejected_file(file: TransactionFile, rejected: Sequence[Rejected]) -> RejectedFile:
    """The rejected rows as a person gets them back: their cells as they stood, where, and why."""
    kept = [at for at, heading in enumerate(file.header) if ascii_lower(trim(heading)) not in REJECTED_COLUMNS]
    lines = []
    for verdict in rejected:
        row = verdict.row
        originals = ["" if row.malformed else as_shown(row.fields[at]) for at in kept]
        source_text = as_shown(row.text) if row.malformed else ""
        lines.append((*originals, str(row.source_line), ";".join(verdict.reasons), source_text))
    return RejectedFile(
        header=(*(as_shown(file.header[at]) for at in kept), *REJECTED_COLUMNS),
        lines=tuple(lines),
    )
