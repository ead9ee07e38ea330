"""One shop's week, written in eight formats: each through a preset, some with a setting of the shop's own."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from schemas.sources import SourceSettings
from sources import read_source

FIRST_DAY = date(2023, 3, 20)
"""The week has the night in which Europe's clocks are put forward."""
PRICES = {"P100": "12.50", "P200": "4.00", "P300": "120.00"}
CUSTOMERS = ("ann@example.com", "ben@example.com", "17")


@dataclass(frozen=True)
class Sale:
    order: str
    line: int
    customer: str
    product: str
    quantity: int
    sold_at: datetime
    """In UTC, full minutes."""
    status: str

    @property
    def transaction_id(self) -> str:
        return f"{self.order}|{self.line}"

    @property
    def price(self) -> str:
        return PRICES[self.product]


def week() -> Iterator[tuple[date, list[Sale]]]:
    """Seven days of orders with one to three lines, two of them often equal but for the number of the line."""
    statuses = ("completed", "pending", "processing", "cancelled", "refunded")
    for number in range(7):
        day = FIRST_DAY + timedelta(days=number)
        sales = []
        for order in range(12):
            sold_at = datetime(day.year, day.month, day.day, 5 + order, 7 * order % 60)
            customer, status = CUSTOMERS[order % 3], statuses[(order + number) % 5]
            for line in range(1, 2 + order % 3):
                product = sorted(PRICES)[(order + line // 2) % 3]
                sales.append(
                    Sale(f"{1000 + 100 * number + order}", line, customer, product, 1 + order % 2, sold_at, status)
                )
        yield day, sales


@dataclass(frozen=True)
class Format:
    settings: SourceSettings
    write: Callable[[list[Sale]], bytes]


def formats() -> dict[str, Format]:
    """Name -> how the shop writes its week, and the settings that read it."""
    return {
        "default": Format(read_source("default"), _default),
        "shopify": Format(read_source("shopify"), _shopify),
        "woocommerce": Format(_preset("woocommerce", time_zone="Europe/Berlin"), _woocommerce),
        "magento": Format(read_source("magento"), _magento),
        "square": Format(_preset("square", columns={"transaction_id": ["Transaction ID", "<line>"]}), _square),
        "amazon": Format(_preset("amazon", columns={"customer_id": "buyer-email", "status": "order-status"}), _amazon),
        "excel-german": Format(_preset("excel-german", time_zone="Europe/Berlin"), _excel),
        "online-retail-ii": Format(_preset("online-retail-ii", columns={"status": "Status"}), _online_retail),
    }


def _preset(name: str, **changes: Any) -> SourceSettings:
    """A preset with settings of the shop's own; columns are changed one by one."""
    mapping = read_source(name).to_mapping()
    columns = {**mapping.get("columns", {}), **changes.pop("columns", {})}
    return SourceSettings.parse({**mapping, "columns": columns, **changes})


def _csv(header: str, rows: list[list[Any]], delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL) -> str:
    written = io.StringIO()
    writer = csv.writer(written, delimiter=delimiter, quoting=quoting, lineterminator="\r\n")
    writer.writerow(header.split(","))
    writer.writerows(rows)
    return written.getvalue()


def _local(sale: Sale, zone: str) -> datetime:
    return sale.sold_at.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def _default(sales: list[Sale]) -> bytes:
    header = "transaction_id,customer_id,product_id,quantity,transaction_date,status"
    rows = [[s.transaction_id, s.customer, s.product, s.quantity, s.sold_at, s.status] for s in sales]
    return _csv(header, rows).encode()


def _shopify(sales: list[Sale]) -> bytes:
    words = {"completed": "paid", "processing": "authorized", "cancelled": "voided"}
    rows = []
    for s in sales:
        of_order = [s.customer, words.get(s.status, s.status)] if s.line == 1 else ["", ""]
        created = f"{_local(s, 'Europe/Berlin')} +0{1 + (_local(s, 'Europe/Berlin') - s.sold_at).seconds // 7200}00"
        rows.append([s.order, *of_order, created, s.quantity, f'{s.product}, 12"\nround', s.price, s.product])
    header = "Name,Email,Financial Status,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku"
    return _csv(header, rows).encode()


def _woocommerce(sales: list[Sale]) -> bytes:
    words = {"pending": "on-hold", "completed": "wc-completed"}
    rows = [
        [s.order, s.line, _local(s, "Europe/Berlin"), words.get(s.status, s.status), s.customer, s.product, s.quantity]
        for s in sales
    ]
    return _csv("order_id,item_id,date,status,customer_id,item_sku,item_quantity", rows).encode()


def _magento(sales: list[Sale]) -> bytes:
    words = {"pending": "holded", "completed": "complete", "cancelled": "canceled", "refunded": "closed"}
    rows = [
        [s.order, s.line, s.sold_at, words.get(s.status, s.status), s.customer, s.product, s.quantity, f"{s.price}00"]
        for s in sales
    ]
    header = "increment_id,item_id,created_at,status,customer_id,sku,qty_ordered,price"
    return _csv(header, rows, quoting=csv.QUOTE_ALL).encode()


def _square(sales: list[Sale]) -> bytes:
    rows = []
    for s in sales:
        local = _local(s, "America/New_York")
        word = "Payment" if s.status == "completed" else s.status
        rows.append([local.date(), local.time(), f"{s.quantity}.0", s.product, "$9.00", s.order, word, s.customer])
    return _csv("Date,Time,Qty,SKU,Gross Sales,Transaction ID,Event Type,Customer ID", rows).encode()


def _amazon(sales: list[Sale]) -> bytes:
    lines = ["order-id\torder-item-id\tpurchase-date\tbuyer-email\tsku\tproduct-name\tquantity-purchased\torder-status"]
    for s in sales:
        bought = f"{s.sold_at.isoformat()}+00:00"
        lines.append(
            f'{s.order}\t{s.line}\t{bought}\t{s.customer}\t{s.product}\tCafé 12"\t{s.quantity}\t{s.status.upper()}'
        )
    return ("\n".join(lines) + "\n").encode("iso-8859-1")


def _excel(sales: list[Sale]) -> bytes:
    words = {"pending": "offen", "processing": "in Bearbeitung", "completed": "Abgeschlossen", "cancelled": "storniert"}
    rows = []
    for s in sales:
        when, status = f"{_local(s, 'Europe/Berlin'):%d.%m.%Y %H:%M}", words.get(s.status, s.status)
        rows.append([s.transaction_id, s.customer, s.product, f"{s.quantity},0", when, status, "Köln"])
    header = "transaction_id,customer_id,product_id,quantity,transaction_date,status,ort"
    return _csv(header, rows, delimiter=";").encode("cp1252")


def _online_retail(sales: list[Sale]) -> bytes:
    rows = []
    for s in sales:
        local = _local(s, "Europe/London")
        when = f"{local.month}/{local.day}/{local.year} {local.hour}:{local.minute:02}"
        customer = f"{s.customer}.0" if s.customer.isdigit() else s.customer
        rows.append([s.order, s.product, "GLASS BALL", s.quantity, when, s.price, customer, "France", s.status])
    header = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country,Status"
    return _csv(header, rows).encode()
