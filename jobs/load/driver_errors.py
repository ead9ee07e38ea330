"""The driver's errors translated into ours: one sentence each, and whether a retry can help."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from redshift_connector.error import Error as DriverError
from redshift_connector.error import InterfaceError, OperationalError

from jobs.errors import (
    JobError,
    TerminalError,
    WarehouseBusy,
    WarehouseIncomplete,
    WarehouseLost,
    WarehouseSpent,
)

# Redshift reports serialisation failures by its own number, without a SQLSTATE. A load_id of digits may follow in a
# text.
_SERIALISATION_FAILURE = re.compile(r"^(?:ERROR:\s*)?1023\b|Serializable isolation")
_LOST = ("57P01", "57P02", "57P03", "08006", "08003")
# An unknown schema, table, column or function, and a missing right.
_INCOMPLETE = ("3F000", "42P01", "42703", "42883", "42501")
# AWS documents no text for it; the console calls the limit a usage limit, and its action turns queries off.
_USAGE_LIMIT = re.compile(r"usage limit|RPU[- ]hours? limit", re.IGNORECASE)
# What Redshift writes in a block: `error: …  code: …  context: …  query: …`; the context says file, column and cause.
_BLOCK = re.compile(
    r"\b(error|context|detail):\s*(.*?)\s*(?=\b(?:code|context|detail|query|location|process):\s|-{5,}|$)"
)


@contextmanager
def translate_driver_errors() -> Iterator[None]:
    """Raises the driver's error as a JobError; any other error unchanged."""
    try:
        yield
    except JobError:
        raise
    except Exception as error:
        raise _translated(error) from error


def explain(error: BaseException) -> str:
    """The driver's message and, where it has one, its detail (field D), without the frame Redshift puts around it."""
    fields = _fields(error)
    message = _in_one_line(fields.get("M", str(error)))
    detail = _in_one_line(fields.get("D", ""))
    if not detail or detail in message:
        return message
    return detail if detail.startswith(message) else f"{message}: {detail}"


def _translated(error: Exception) -> Exception:
    """Classify by SQLSTATE and text: the driver's classes say little."""
    fields = _fields(error)
    code, message, text = fields.get("C", ""), fields.get("M", str(error)), explain(error)
    if (code == "XX000" and _SERIALISATION_FAILURE.search(message)) or "deadlock" in message:
        return WarehouseBusy(f"the warehouse cancelled the load at every try for another transaction: {text}")
    if _USAGE_LIMIT.search(text):
        return WarehouseSpent(
            f"the warehouse has reached its usage limit of today and takes no statements until 00:00 UTC: {text}; "
            "the load is retried then; to load earlier, raise warehouseRpuHoursPerDay"
        )
    if code == "57014":
        return WarehouseBusy(
            f"a statement did not finish within its time: {text}; SVV_TRANSACTIONS shows which session holds the lock, "
            "and warehouseLockSeconds and warehouseStatementSeconds give more time"
        )
    if code in _LOST or (not fields and _is_lost_connection(error)):
        return WarehouseLost(f"the connection to the warehouse was lost or could not be made: {text}")
    if code in _INCOMPLETE:
        return WarehouseIncomplete(
            f"the warehouse is incomplete: {text} ({code}); run `pulumi up --refresh`, which adds what is missing"
        )
    if isinstance(error, DriverError):
        return TerminalError(f"the warehouse refused a statement ({code or type(error).__name__}): {text}")
    return error


def _fields(error: BaseException) -> Mapping[str, str]:
    fields = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    return {str(name): str(value) for name, value in fields.items()}


def _in_one_line(text: str) -> str:
    line = " ".join(text.split())
    parts = [part.strip(" -") for _, part in _BLOCK.findall(line)]
    return ": ".join(part for part in parts if part) or line


def _is_lost_connection(error: Exception) -> bool:
    # A cut connection surfaces as an InterfaceError with a text, or raw from below the driver.
    return isinstance(error, (InterfaceError, OperationalError, OSError, EOFError))
