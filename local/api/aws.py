"""One AWS account on a free port of this machine: moto behind the IAM middleware."""

from __future__ import annotations

import functools
import os
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.loaders import JSONFileLoader
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from local.api.iam_middleware import OPERATOR, IamMiddleware

LEAST_SESSION_SECONDS = 3600


class _Moto(DomainDispatcherApplication):
    """Caches the backend of each host. moto looks it up on disk for every request, which is half of the cost."""

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self._backends: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        if host not in self._backends:
            self._backends[host] = super().get_backend_for_host(host)
        return self._backends[host]


class _Quiet(MotoRequestHandler):
    def log(self, type: str, message: str, *arguments: Any) -> None:
        """Requests are not logged."""


@functools.cache
def _session() -> boto3.session.Session:
    """One session for all accounts, because loading the service descriptions takes half a second."""
    return boto3.session.Session()


_parse_once = functools.cache(JSONFileLoader().load_file)


def _parse_descriptions_once() -> None:
    """Cache botocore's parsed descriptions. moto creates a session for each service of each account; parsing the
    descriptions in each of them would take half of the start-up time of a local cloud.
    """
    JSONFileLoader.load_file = lambda _, file_path: _parse_once(file_path)  # type: ignore[method-assign, assignment]


# Creating clients from several threads at once is not safe.
_MAKING_A_CLIENT = threading.RLock()


@dataclass(frozen=True)
class Credentials:
    """Temporary credentials of a role."""

    access_key: str
    secret_key: str
    session_token: str

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            **({"AWS_SESSION_TOKEN": self.session_token} if self.session_token else {}),
        }


OPERATOR_CREDENTIALS = Credentials(OPERATOR, "laptop", "")
"""The credentials of the operator, who has full rights."""


@dataclass
class Aws:
    """A running account; `stop` ends it."""

    account: str
    region: str
    url: str
    iam: IamMiddleware
    _server: BaseWSGIServer = field(repr=False)
    _thread: threading.Thread = field(repr=False)
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False)

    @classmethod
    def start(cls, *, account: str, region: str) -> Aws:
        _parse_descriptions_once()
        # Loading the machine images would take half a second, and no machine is started.
        os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
        iam = IamMiddleware(_Moto(), account=account, region=region)
        server = make_server("127.0.0.1", 0, iam, threaded=True, request_handler=_Quiet)
        # Each request has its own connection, and a burst of requests must not be refused.
        server.socket.listen(512)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="aws", daemon=True)
        thread.start()
        return cls(account, region, f"http://127.0.0.1:{server.server_address[1]}", iam, server, thread)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for client in self._clients.values():
            client.close()

    def client(self, service: str) -> Any:
        """A boto3 client with the operator's rights."""
        return self._client(service, OPERATOR, OPERATOR_CREDENTIALS)

    def client_as(self, service: str, credentials: Credentials) -> Any:
        """A boto3 client with a role's rights."""
        return self._client(service, credentials.access_key, credentials)

    def assume(self, role_arn: str, *, service: str, session: str) -> Credentials:
        """Temporary credentials of a role that a service assumes; raises ClientError if the role does not trust it."""
        sts = self._client("sts", service, Credentials(service, "laptop", ""))
        keys = sts.assume_role(RoleArn=role_arn, RoleSessionName=session, DurationSeconds=LEAST_SESSION_SECONDS)
        credentials = keys["Credentials"]
        return Credentials(credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])

    def environment(self, credentials: Credentials) -> dict[str, str]:
        """The environment variables with which a process uses this account under these credentials."""
        return {
            **credentials.environment(),
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def event(
        self, detail_type: str, source: str, detail: Mapping[str, Any], *, resources: Sequence[str] = ()
    ) -> dict[str, Any]:
        """An event as EventBridge delivers it."""
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": self.account,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self.region,
            "resources": list(resources),
            "detail": dict(detail),
        }

    def _client(self, service: str, who: str, credentials: Credentials) -> Any:
        with _MAKING_A_CLIENT:
            if (service, who) not in self._clients:
                session: Any = _session()
                self._clients[service, who] = session.client(
                    service,
                    endpoint_url=self.url,
                    region_name=self.region,
                    aws_access_key_id=credentials.access_key,
                    aws_secret_access_key=credentials.secret_key,
                    aws_session_token=credentials.session_token or None,
                    config=Config(max_pool_connections=32, retries={"mode": "standard", "max_attempts": 2}),
                )
            return self._clients[service, who]
