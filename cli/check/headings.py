"""The headings of a shop's own program: which of them the words show to be which column.

Only a proposal: a column that no heading or several headings may mean is not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schemas.drops import CUSTOMERS, PRODUCTS, TRANSACTIONS
from schemas.sources import CONTRACT_COLUMNS, CUSTOMER_COLUMNS, PRODUCT_COLUMNS, heading_key

_CUSTOMER = (
    "customer, customer number, customer no, customer code, client, client id, user id, account number, Kundennummer, "
    "Kundennr"
)
_PRODUCT = (
    "sku, product sku, item sku, variant sku, product code, product number, item number, item no, item id, item code, "
    "article number, article no, part number, stock code, Artikelnummer, Artikelnr, Art.-Nr., référence"
)
_WORDS = {
    "transaction_id": (
        "transaction, order, order id, order number, order no, receipt, receipt number, receipt no, invoice, "
        "invoice number, invoice no, sale id, Bestellnummer, Bestellnr, Auftragsnummer, Rechnungsnummer, Belegnummer"
    ),
    "customer_id": _CUSTOMER,
    "product_id": _PRODUCT,
    "quantity": "qty, quantity ordered, qty ordered, units, pieces, Menge, Anzahl, Stückzahl, quantité",
    "transaction_date": (
        "date, order date, purchase date, sale date, invoice date, created at, date created, created, order time, "
        "timestamp, Datum, Bestelldatum, Rechnungsdatum, date de commande"
    ),
    "status": "order status, state, order state, Bestellstatus, statut",
    "product_name": (
        "name, title, item, item name, product, product title, description, Bezeichnung, Artikelbezeichnung, "
        "Artikelname, Produktname, désignation"
    ),
    "category": (
        "categories, product category, product type, type, department, product group, Kategorie, Warengruppe, "
        "Produktgruppe, catégorie"
    ),
    "price": (
        "unit price, regular price, list price, retail price, variant price, Preis, Verkaufspreis, Einzelpreis, "
        "Stückpreis, prix"
    ),
    "supplier_id": (
        "supplier, supplier number, vendor, vendor id, manufacturer, Lieferant, Lieferantennummer, Lieferantennr, "
        "fournisseur"
    ),
    "first_name": "given name, forename, Vorname, prénom",
    "last_name": "surname, family name, Nachname, Familienname, nom de famille",
    "email": "email address, mail, E-Mail-Adresse, courriel",
    "membership_level": "level, tier, membership, membership tier, loyalty tier, customer group, Stufe, Kundengruppe",
}
"""Column -> what programs in English, German and French call it; the spelling is free as heading_key has it."""
_COLUMNS = {TRANSACTIONS: CONTRACT_COLUMNS, PRODUCTS: PRODUCT_COLUMNS, CUSTOMERS: CUSTOMER_COLUMNS}
_SETTINGS = {TRANSACTIONS: "columns", PRODUCTS: "products", CUSTOMERS: "customers"}
_MAY_LACK = ("product_name", "category", "supplier_id", "first_name", "last_name", "email", "membership_level")
"""The columns of a dimension that a source may say it has not."""


def heading_changes(header: Sequence[str], kind: str) -> Mapping[str, object]:
    """The setting that names these headings for a file of this kind; empty where one is missing or unclear."""
    named: dict[str, str | list[str]] = {}
    for column in _COLUMNS[kind]:
        own = heading_key(column)
        keys = {own} if own in map(heading_key, header) else set(map(heading_key, _WORDS[column].split(", ")))
        headings = [heading.strip() for heading in header if heading_key(heading) in keys]
        if len(headings) > 1 or (not headings and column not in _MAY_LACK):
            return {}
        if not headings:
            named[column] = []
        elif heading_key(headings[0]) != own:
            named[column] = headings[0]
    return {_SETTINGS[kind]: named} if named else {}
