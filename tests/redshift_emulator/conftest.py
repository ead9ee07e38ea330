"""One warehouse and one S3 for the whole run; a database of its own for every test."""

from __future__ import annotations

import gc
import io
import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import polars as pl
import pytest
import redshift_connector
from moto.server import ThreadedMotoServer

from redshift_emulator import Warehouse


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The production driver makes its TLS context in a way that Python 3.11 deprecates; we cannot fix that."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("ignore:ssl.SSLContext\\(\\) without protocol:DeprecationWarning"))
        item.add_marker(pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is deprecated:DeprecationWarning"))


@pytest.fixture(scope="session")
def refused_sign_in() -> Callable[..., Exception]:
    """Signs in and must not succeed: the error."""

    def refused(**connection: Any) -> Exception:
        # the driver does not close its socket when the sign-in is refused, which we cannot fix
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            try:
                redshift_connector.connect(**connection).close()
            except Exception as error:
                refusal = error.with_traceback(None)
                refusal.__context__ = refusal.__cause__ = None
            else:
                pytest.fail("the warehouse let the client in")
            gc.collect()
        return refusal

    return refused


@pytest.fixture(scope="package")
def s3_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="package")
def warehouse(s3_url: str) -> Iterator[Warehouse]:
    with Warehouse.start(s3_endpoint_url=s3_url) as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.client_environment().items():
            patch.setenv(name, value)
        patch.setenv("AWS_ACCESS_KEY_ID", "laptop")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "laptop")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield running


@dataclass
class Database:
    """A clean database and the sessions that a test opens on it."""

    warehouse: Warehouse
    name: str
    opened: list[Any] = field(default_factory=list)

    def session(self, *, role: bool = False) -> Session:
        """A session of the admin user, or signed in by IAM as the job does."""
        how = self.warehouse.iam_connection(self.name) if role else self.warehouse.admin_connection(self.name)
        connection = redshift_connector.connect(**how)
        self.opened.append(connection)
        return Session(connection)


@dataclass
class Session:
    """A connection of the production driver, outside a transaction until the test says BEGIN."""

    connection: Any

    def __post_init__(self) -> None:
        self.connection.autocommit = True

    def run(self, sql: str, *binds: object) -> list[list[Any]]:
        """Runs one statement: its rows, if it has any."""
        cursor = self.connection.cursor()
        cursor.execute(sql, binds or None)
        return [list(row) for row in cursor.fetchall()] if cursor.description else []

    def error(self, sql: str, *binds: object) -> dict[str, str]:
        """Runs a statement that must fail: the fields of the error, S, C, M, D."""
        with pytest.raises((redshift_connector.ProgrammingError, redshift_connector.InterfaceError)) as caught:
            self.run(sql, *binds)
        return dict(caught.value.args[0])


@pytest.fixture
def database(warehouse: Warehouse) -> Iterator[Database]:
    fresh = Database(warehouse, warehouse.fresh_database())
    yield fresh
    for connection in fresh.opened:
        if connection._sock is not None:
            connection.close()
    warehouse.drop_database(fresh.name)


@pytest.fixture
def session(database: Database) -> Session:
    return database.session()


@dataclass
class Bucket:
    """A bucket of the test's own, and what COPY needs to stand in it."""

    client: Any
    name: str

    def put_frame(self, frame: pl.DataFrame, key: str, **options: Any) -> int:
        """Writes a frame as Parquet as the job does: the object's bytes."""
        body = io.BytesIO()
        frame.write_parquet(body, compression="snappy", **options)
        return self.put(key, body.getvalue())

    def put(self, key: str, body: bytes) -> int:
        """Writes an object: its bytes."""
        self.client.put_object(Bucket=self.name, Key=key, Body=body)
        return len(body)

    def put_manifest(self, *entries: dict[str, Any], key: str = "manifest.json") -> str:
        """Writes a manifest: its URL."""
        self.put(key, json.dumps({"entries": list(entries)}).encode())
        return f"s3://{self.name}/{key}"

    def entry(self, key: str, length: int | None, *, mandatory: bool = True) -> dict[str, Any]:
        """A manifest's entry."""
        meta = {} if length is None else {"meta": {"content_length": length}}
        return {"url": f"s3://{self.name}/{key}", "mandatory": mandatory, **meta}

    def manifest_of(self, frame: pl.DataFrame, **options: Any) -> str:
        """One frame, staged as the job stages it: the manifest's URL."""
        return self.put_manifest(self.entry("part.parquet", self.put_frame(frame, "part.parquet", **options)))

    def keys(self, prefix: str = "") -> list[str]:
        """The keys under a prefix."""
        response = self.client.list_objects_v2(Bucket=self.name, Prefix=prefix)
        return [entry["Key"] for entry in response.get("Contents", [])]

    def frame(self, key: str) -> pl.DataFrame:
        """A Parquet object as a frame."""
        return pl.read_parquet(io.BytesIO(self.client.get_object(Bucket=self.name, Key=key)["Body"].read()))


@pytest.fixture
def bucket(s3_url: str, database: Database) -> Bucket:
    client = boto3.client("s3", endpoint_url=s3_url, region_name="us-east-1")
    name = database.name.replace("_", "-")
    client.create_bucket(Bucket=name)
    return Bucket(client, name)
