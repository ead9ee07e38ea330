"""A shop with its S3 and its warehouse, in which the job is run as Glue runs it, in this process."""

from __future__ import annotations

import base64
import csv
import io
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Iterator

import redshift_connector
from moto.s3.models import s3_backends

from jobs.arguments import parse_arguments
from jobs.errors import JobError
from jobs.load_dimensions import load_dimensions
from jobs.process_transactions import process_transactions
from local.redshift import Warehouse
from schemas import sql
from schemas.drops import Drop, report_key
from schemas.reports import Report
from schemas.tables import COUNTS, FACT_TRANSACTIONS, LOAD_LEDGER
from tests import oracle

ACCOUNT = "123456789012"
DATABASE_USER = "IAMR:laptop"
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
    error: Exception | None = None
    """What the last run raised."""
    _connection: Any = field(default=None, repr=False)

    def upload(self, key: str, content: bytes, uploaded_at: datetime | None = None) -> oracle.Drop:
        """Put a new version of an object, uploaded when the test says."""
        version_id = self.s3.put_object(Bucket=self.drop_bucket, Key=key, Body=content)["VersionId"]
        if uploaded_at is not None:
            # S3 stamps what it stores; to have ties and any order, the stamp is set where moto keeps it.
            stored = s3_backends[ACCOUNT]["aws"].get_object(self.drop_bucket, key, version_id=version_id)
            assert stored is not None
            stored.last_modified = uploaded_at
        head = self.s3.head_object(Bucket=self.drop_bucket, Key=key, VersionId=version_id)
        return oracle.Drop(
            bucket=self.drop_bucket,
            key=key,
            version_id=version_id,
            uploaded_at=head["LastModified"].astimezone(timezone.utc).replace(tzinfo=None),
            content=content,
        )

    def run(self, drop: oracle.Drop, attempt: int = 1) -> Report:
        """One attempt at a drop; its report, whether it succeeded or not. What it raised is in `error`."""
        job = load_dimensions if drop.key.startswith("dimensions/") else process_transactions
        self.error = None
        try:
            job(parse_arguments(self.arguments(drop, attempt)))
        except JobError as error:
            self.error = error
        key = report_key(Drop(drop.bucket, drop.key, drop.version_id).load_id, attempt)
        body = self.s3.get_object(Bucket=self.work_bucket, Key=key)["Body"].read()
        report = Report.from_json(body.decode("utf-8"))
        assert (report.outcome == "failed") == (self.error is not None), "the report must say what the run did"
        return report

    def arguments(self, drop: oracle.Drop, attempt: int = 1) -> list[str]:
        """The command line as Glue gives it, with flags of its own in between."""
        given = {
            "--job": "load_dimensions" if drop.key.startswith("dimensions/") else "process_transactions",
            "--bucket": drop.bucket,
            "--key-base64": base64.urlsafe_b64encode(drop.key.encode()).decode(),
            "--version-id": drop.version_id,
            "--attempt": str(attempt),
            "--work-bucket": self.work_bucket,
            "--workgroup": "laptop",
            "--host": self.warehouse.host,
            "--port": str(self.warehouse.port),
            "--database": self.database,
            "--account-id": ACCOUNT,
            "--region": "us-east-1",
            "--copy-role-arn": self.copy_role_arn,
            "--max-reject-ratio": self.max_reject_ratio,
            "--amount-classes": self.amount_classes,
        }
        glue = ["--enable-metrics", "--job-language", "python", "--TempDir", "s3://somewhere/", "--python-version", "3.9"]
        return glue + [token for pair in given.items() for token in pair]

    def load_dimension_rows(self, products: oracle.Products, customers: oracle.Customers) -> list[oracle.Drop]:
        """Upload and load both dimensions; the drops."""
        first = datetime(2023, 1, 1, tzinfo=timezone.utc)
        drops = [
            self.upload("dimensions/dim_products.csv", csv_bytes(PRODUCTS, products.values()), first),
            self.upload("dimensions/dim_customers.csv", csv_bytes(CUSTOMERS, customers.values()), first),
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
        assert len(by_id) == len(rows), "a transaction_id stands twice in the fact"
        return by_id

    def comparable_fact(self) -> dict[str, dict[str, Any]]:
        """The fact as the oracle's Warehouse.columns() gives it."""
        names = (*oracle.BUSINESS_COLUMNS, *oracle.LINEAGE_COLUMNS)
        return {key: {name: row[name] for name in names} for key, row in sorted(self.fact().items())}

    def ledger(self) -> dict[str, dict[str, Any]]:
        rows = self.sql(f"SELECT {', '.join(LOAD_LEDGER.names)} FROM load_ledger")
        by_id = {row["load_id"]: row for row in rows}
        assert len(by_id) == len(rows), "a load stands twice in the ledger"
        return by_id

    def ledger_counts(self) -> dict[str, dict[str, int]]:
        return {load_id: {name: row[name] for name in COUNTS} for load_id, row in self.ledger().items()}

    def rejected(self, report: Report) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Header and lines of a load's rejected file."""
        assert report.rejected_uri is not None
        bucket, _, key = report.rejected_uri.removeprefix("s3://").partition("/")
        text = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode("utf-8")
        header, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        return tuple(header), [tuple(line) for line in lines]

    def left_staged(self) -> list[str]:
        """Keys below staging/: none should be left when a run is over."""
        found = self.s3.list_objects_v2(Bucket=self.work_bucket, Prefix="staging/")
        return [entry["Key"] for entry in found.get("Contents", ())]

    def clean(self) -> None:
        """An empty fact and ledger, the dimensions as they are."""
        for table in ("fact_transactions", "load_ledger"):
            self.sql(f"DELETE FROM {table}")

    def with_database(self, database: str) -> Shop:
        """The same S3 with another database, its tables created."""
        shop = replace(self, database=database, _connection=None)
        for statement in sql.create_tables():
            shop.sql(statement)
        # One user for both jobs; which of them may do what is tested where they have roles of their own.
        for statement in sql.grants(process_transactions_user=DATABASE_USER, load_dimensions_user=DATABASE_USER):
            if statement.startswith("GRANT"):
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
