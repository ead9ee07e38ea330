"""COPY … FROM 's3://…' FORMAT AS PARQUET: finds the objects and sends their rows into the session's transaction."""

from __future__ import annotations

import asyncio
import io
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from redshift_emulator import wire
from redshift_emulator.backend import Backend, BackendError
from redshift_emulator.clauses import Words, iam_role, switch
from redshift_emulator.errors import RedshiftError
from redshift_emulator.parquet_columns import TargetColumn, check_lengths, check_schema
from redshift_emulator.s3 import ObjectName, ObjectStore
from redshift_emulator.threads import in_thread
from redshift_emulator.tokens import Statement

_ROWS_AT_ONCE = 65_536
_IGNORED_KEY = re.compile(r"(?:^|/)[_.][^/]*$|\.(?:gz|gzip|bz2|bzip2|zst|zstd|snappy|lzo|lz4)$")
_ESCAPES = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"}
_BYTES_AT_ONCE = 256 << 10
"""The size of one write to the socket: asyncio copies the rest of a larger write each time it sends a part."""


@dataclass(frozen=True)
class CopyCommand:
    """A COPY of Parquet that Redshift accepts."""

    table: str
    columns: tuple[str, ...]
    """The column list as written; empty for all of the table's columns."""
    source: str
    manifest: bool
    iam_role: str | None


def copy_command(statement: Statement) -> CopyCommand:
    """Parses a COPY statement; raises RedshiftError where Redshift refuses it."""
    words = Words(statement)
    words.expect("COPY")
    table = words.name()
    while words.maybe("."):
        table += "." + words.name()
    columns: list[str] = []
    if words.maybe("("):
        columns.append(words.name())
        while words.maybe(","):
            columns.append(words.name())
        words.expect(")")
    words.expect("FROM")
    source = words.literal()
    if not source.startswith("s3://"):
        raise RedshiftError("XX000", f"the emulator copies from s3:// only, not from {source!r}")
    role: str | None = None
    authorised = parquet = manifest = False
    while words.left:
        if words.maybe("IAM_ROLE"):
            role, authorised = iam_role(words), True
        elif words.maybe("FORMAT"):
            words.maybe("AS")
            parquet = words.name().upper() == "PARQUET"
            if not parquet:
                break
        elif words.maybe("MANIFEST"):
            manifest = True
        elif words.maybe("STATUPDATE"):
            words.maybe("PRESET") or switch(words)
        elif words.maybe("ACCEPTINVCHARS"):
            pass  # strings in Parquet are always valid UTF-8
        elif words.maybe("CREDENTIALS") or words.maybe("ACCESS_KEY_ID") or words.maybe("WITH"):
            raise RedshiftError("XX000", "the emulator takes IAM_ROLE only: no keys in SQL")
        else:
            option = words.name().upper()
            raise RedshiftError("0A000", f"{option} argument is not supported for PARQUET based COPY")
    if not parquet:
        # in text formats, '' and NULL depend on options (EMPTYASNULL, NULL AS) that PostgreSQL lacks
        raise RedshiftError("0A000", "the emulator copies FORMAT AS PARQUET only")
    if not authorised:
        raise RedshiftError("XX000", "COPY needs an authorization: IAM_ROLE default or IAM_ROLE 'arn:…'")
    return CopyCommand(table, tuple(columns), source, manifest, role)


async def emulate_copy(command: CopyCommand, backend: Backend, store: ObjectStore) -> int:
    """Loads all objects into the table, or none of them; returns the number of rows."""
    columns, temporary = await _target(command, backend)
    objects = await in_thread(_objects, command, store)
    names = ", ".join(_quoted(column.name) for column in columns)
    backend.writer.write(wire.query_message(f"COPY {command.table} ({names}) FROM STDIN"))
    while (message := await backend.receive()).kind != b"G":
        if message.kind == b"E":
            error = BackendError(wire.error_fields(message.body))
            await _until_ready(backend)
            raise error
    try:
        rows = 0
        for name in objects:
            rows += await _send_object(name, columns, command=command, backend=backend, store=store)
    except BaseException:
        backend.writer.write(wire.framed(b"f", b"the load failed\0"))
        await _until_ready(backend)
        raise
    backend.writer.write(wire.COPY_DONE)
    refused = await _until_ready(backend)
    if refused is not None:
        raise refused
    if temporary and rows:
        # as Redshift does after a load; without it the planner expects the staging table to be tiny
        await backend.run(f"ANALYZE {command.table}")
    return rows


async def _until_ready(backend: Backend) -> BackendError | None:
    error = None
    while (message := await backend.receive()).kind != b"Z":
        if message.kind == b"E":
            error = BackendError(wire.error_fields(message.body))
    return error


async def _target(command: CopyCommand, backend: Backend) -> tuple[list[TargetColumn], bool]:
    """The columns to load, in the order of the file, and True for a temporary table."""
    literal = command.table.replace("\\", "\\\\").replace("'", "''")
    rows = await backend.run(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod), c.relpersistence FROM pg_attribute a"
        f" JOIN pg_class c ON c.oid = a.attrelid WHERE a.attrelid = '{literal}'::regclass"
        " AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
    )
    known = {str(name): TargetColumn(str(name), str(kind)) for name, kind, _ in rows}
    wanted = [_folded(name) for name in command.columns] or list(known)
    for name in wanted:
        if name not in known:
            raise RedshiftError("42703", f'column "{name}" of relation "{command.table}" does not exist')
    return [known[name] for name in wanted], bool(rows) and rows[0][2] == "t"


def _folded(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _objects(command: CopyCommand, store: ObjectStore) -> list[ObjectName]:
    source = ObjectName.of(command.source)
    if command.manifest:
        return [name for name in _listed(source, command, store) if not _IGNORED_KEY.search(name.key)]
    objects = [name for name in store.under(source, command.iam_role) if not _IGNORED_KEY.search(name.key)]
    if not objects:
        raise RedshiftError("XX000", f"The specified S3 prefix '{source.key}' does not exist")
    return objects


def _listed(manifest: ObjectName, command: CopyCommand, store: ObjectStore) -> Iterator[ObjectName]:
    """The objects of a manifest; each must have the size that the manifest gives."""
    text = store.read(manifest, command.iam_role)
    try:
        entries = json.loads(text)["entries"]
        listed = [(str(entry["url"]), bool(entry.get("mandatory", False)), entry.get("meta", {})) for entry in entries]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RedshiftError("XX000", f"Manifest file is not in correct json format: {manifest.url}") from error
    for url, mandatory, meta in listed:
        name = ObjectName.of(url)
        length = meta.get("content_length")
        if length is None:
            raise RedshiftError("XX000", f"Missing content_length in the manifest {manifest.url} for file {url}")
        size = store.size(name, command.iam_role)
        if size is None:
            if mandatory:
                raise RedshiftError("XX000", f"Problem reading manifest file: mandatory url {url} is missing")
            continue
        if size != length:
            raise RedshiftError(
                "XX000", f"The file {url} has {size} bytes but the manifest gives a content_length of {length}"
            )
        yield name


async def _send_object(
    name: ObjectName, columns: list[TargetColumn], *, command: CopyCommand, backend: Backend, store: ObjectStore
) -> int:
    """Streams one object's rows to PostgreSQL, in bounded memory."""
    with tempfile.TemporaryDirectory(prefix="redshift-copy-") as folder:
        path = Path(folder) / "object.parquet"
        await in_thread(store.download, name, path, command.iam_role)
        try:
            parquet = pq.ParquetFile(path)
        except pa.ArrowInvalid as error:
            raise RedshiftError("XX000", "Spectrum Scan Error", f"File '{name.url}' is not Parquet: {error}") from error
        with parquet:
            check_schema(parquet.schema, columns, file=name.url)
            batches = parquet.iter_batches(_ROWS_AT_ONCE)
            chunk = asyncio.create_task(in_thread(_next_text, batches, columns))
            try:
                while (text := await chunk) is not None:
                    # the next batch is converted while PostgreSQL reads this one
                    chunk = asyncio.create_task(in_thread(_next_text, batches, columns))
                    for start in range(0, len(text), _BYTES_AT_ONCE):
                        backend.writer.write(wire.framed(b"d", text[start : start + _BYTES_AT_ONCE]))
                        await backend.writer.drain()
            finally:
                await asyncio.gather(chunk, return_exceptions=True)
            return int(parquet.metadata.num_rows)


def _next_text(batches: Iterator[pa.RecordBatch], columns: list[TargetColumn]) -> bytes | None:
    """The next rows in PostgreSQL's text format, the fastest one that needs no Python code for each row."""
    batch = next(batches, None)
    if batch is None:
        return None
    # Polars' Enum columns are plain strings in Parquet; only Arrow restores them as dictionaries from the footer
    batch = pa.RecordBatch.from_arrays(
        [column.dictionary_decode() if pa.types.is_dictionary(column.type) else column for column in batch.columns],
        names=[column.name for column in columns],
    )
    check_lengths(batch, columns)
    frame = pl.DataFrame(pl.from_arrow(batch))
    special = [
        name for name in frame.select(pl.col(pl.String)).columns if frame[name].str.contains(r"[\\\t\n\r]").any()
    ]
    escaped = frame.with_columns(pl.col(special).str.replace_many(_ESCAPES))
    sink = io.BytesIO()
    escaped.write_csv(sink, include_header=False, separator="\t", quote_style="never", null_value=r"\N")
    return sink.getvalue()
