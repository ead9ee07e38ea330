"""A German shop's files as Excel saves them, on the local cloud: semicolons, Windows-1252, own headings.

The settings file, the files and the rows of the warehouse are written here by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from local.local_cloud import LocalCloud
from tests.local.local_clouds import put, started, transactions_key

pytestmark = pytest.mark.flow

SETTINGS = """
products: {product_id: Artikelnr., product_name: Bezeichnung, category: Warengruppe, price: Preis, supplier_id: []}
customers: {customer_id: Kundennr., first_name: Vorname, last_name: Nachname, email: E-Mail, membership_level: []}
columns:
  transaction_id: Belegnr.
  customer_id: Kundennr.
  product_id: Artikelnr.
  quantity: Menge
  transaction_date: Datum
  status: Zustand
delimiter: ";"
encoding: cp1252
decimal_comma: true
thousands_separator: "."
date_formats: ["%d.%m.%Y %H:%M"]
time_zone: Europe/Berlin
statuses: {abgeschlossen: completed, in Prüfung: pending}
"""
PRODUCTS = """Artikelnr.;Bezeichnung;Warengruppe;Preis;Bestand
P100;Teekännchen;Küche;12,50;7
P300;Kessel, groß;Küche;1.234,50;0
"""
CUSTOMERS = """Kundennr.;Vorname;Nachname;E-Mail;Ort
007;Jörg;Groß;joerg@example.com;Köln
8;Ägidius;Müßig;;Düren
"""
SALES = """Belegnr.;Kundennr.;Artikelnr.;Menge;Datum;Zustand;Ort
R-1;007;P100;2,0;15.03.2023 10:00;abgeschlossen;Köln
R-2;8;P300;1.000;15.03.2023 23:30;in Prüfung;Düren
R-3;8;P300;0,5;15.03.2023 11:00;abgeschlossen;Düren
"""
"""Three sales, of which the last is of half a kettle."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """With all three files loaded."""
    folder = tmp_path_factory.mktemp("german")
    settings = folder / "laden.yaml"
    settings.write_text(SETTINGS, encoding="utf-8")
    with started(folder, {"source": str(settings)}) as cloud:
        put(cloud, "dimensions/dim_products.csv", PRODUCTS.encode("cp1252"))
        put(cloud, "dimensions/dim_customers.csv", CUSTOMERS.encode("cp1252"))
        cloud.wait_until_idle()
        put(cloud, transactions_key(15), SALES.encode("cp1252"))
        cloud.wait_until_idle()
        yield cloud


def _rows(cloud: LocalCloud, statement: str) -> list[tuple[Any, ...]]:
    connection = cloud.connect()
    try:
        cursor = connection.cursor()
        cursor.execute(statement)
        return [tuple(row) for row in cursor.fetchall()]
    finally:
        connection.close()


def test_its_price_list_is_loaded(cloud: LocalCloud) -> None:
    statement = "SELECT product_id, product_name, category, price, supplier_id FROM dim_products ORDER BY product_id"
    assert _rows(cloud, statement) == [
        ("P100", "Teekännchen", "Küche", Decimal("12.50"), None),
        ("P300", "Kessel, groß", "Küche", Decimal("1234.50"), None),
    ]


def test_its_customers_are_loaded(cloud: LocalCloud) -> None:
    statement = "SELECT customer_id, first_name, last_name, email, membership_level FROM dim_customers"
    assert _rows(cloud, f"{statement} ORDER BY customer_id") == [
        ("007", "Jörg", "Groß", "joerg@example.com", None),
        ("8", "Ägidius", "Müßig", None, None),
    ]


def test_its_sales_are_loaded_and_priced(cloud: LocalCloud) -> None:
    statement = (
        "SELECT transaction_id, customer_id, product_name, quantity, transaction_date, status, total_amount "
        "FROM fact_transactions ORDER BY transaction_id"
    )
    assert _rows(cloud, statement) == [
        ("R-1", "007", "Teekännchen", 2, datetime(2023, 3, 15, 9), "completed", Decimal("25.00")),
        ("R-2", "8", "Kessel, groß", 1000, datetime(2023, 3, 15, 22, 30), "pending", Decimal("1234500.00")),
    ]


def test_its_mails_count_every_row(cloud: LocalCloud) -> None:
    subjects = sorted(mail.subject for mail in cloud.mails())
    assert len(subjects) == 3
    assert not [subject for subject in subjects if "NOT loaded" in subject]
    (sales,) = (mail for mail in cloud.mails() if "transactions_2023-03-15.csv" in mail.body)
    assert "1 of 3 rows" in sales.subject
    assert "invalid_quantity" in sales.body
    assert "0,5" in sales.body
