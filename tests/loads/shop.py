"""A shop with its S3 and its warehouse, in which the job is run as Glue runs it, in this process."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

import redshift_connector
from moto.s3.models import s3_backends

import jobs.process_transactions
from jobs.arguments import parse_arguments
from jobs.errors import JobError
from jobs.load.session import WarehouseSession
from jobs.load.transactions import Committed, load
from jobs.load_dimensions import load_dimensions
from jobs.process_transactions import process_transactions
from jobs.s3 import Prefix
from redshift_emulator import Warehouse
from schemas.counts import Counts
from schemas.drops import SOURCE_UPLOADED_AT, Drop
from schemas.reports import Report
from schemas.runs import LOAD, PLAN, ArchivedCopy, RunArguments, encode_job_arguments
from schemas.sources import DEFAULT, SourceSettings
from schemas.warehouse import ddl
from schemas.warehouse.tables import COUNTS, FACT_TRANSACTIONS, LOAD_LEDGER, STAGED_TRANSACTIONS
from schemas.work_bucket import plan_key, planned_key, report_key
from tests import oracle
from tests.jobs.dry_run import refusal_kinds
from tests.oracle.files import read_cells
from tests.oracle.text import Refused
from tests.strategies.hostile_content import HEADER, SOUND_DAY

ACCOUNT = "123456789012"
DATABASE_USER = "IAMR:developer"
FIRST_UPLOAD = datetime(2023, 1, 1, tzinfo=UTC)
_EPOCH = datetime(2000, 1, 1)
PRODUCTS = ("product_id", "product_name", "category", "price", "supplier_id")
CUSTOMERS = ("customer_id", "first_name", "last_name", "email", "membership_level")


@dataclass
class Shop:
    warehouse: Warehouse
    s3: Any
    drop_bucket: str
    work_bucket: str
    database: str
    copy_role_arn: str
    max_reject_ratio: str = "0.5"
    amount_classes: str = "Small:0,Medium:100,Large:1000"
    keep_history: str = "true"
    same_key: str = "add"
    orphan_days: str = "30"
    lock_seconds: str = "300"
    source: SourceSettings = DEFAULT
    error: Exception | None = None
    """The error of the last run."""
    _connection: Any = field(default=None, repr=False)

    def upload(self, key: str, content: bytes, uploaded_at: datetime | None = None) -> oracle.Drop:
        """Put a new version of an object, uploaded when the test says."""
        version_id = self.s3.put_object(Bucket=self.drop_bucket, Key=key, Body=content)["VersionId"]
        if uploaded_at is not None:
            # S3 sets the time itself. Tests need ties and any order, so they set it where moto stores it.
            stored = s3_backends[ACCOUNT]["aws"].get_object(self.drop_bucket, key, version_id=version_id)
            assert stored is not None
            stored.last_modified = uploaded_at
        head = self.s3.head_object(Bucket=self.drop_bucket, Key=key, VersionId=version_id)
        return oracle.Drop(
            bucket=self.drop_bucket,
            key=key,
            version_id=version_id,
            uploaded_at=head["LastModified"].astimezone(UTC).replace(tzinfo=None),
            content=content,
        )

    def run(
        self, drop: oracle.Drop, attempt: int = 1, operation: str = LOAD, archived: ArchivedCopy | None = None
    ) -> Report:
        """Run one attempt at a drop and return its report, also after a failure. Its exception is in `error`."""
        job = load_dimensions if drop.key.startswith("dimensions/") else process_transactions
        self.error = None
        try:
            job(parse_arguments(self.arguments(drop, attempt, operation, archived)))
        except JobError as error:
            self.error = error
        key = report_key(Drop(drop.bucket, drop.key, drop.version_id).load_id, attempt)
        body = self.s3.get_object(Bucket=self.work_bucket, Key=key)["Body"].read()
        report = Report.from_json(body.decode("utf-8"))
        assert (report.outcome == "failed") == (self.error is not None), "report and run must agree on the outcome"
        return report

    def plan(self, key: str, content: bytes, uploaded_at: datetime) -> Report:
        """The job's plan for a file that is not dropped. File and plan are deleted, as by `pipeline plan`."""
        drop = oracle.Drop(self.drop_bucket, key, "planned", uploaded_at, content)
        # The work bucket of these tests keeps no versions; the one on AWS does.
        file = {"Bucket": self.drop_bucket, "Key": planned_key(drop.load_id)}
        metadata = {SOURCE_UPLOADED_AT: uploaded_at.isoformat()}
        version_id = self.s3.put_object(**file, Body=content, Metadata=metadata)["VersionId"]
        job = load_dimensions if key.startswith("dimensions/") else process_transactions
        job(parse_arguments(self.arguments(drop, 1, PLAN, ArchivedCopy(*file.values(), version_id))))
        answer = {"Bucket": self.work_bucket, "Key": plan_key(drop.load_id)}
        body = self.s3.get_object(**answer)["Body"].read()
        self.s3.delete_object(**answer)
        self.s3.delete_object(**file, VersionId=version_id)
        return Report.from_json(body.decode("utf-8"))

    def arguments(
        self, drop: oracle.Drop, attempt: int = 1, operation: str = LOAD, archived: ArchivedCopy | None = None
    ) -> list[str]:
        """The command line as Glue gives it, with flags of its own in between."""
        job = encode_job_arguments(
            {
                "job": "load_dimensions" if drop.key.startswith("dimensions/") else "process_transactions",
                "work_bucket": self.work_bucket,
                "workgroup": "laptop",
                "host": self.warehouse.host,
                "port": str(self.warehouse.port),
                "database": self.database,
                "account_id": ACCOUNT,
                "region": "us-east-1",
                "copy_role_arn": self.copy_role_arn,
                "max_reject_ratio": self.max_reject_ratio,
                "amount_classes": self.amount_classes,
                "keep_history": self.keep_history,
                "same_key": self.same_key,
                "orphan_days": self.orphan_days,
                "warehouse_lock_seconds": self.lock_seconds,
                "source_settings": self.source.to_argument(),
            }
        )
        given = {
            **job,
            **RunArguments(Drop(drop.bucket, drop.key, drop.version_id), attempt, operation, archived).encode(),
        }
        glue = ["--enable-metrics", "--job-language", "python", "--TempDir", "s3://elsewhere/"]
        return glue + [token for pair in given.items() for token in pair]

    def load_dimension_rows(self, products: oracle.Products, customers: oracle.Customers) -> list[oracle.Drop]:
        """Upload and load both dimensions; the drops."""
        drops = [
            self.upload("dimensions/dim_products.csv", csv_bytes(PRODUCTS, products.values()), FIRST_UPLOAD),
            self.upload("dimensions/dim_customers.csv", csv_bytes(CUSTOMERS, customers.values()), FIRST_UPLOAD),
        ]
        for drop in drops:
            report = self.run(drop)
            assert report.outcome == "succeeded", report.error
        return drops

    def sql(self, statement: str) -> list[dict[str, Any]]:
        """Rows as the admin user sees them, committed."""
        connection = self._admin()
        cursor = connection.cursor()
        cursor.execute(statement)
        if cursor.description is None:
            return []
        names = [column[0].decode() if isinstance(column[0], bytes) else column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def fact(self) -> dict[str, dict[str, Any]]:
        """The fact by transaction_id, every column."""
        rows = self.sql(f"SELECT {', '.join(FACT_TRANSACTIONS.names)} FROM fact_transactions")
        by_id = {row["transaction_id"]: row for row in rows}
        assert len(by_id) == len(rows), "a transaction_id occurs twice in the fact"
        return by_id

    def comparable_fact(self) -> dict[str, dict[str, Any]]:
        """The fact as the oracle's Warehouse.columns() gives it."""
        names = (*oracle.BUSINESS_COLUMNS, *oracle.LINEAGE_COLUMNS)
        return {key: {name: row[name] for name in names} for key, row in sorted(self.fact().items())}

    def ledger_entries(self) -> list[dict[str, Any]]:
        """Every commit that the ledger has, in the order of the attempts at each load."""
        return self.sql(f"SELECT {', '.join(LOAD_LEDGER.names)} FROM load_ledger ORDER BY load_id, attempt")

    def ledger(self) -> dict[str, dict[str, Any]]:
        """The first commit of each load."""
        entries = self.ledger_entries()
        first = {row["load_id"]: row for row in reversed(entries)}
        assert len(first) == sum(row["event"] == "load" for row in entries), "a load is committed first only once"
        return first

    def history(self) -> list[dict[str, Any]]:
        return self.sql("SELECT * FROM transaction_history ORDER BY transaction_id, drop_precedence, source_line")

    def amounts(self) -> list[dict[str, Any]]:
        return self.sql("SELECT * FROM ledger_amounts ORDER BY load_id, attempt, amount_class, status")

    def waiting(self) -> list[dict[str, Any]]:
        return self.sql("SELECT * FROM waiting_rows ORDER BY load_id, source_line")

    def assert_books_balance(self) -> None:
        """Ledger, amounts, history and fact agree on every transaction."""
        fact, entries = self.fact(), self.ledger_entries()
        for entry in entries:
            assert entry["rows_read"] == sum(entry[name] for name in COUNTS[1:]), entry
        assert sum(entry["inserted"] - entry["removed"] for entry in entries) == len(fact)
        booked: dict[tuple[str, str], list[Any]] = {}
        for row in self.amounts():
            actual = booked.setdefault((row["amount_class"], row["status"]), [0, Decimal(0)])
            actual[0] += row["row_count"]
            actual[1] += row["amount"]
            assert row["is_sale"] == (row["status"] not in ("cancelled", "refunded"))
        held: dict[tuple[str, str], list[Any]] = {}
        for row in fact.values():
            actual = held.setdefault((row["amount_class"], row["status"]), [0, Decimal(0)])
            actual[0] += 1
            actual[1] += row["total_amount"]
        assert {key: value for key, value in booked.items() if any(value)} == held
        if self.keep_history == "true":
            self.assert_fact_is_maximum_of_history()

    def assert_fact_is_maximum_of_history(self) -> None:
        """The fact has, for each id, the history's counting row with the highest precedence."""

        def precedence(row: dict[str, Any]) -> tuple[Any, ...]:
            return row["event_precedence"], row["drop_precedence"].encode(), row["source_line"]

        best: dict[str, dict[str, Any]] = {}
        for row in self.history():
            standing = best.get(row["transaction_id"])
            if not row["is_superseded"] and (standing is None or precedence(row) > precedence(standing)):
                best[row["transaction_id"]] = row
        names = STAGED_TRANSACTIONS.names
        expected = {key: {name: row[name] for name in names} for key, row in sorted(best.items())}
        assert {key: {name: row[name] for name in names} for key, row in sorted(self.fact().items())} == expected

    def ledger_counts(self) -> dict[str, dict[str, int]]:
        return {load_id: {name: row[name] for name in COUNTS} for load_id, row in self.ledger().items()}

    def rejected(self, report: Report) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Header and lines of a load's rejected file."""
        assert report.rejected_uri is not None
        bucket, _, key = report.rejected_uri.removeprefix("s3://").partition("/")
        body = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        header, *lines = read_cells(body)
        return header, lines

    def left_staged(self) -> list[str]:
        """Keys below staging/: none should be left when a run is over."""
        response = self.s3.list_objects_v2(Bucket=self.work_bucket, Prefix="staging/")
        return [entry["Key"] for entry in response.get("Contents", ())]

    def drop(
        self, *lines: str, day: date = SOUND_DAY, name: str = "day.csv", uploaded_at: datetime | None = None
    ) -> oracle.Drop:
        """Upload a file of these lines below the contract's header."""
        content = "".join(f"{line}\n" for line in (HEADER, *lines)).encode()
        return self.upload(key_of(day, name), content, uploaded_at)

    def load(self, *lines: str, **where: Any) -> Report:
        """Drop a file and load it, which must succeed."""
        report = self.run(self.drop(*lines, **where))
        assert self.error is None, str(self.error)
        self.assert_books_balance()
        return report

    def clean(self, *, dimensions: bool = False) -> None:
        """Empty the fact and the ledger, and the dimensions too if requested."""
        emptied = ("fact_transactions", "load_ledger", "ledger_amounts", "transaction_history", "waiting_rows")
        for table in (*emptied, *(("dim_products", "dim_customers") if dimensions else ())):
            self.sql(f"DELETE FROM {table}")

    def stamp(self, load: int) -> None:
        """Mark the rows written since the last stamp as written by this load: GETDATE() has whole seconds only."""
        for column in ("loaded_at", "updated_at"):
            self.sql(
                f"UPDATE fact_transactions SET {column} = '{_EPOCH + timedelta(load)}' WHERE {column} > '2020-01-01'"
            )

    def stamps(self) -> dict[str, tuple[int, int]]:
        """By transaction_id: the loads that last wrote the row, and last changed its values."""
        return {
            transaction_id: ((row["loaded_at"] - _EPOCH).days, (row["updated_at"] - _EPOCH).days)
            for transaction_id, row in self.fact().items()
        }

    def run_alone(self, drop: oracle.Drop, attempt: int = 1) -> Report:
        """Like `run`, for a thread."""
        return replace(self).run(drop, attempt)

    def session(self) -> WarehouseSession:
        """Signs in as the job does."""
        anything = oracle.Drop(bucket="b", key="k", version_id="v", uploaded_at=_EPOCH)
        return WarehouseSession(parse_arguments(self.arguments(anything)).warehouse)

    def stage(self, drop: oracle.Drop, attempt: int = 1) -> Callable[[WarehouseSession], Committed]:
        """Validate and stage a drop. The returned function loads it at each call."""
        given: list[tuple[Any, ...]] = []

        def note(_: WarehouseSession, *arguments: Any) -> Committed:
            given.append(arguments)
            return Committed("load", Counts())

        with ExitStack() as patches:
            patches.enter_context(mock.patch.object(jobs.process_transactions, "load", note))
            patches.enter_context(mock.patch.object(Prefix, "delete"))
            self.run(drop, attempt)
        (arguments,) = given
        return lambda session: load(session, *arguments)

    def clean_stage(self) -> None:
        for key in self.left_staged():
            self.s3.delete_object(Bucket=self.work_bucket, Key=key)

    def assert_equals(self, model: oracle.Warehouse) -> None:
        """Fact with lineage, ledger and leftover files equal the oracle's."""
        assert self.comparable_fact() == model.columns()
        assert self.ledger_counts() == {load_id: counts_of(entry.counts) for load_id, entry in model.ledger.items()}
        assert self.left_staged() == []
        self.assert_books_balance()

    def load_as(self, model: oracle.Warehouse, drop: oracle.Drop, attempt: int = 1) -> Report:
        """Load a drop here and in the model; both must have the same result."""
        committed_before = model.ledger.get(drop.load_id)
        expected = load_or_refuse(model, drop)
        report = self.run(drop, attempt)
        if isinstance(expected, Refused):
            assert self.error is not None
            assert refusal_kinds(self.error) <= expected.kinds
            assert report.counts is None
        else:
            assert self.error is None, str(self.error)
            assert report.counts == counts_of(expected)
            assert report.reused_ids.known_ids == model.reused
            assert report.first_commit == (counts_of(committed_before.counts) if committed_before else None)
        self.stamp(model.loads)
        self.assert_equals(model)
        assert self.stamps() == {key: (row.last_loaded_by, row.last_changed_by) for key, row in model.fact.items()}
        return report

    def with_database(self, database: str) -> Shop:
        """The same S3 with another database, its tables created."""
        shop = replace(self, database=database, _connection=None)
        for statement in ddl.create_tables():
            shop.sql(statement)
        # One user for both jobs. Tests of rights (test_grants.py) give each job its own role.
        for statement in ddl.grants(process_transactions_user=DATABASE_USER, load_dimensions_user=DATABASE_USER):
            shop.sql(statement)
        return shop

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _admin(self) -> Any:
        if self._connection is None:
            self._connection = redshift_connector.connect(**self.warehouse.admin_connection(self.database))
            self._connection.autocommit = True
        return self._connection


def load_or_refuse(model: oracle.Warehouse, drop: oracle.Drop) -> oracle.Counts | Refused:
    try:
        return model.load(drop)
    except Refused as refused:
        return refused


def key_of(day: date, name: str) -> str:
    return f"transactions/year={day:%Y}/month={day:%m}/day={day:%d}/{name}"


def csv_bytes(header: tuple[str, ...], rows: Any) -> bytes:
    """Rows of attributes as a quoted CSV."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([getattr(row, name) for name in header] for row in rows)
    return text.getvalue().encode("utf-8")


def counts_of(counts: oracle.Counts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in COUNTS}


def fresh(shop: Shop) -> Iterator[Shop]:
    """The shop with an empty database of its own."""
    name = shop.warehouse.fresh_database()
    own = shop.with_database(name)
    try:
        yield own
    finally:
        own.close()
        shop.warehouse.drop_database(name)
