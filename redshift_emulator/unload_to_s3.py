"""UNLOAD ('select …') TO 's3://…' FORMAT AS PARQUET: writes the rows of a query to S3 as Parquet."""

from __future__ import annotations

import io
import json
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import sqlglot
from sqlglot.errors import SqlglotError

from redshift_emulator import wire
from redshift_emulator.backend import Backend, BackendError
from redshift_emulator.clauses import Words, iam_role, switch
from redshift_emulator.errors import RedshiftError
from redshift_emulator.refusals import refusals_of
from redshift_emulator.s3 import ObjectName, ObjectStore
from redshift_emulator.threads import in_thread
from redshift_emulator.tokens import Statement, statements

_CSV_BYTES_AT_ONCE = 16 << 20


@dataclass(frozen=True)
class UnloadCommand:
    """An UNLOAD to Parquet that Redshift accepts; `select` is rewritten for PostgreSQL."""

    select: str
    prefix: str
    iam_role: str | None
    parallel: bool
    manifest: bool
    overwrites: bool
    cleans: bool


def unload_command(statement: Statement, rewrite: Callable[[Statement], str]) -> UnloadCommand:
    """Parses an UNLOAD statement; raises RedshiftError where Redshift refuses it."""
    words = Words(statement)
    words.expect("UNLOAD", "(")
    select = _select(words.literal(), rewrite)
    words.expect(")", "TO")
    prefix = words.literal()
    role: str | None = None
    authorised = parquet = manifest = overwrites = cleans = False
    parallel = True
    while words.left:
        if words.maybe("IAM_ROLE"):
            role, authorised = iam_role(words), True
        elif words.maybe("FORMAT"):
            words.maybe("AS")
            parquet = words.maybe("PARQUET")
            if not parquet:
                break
        elif words.maybe("PARQUET"):
            parquet = True
        elif words.maybe("MANIFEST"):
            manifest = True
        elif words.maybe("ALLOWOVERWRITE"):
            overwrites = True
        elif words.maybe("CLEANPATH"):
            cleans = True
        elif words.maybe("PARALLEL"):
            parallel = switch(words)
        elif words.maybe("CREDENTIALS") or words.maybe("ACCESS_KEY_ID") or words.maybe("WITH"):
            raise RedshiftError("XX000", "the emulator takes IAM_ROLE only: no keys in SQL")
        else:
            raise RedshiftError("0A000", f"{words.name().upper()} is not supported by the emulator's UNLOAD")
    if not parquet:
        raise RedshiftError("0A000", "the emulator unloads FORMAT AS PARQUET only")
    if not authorised:
        raise RedshiftError("XX000", "UNLOAD needs an authorization: IAM_ROLE default or IAM_ROLE 'arn:…'")
    if overwrites and cleans:
        raise RedshiftError("42601", "CLEANPATH cannot be used with ALLOWOVERWRITE")
    return UnloadCommand(select, prefix, role, parallel, manifest, overwrites, cleans)


def _select(sql: str, rewrite: Callable[[Statement], str]) -> str:
    parsed = statements(sql)
    if len(parsed) != 1 or parsed[0].tokens[0].shape not in ("SELECT", "WITH"):
        raise RedshiftError("42601", "UNLOAD takes one SELECT")
    refused = refusals_of(parsed[0])
    if refused:
        raise RedshiftError(refused[0].sqlstate, refused[0].message)
    try:
        limited = sqlglot.parse_one(parsed[0].text, read="redshift").args.get("limit") is not None
    except SqlglotError as error:
        raise RedshiftError("42601", f"syntax error in the SELECT of UNLOAD: {error}") from error
    if limited:
        raise RedshiftError("0A000", "Limit clause is not supported in the outer SELECT of UNLOAD")
    return rewrite(parsed[0])


async def emulate_unload(command: UnloadCommand, backend: Backend, store: ObjectStore) -> None:
    """Writes the query's rows to S3; raises RedshiftError for a prefix with objects, unless an option allows it."""
    prefix = ObjectName.of(command.prefix)
    schema = await _schema(command.select, backend)
    existing = await in_thread(store.under, prefix, command.iam_role)
    if existing and command.cleans:
        for name in existing:
            await in_thread(store.delete, name, command.iam_role)
    elif existing and not command.overwrites:
        raise RedshiftError(
            "XX000",
            "Specified unload destination on S3 is not empty. Consider using a different bucket / prefix, manually "
            "removing the target files in S3, or using the ALLOWOVERWRITE option.",
        )
    part = "0000_part_00.parquet" if command.parallel else "000.parquet"
    target = ObjectName(prefix.bucket, prefix.key + part)
    with tempfile.TemporaryDirectory(prefix="redshift-unload-") as folder:
        path = Path(folder) / part
        await _write(command.select, schema, backend=backend, path=path)
        await in_thread(store.upload, path, target, command.iam_role)
        if command.manifest:
            listing = {"entries": [{"url": target.url, "meta": {"content_length": path.stat().st_size}}]}
            text = Path(folder) / "manifest"
            text.write_text(json.dumps(listing))
            manifest = ObjectName(prefix.bucket, prefix.key + "manifest")
            await in_thread(store.upload, text, manifest, command.iam_role)


async def _schema(select: str, backend: Backend) -> pa.Schema:
    """The columns of the query, from PostgreSQL's description of it, without running it."""
    name = b"redshift_unload"
    backend.writer.write(
        wire.parse_message(name, select)
        + wire.framed(b"D", b"S" + name + b"\0")
        + wire.framed(b"C", b"S" + name + b"\0")
        + wire.SYNC
    )
    columns: list[wire.ResultColumn] = []
    error: BackendError | None = None
    while (message := await backend.receive()).kind != b"Z":
        if message.kind == b"T":
            columns = wire.row_description(message.body)
        elif message.kind == b"E":
            error = BackendError(wire.error_fields(message.body))
    if error is not None:
        raise error
    return pa.schema([pa.field(column.name, _arrow_type(column)) for column in columns])


_ARROW_TYPES = {
    16: pa.bool_(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    25: pa.string(),
    700: pa.float32(),
    701: pa.float64(),
    1042: pa.string(),
    1043: pa.string(),
    1082: pa.date32(),
    1114: pa.timestamp("us"),
}
_NUMERIC = 1700


def _arrow_type(column: wire.ResultColumn) -> pa.DataType:
    if column.type_oid == _NUMERIC:
        if column.type_modifier < 0:
            raise RedshiftError(
                "0A000",
                f'the emulator does not know the precision of column "{column.name}": CAST it AS DECIMAL(p, s)',
            )
        modifier = column.type_modifier - 4
        return pa.decimal128(modifier >> 16, modifier & 0x7FF)
    if column.type_oid not in _ARROW_TYPES:
        raise RedshiftError("0A000", f'column "{column.name}" has a type that UNLOAD to PARQUET does not support')
    return _ARROW_TYPES[column.type_oid]


async def _write(select: str, schema: pa.Schema, *, backend: Backend, path: Path) -> None:
    """Runs the query and writes its rows into a Parquet file, some megabytes of CSV at a time."""
    backend.writer.write(wire.query_message(f"COPY ({select}) TO STDOUT (FORMAT csv, FORCE_QUOTE *)"))
    error: BackendError | None = None
    lines: list[bytes] = []
    held = 0
    writer = pq.ParquetWriter(path, schema, version="1.0", compression="snappy", store_decimal_as_integer=True)
    with writer:
        left = b""
        ready = False
        # PostgreSQL sends one message per row; one read returns many of them, which are split here
        while not ready:
            received = await backend.reader.read(1 << 20)
            if not received:
                raise ConnectionError("PostgreSQL closed the connection")
            left = left + received if left else received
            position, end = 0, len(left)
            while position + 5 <= end:
                (length,) = _LENGTH(left, position + 1)
                after = position + 1 + length
                if after > end:
                    break
                kind = left[position]
                if kind == _COPY_DATA:
                    lines.append(left[position + 5 : after])
                    held += length
                elif kind == _ERROR:
                    error = BackendError(wire.error_fields(left[position + 5 : after]))
                elif kind == _READY:
                    backend.status = left[position + 5 : after]
                    ready = True
                position = after
            left = left[position:]
            if held >= _CSV_BYTES_AT_ONCE:
                await in_thread(_write_rows, writer, lines, schema)
                lines, held = [], 0
        if error is not None:
            raise error
        if lines:
            await in_thread(_write_rows, writer, lines, schema)


_LENGTH = struct.Struct("!i").unpack_from
_COPY_DATA, _ERROR, _READY = b"dEZ"


def _write_rows(writer: pq.ParquetWriter, lines: list[bytes], schema: pa.Schema) -> None:
    table = pa.csv.read_csv(
        io.BytesIO(b"".join(lines)),
        read_options=pa.csv.ReadOptions(column_names=schema.names),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types=schema,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )
    writer.write_table(table)
