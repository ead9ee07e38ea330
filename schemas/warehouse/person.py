"""The statements that find a person in dim_customers and remove the name and e-mail. Parameters are `:name`."""

from __future__ import annotations

from schemas.drops import CUSTOMERS
from schemas.warehouse.tables import CUSTOMER_ID, DIMENSIONS

_TABLE, _KEY, PERSONAL_COLUMNS = CUSTOMERS, CUSTOMER_ID.name, DIMENSIONS[CUSTOMERS].personal


def select_person() -> str:
    """PERSONAL_COLUMNS of one customer. Parameter: customer_id."""
    return f"SELECT {', '.join(PERSONAL_COLUMNS)} FROM {_TABLE} WHERE {_KEY} = :{_KEY}"


def count_others_with_address() -> str:
    """The number of other customers with an address. Parameters: customer_id, address."""
    return f"SELECT COUNT(*) FROM {_TABLE} WHERE {_KEY} <> :{_KEY} AND LOWER(email) = LOWER(:address)"


def forget_person() -> str:
    """Blank the personal columns; the row stays, so that the facts keep their customer. Parameter: customer_id."""
    blanked = ", ".join(f"{name} = NULL" for name in PERSONAL_COLUMNS)
    return f"UPDATE {_TABLE} SET {blanked}, updated_at = GETDATE() WHERE {_KEY} = :{_KEY}"
