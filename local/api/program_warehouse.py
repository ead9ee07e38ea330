"""The warehouse that the program declares: its namespace starts it, and its workgroup gives it a name."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import redshift_connector

from local.api.aws import Aws
from local.api.aws_requests import AwsRequest
from local.api.iam_middleware import OPERATOR, Denied, Refused
from local.api.permissions import RequiredPermission
from redshift_emulator import Warehouse

# A namespace opens within seconds, on a loaded machine within a minute or two.
_OPENING_SECONDS = 300

_environment_lock = threading.Lock()


@dataclass(frozen=True)
class Workgroup:
    """A workgroup; on AWS its ARN ends in an id, not in its name."""

    name: str
    arn: str
    namespace: str
    id: str


@dataclass
class ProgramWarehouse:
    """The warehouse of one account; it starts when the program declares a namespace."""

    aws: Aws
    workgroups: dict[str, Workgroup] = field(default_factory=dict)
    _opened: Future[Warehouse] = field(default_factory=Future)

    def open(self, database: str, admin_user: str) -> None:
        """Start the warehouse with its first database."""
        try:
            self._opened.set_result(
                Warehouse.start(
                    s3_endpoint_url=self.aws.url,
                    region=self.aws.region,
                    database=database,
                    admin_user=admin_user,
                    user_of=self._sign_in,
                    service_credentials=("redshift-serverless.amazonaws.com", "laptop"),
                )
            )
        except BaseException as error:
            self._opened.set_exception(error)
            raise

    def add_workgroup(self, name: str, namespace: str) -> Workgroup:
        """Make the warehouse reachable under the workgroup's name."""
        id_ = str(uuid.uuid4())
        arn = f"arn:aws:redshift-serverless:{self.aws.region}:{self.aws.account}:workgroup/{id_}"
        self.workgroups[name] = Workgroup(name, arn, namespace, id_)
        return self.workgroups[name]

    def running(self) -> Warehouse:
        """The warehouse, once it is open; raises TimeoutError when the program declares none."""
        return self._opened.result(_OPENING_SECONDS)

    def client_environment(self) -> dict[str, str]:
        """The environment variables with which a client process reaches the warehouse."""
        return self.running().client_environment()

    def stop(self) -> None:
        if self._opened.done() and self._opened.exception() is None:
            self._opened.result().stop()

    def connect(self, database: str, *, user: str | None = None) -> Any:
        """A connection that autocommits: as `user` with a temporary password, or as the admin user."""
        warehouse = self.running()
        how = warehouse.admin_connection(database)
        if user is not None:
            how |= {"user": user, "password": warehouse.issue_password(user)[0]}
        with _trusting(warehouse):
            connection = redshift_connector.connect(**how)
        connection.autocommit = True
        return connection

    def respond(self, request: AwsRequest) -> Mapping[str, Any]:
        """The response to a request to `redshift-serverless`; raises Refused."""
        name = str(request.parameters.get("workgroupName", ""))
        if request.operation == "GetWorkgroup":
            self.authorize(request, "redshift-serverless:GetWorkgroup", name)
            return {"workgroup": self._described(self.workgroups[name])}
        if request.operation == "ListWorkgroups":
            for known in self.workgroups:
                self.authorize(request, "redshift-serverless:ListWorkgroups", known)
            return {"workgroups": [self._described(workgroup) for workgroup in self.workgroups.values()]}
        if request.operation == "GetCredentials":
            self.authorize(request, "redshift-serverless:GetCredentials", name)
            user = self.database_user(str(request.access_key))
            password, expires = self.running().issue_password(user)
            stamp = expires.timestamp()
            return {"dbUser": user, "dbPassword": password, "expiration": stamp, "nextRefreshTime": stamp}
        raise Refused(
            "ValidationException",
            "the local Redshift Serverless supports GetCredentials, GetWorkgroup and ListWorkgroups, "
            f"but not {request.operation}",
        )

    def authorize(self, request: AwsRequest, action: str, workgroup: str) -> None:
        """Raises Refused if the workgroup does not exist, and Denied if the caller may not do this with it."""
        known = self.workgroups.get(workgroup)
        if known is None:
            raise Refused("ResourceNotFoundException", f"the workgroup {workgroup!r} does not exist")
        if request.access_key == OPERATOR:
            return
        role = self.aws.iam.role_of(str(request.access_key))
        if role is None:
            raise Denied(f"the access key {request.access_key} belongs to no role")
        self.aws.iam.check(role, RequiredPermission(action, known.arn))

    def database_user(self, access_key: str) -> str:
        """The database user of a caller: IAMR:<role> for a role, the admin user for the operator."""
        if access_key == OPERATOR:
            return self.running().admin_user
        return f"IAMR:{self.aws.iam.role_of(access_key)}"

    def _sign_in(self, access_key: str) -> str:
        """The database user for the driver's GetCredentials; raises PermissionError where IAM refuses the caller."""
        request = AwsRequest(access_key, "redshift-serverless", "GetCredentials", ())
        try:
            for workgroup in self.workgroups:
                self.authorize(request, "redshift-serverless:GetCredentials", workgroup)
        except Denied as denied:
            self.aws.iam.denials.append(str(denied))
            raise PermissionError(str(denied)) from denied
        return self.database_user(access_key)

    def _described(self, workgroup: Workgroup) -> dict[str, Any]:
        warehouse = self.running()
        return {
            "workgroupName": workgroup.name,
            "workgroupArn": workgroup.arn,
            "workgroupId": workgroup.id,
            "namespaceName": workgroup.namespace,
            "endpoint": {"address": warehouse.host, "port": warehouse.port},
            "port": warehouse.port,
            "publiclyAccessible": False,
            "status": "AVAILABLE",
        }


@contextmanager
def _trusting(warehouse: Warehouse) -> Iterator[None]:
    """Set SSL_CERT_FILE while the block runs: the driver reads trusted certificates only from the environment."""
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
