"""Checks that a Parquet file fits a table: column by column, with exactly the physical types of Redshift Spectrum."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from redshift_emulator.errors import RedshiftError


class TargetColumn(NamedTuple):
    """A column of the table and the name of its type in PostgreSQL."""

    name: str
    type: str

    @property
    def byte_limit(self) -> int | None:
        """The bytes a VARCHAR or CHAR holds; None for other types."""
        limit = re.match(r"character(?: varying)?\((\d+)\)", self.type)
        return int(limit[1]) if limit else None


class _FileColumn(NamedTuple):
    """The types of a column in a Parquet footer."""

    physical: str
    logical: str
    details: dict[str, Any]
    length: int

    @classmethod
    def of(cls, column: pq.ColumnSchema) -> _FileColumn:
        details = json.loads(column.logical_type.to_json())
        return cls(column.physical_type, details["Type"], details, column.length)


def check_schema(schema: pq.ParquetSchema, columns: list[TargetColumn], *, file: str) -> None:
    """Refuses a file whose columns do not fit the table's columns by position; names are ignored."""
    if len(schema) != len(columns):
        raise RedshiftError(
            "XX000",
            "Unmatched number of columns in table and source",
            f"Unmatched number of columns between table and file. Table columns: {len(columns)}, "
            f"Data columns: {len(schema)}, File name: {file}",
        )
    for position, target in enumerate(columns):
        column = schema.column(position)
        held = _FileColumn.of(column)
        if held.details.get("timeUnit") == "nanoseconds":
            raise RedshiftError(
                "XX000",
                "Spectrum Scan Error",
                f"File '{file}': column '{column.name}' holds nanosecond timestamps, which Redshift would load as "
                "garbage dates; write microseconds",
            )
        if not _fits(held, target.type):
            raise RedshiftError(
                "XX000",
                "Spectrum Scan Error",
                f"code: 15007 context: File '{file}' has an incompatible Parquet schema for column "
                f"'{target.name}'. Column type: {target.type.upper()}, Parquet schema: {held.physical.lower()} "
                f"{column.name} ({held.logical}{_decimal_text(held)})",
            )


def _decimal_text(held: _FileColumn) -> str:
    return f"({held.details['precision']},{held.details['scale']})" if held.logical == "Decimal" else ""


def _fits(held: _FileColumn, wanted: str) -> bool:
    decimal = re.fullmatch(r"numeric\((\d+),(\d+)\)", wanted)
    if decimal:
        return _decimal_fits(held, int(decimal[1]), int(decimal[2]))
    if wanted.startswith("character"):
        return held.physical == "BYTE_ARRAY" and held.logical in ("String", "None", "Enum")
    if wanted == "timestamp without time zone":
        return held.physical == "INT64" and held.details.get("timeUnit") == "microseconds"
    return any(held.physical == physical and held.logical in logical for physical, logical in _SIMPLE.get(wanted, ()))


def _decimal_fits(held: _FileColumn, precision: int, scale: int) -> bool:
    """True when the file stores the decimals in the width that the column's precision requires."""
    if held.logical != "Decimal" or held.details["scale"] != scale or held.details["precision"] > precision:
        return False
    if precision <= 9:
        return held.physical == "INT32"
    if precision <= 18:
        return held.physical == "INT64"
    return held.physical == "FIXED_LEN_BYTE_ARRAY"


_SIMPLE: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "smallint": (("INT32", ("None", "Int")),),
    "integer": (("INT32", ("None", "Int")),),
    "bigint": (("INT64", ("None", "Int")),),
    "date": (("INT32", ("Date",)),),
    "boolean": (("BOOLEAN", ("None",)),),
    "real": (("FLOAT", ("None",)),),
    "double precision": (("DOUBLE", ("None",)),),
}


def check_lengths(batch: pa.RecordBatch, columns: list[TargetColumn]) -> None:
    """Refuses a text with more bytes than its column allows."""
    for position, target in enumerate(columns):
        limit = target.byte_limit
        if limit is None:
            continue
        longest = pc.max(pc.binary_length(batch.column(position))).as_py()
        if longest is not None and longest > limit:
            raise RedshiftError(
                "XX000",
                "Spectrum Scan Error",
                f"code: 15001 context: The length of the data column {target.name} is longer than the length defined "
                f"in the table. Table: {limit}, Data: {longest}",
            )
