"""The warehouse as the program makes it: opened with its namespace, reached by its workgroup, asked by the Data API."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import redshift_connector

from local.aws import Aws
from local.iam_middleware import Denied
from local.permissions import RequiredPermission
from redshift_emulator import Warehouse

# A namespace that is being opened is there within seconds; what waits longer waits for one that nobody declared.
_OPENING_SECONDS = 60

_environment_lock = threading.Lock()


@dataclass
class ProgramWarehouse:
    """Nothing until the program declares a namespace."""

    aws: Aws
    workgroup_arns: list[str] = field(default_factory=list)
    _opened: Future[Warehouse] = field(default_factory=Future)
    _connections: dict[str, Any] = field(default_factory=dict)

    def open(self, database: str, admin_user: str) -> None:
        """Start it, with its first database."""
        try:
            self._opened.set_result(
                Warehouse.start(
                    s3_endpoint_url=self.aws.url,
                    database=database,
                    admin_user=admin_user,
                    role_of=self._role_that_signs_in,
                    service_credentials=("redshift-serverless.amazonaws.com", "laptop"),
                )
            )
        except BaseException as error:
            self._opened.set_exception(error)
            raise

    def running(self) -> Warehouse:
        """The warehouse, once it is open; raises TimeoutError when it never will be."""
        return self._opened.result(_OPENING_SECONDS)

    def stop(self) -> None:
        for connection in self._connections.values():
            connection.close()
        if self._opened.done() and self._opened.exception() is None:
            self._opened.result().stop()

    def run(self, database: str, sql: str) -> None:
        """A statement of the Data API, as the admin user."""
        if database not in self._connections:
            self._connections[database] = self.connect(database)
        self._connections[database].cursor().execute(sql)

    def connect(self, database: str) -> Any:
        """A connection of the admin user, each statement its own transaction."""
        warehouse = self.running()
        with _trusting(warehouse):
            connection = redshift_connector.connect(**warehouse.admin_connection(database))
        connection.autocommit = True
        return connection

    def _role_that_signs_in(self, access_key: str) -> str:
        role = self.aws.gate.role_of(access_key)
        if role is None:
            raise PermissionError(f"the access key {access_key} is no role's")
        try:
            for arn in self.workgroup_arns:
                self.aws.gate.check(role, RequiredPermission("redshift-serverless:GetCredentials", arn))
        except Denied as denied:
            self.aws.gate.denials.append(str(denied))
            raise PermissionError(str(denied)) from denied
        return role


@contextmanager
def _trusting(warehouse: Warehouse) -> Iterator[None]:
    """The driver takes whom it trusts from the process's environment alone."""
    name = "SSL_CERT_FILE"
    with _environment_lock:
        before = os.environ.get(name)
        os.environ[name] = warehouse.client_environment()[name]
        try:
            yield
        finally:
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before
