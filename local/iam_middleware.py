"""The gate every request to the laptop's AWS passes: who sends it, may they, and what moto leaves to us.

Three kinds of callers are known by their access key. Whoever runs the laptop may do
everything. An AWS service (its key is its name) may assume the roles that trust it. A
role's temporary credentials may do what the role's policies in moto say.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any
from xml.sax.saxutils import escape

from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from moto.sts.models import sts_backends

from local.aws_requests import AwsRequest, read_request
from local.permissions import RequiredPermission, allows, denies, trusts

OPERATOR = "laptop-operator"
"""The access key of whoever runs the laptop."""

_SERVICE = ".amazonaws.com"

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Answer = tuple[str, list[tuple[str, str]], bytes]


class Denied(Exception):
    """The request is refused as IAM refuses it."""


class IamMiddleware:
    """A WSGI application around moto's."""

    def __init__(self, app: App, *, account: str, region: str) -> None:
        self._app, self._account, self._region = app, account, region
        self._roles: dict[str, str] = {}
        self._one_at_a_time = threading.Lock()
        self.enforces = True
        """False: a role's policies are not looked at."""
        self.denials: list[str] = []
        """What was refused, in words, oldest first."""
        self.on_need: Callable[[str, RequiredPermission], None] = lambda _role, _need: None
        """Called with every right that a role needs, before it is judged."""
        self.played: dict[str, Callable[[AwsRequest], Mapping[str, Any]]] = {}
        """What moto does not play: a service by the name that requests are signed for, or `service:Operation`."""
        self.on_invoke: Callable[[AwsRequest], bytes] | None = None
        """Plays Lambda's Invoke; moto would want Docker."""
        self.before: Callable[[AwsRequest], None] | None = None
        """Called with every request let in; what it raises as Refused is the answer."""
        self.after: Callable[[AwsRequest], None] | None = None
        """Called once moto has done what was asked; what it raises as Refused is the answer all the same."""
        self.after_run_start: Callable[[str, str], None] | None = None
        """Called with job and run once moto has noted a new run."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = self._account
        asked = read_request(environ, account=self._account)
        try:
            role = self._check(asked)
            if self.before is not None:
                self.before(asked)
        except Denied as denied:
            self.denials.append(str(denied))
            if asked.operation == "DeleteObjects" and asked.access_key is not None:
                return _answer(start_response, "200 OK", *_nothing_deleted(asked, str(denied)))
            return _answer(start_response, *_refusal(asked, "AccessDenied", str(denied), status="403 Forbidden"))
        except Refused as refused:
            return _answer(start_response, *_refusal(asked, refused.code, str(refused), status=refused.status))
        if asked.service == "lambda" and asked.operation == "Invoke" and self.on_invoke is not None:
            accepted = asked.facts["InvocationType"] == "Event"
            payload = self.on_invoke(asked)
            length = [("Content-Length", str(len(payload)))]
            return self._finish(start_response, asked, "202 Accepted" if accepted else "200 OK", length, [payload])
        play = self.played.get(asked.service) or self.played.get(f"{asked.service}:{asked.operation}")
        if play is not None:
            return self._play(start_response, asked, play)
        return self._ask_moto(environ, start_response, asked, role)

    def role_of(self, access_key: str) -> str | None:
        """The name of the role whose temporary key this is."""
        if access_key not in self._roles:
            for assumed in sts_backends[self._account]["aws"].assumed_roles:
                self._roles[assumed.access_key_id] = assumed.role_arn.rpartition("/")[2]
        return self._roles.get(access_key)

    def check(self, role: str, need: RequiredPermission) -> None:
        """Raises Denied unless the role may."""
        self.on_need(role, need)
        if not self.enforces:
            return
        if allows(self._policies(role), need) and not denies(self._bucket_policy(need.resource), need):
            return
        raise Denied(f"the role {role} is not authorized to perform {need.action} on {need.resource}")

    def _check(self, asked: AwsRequest) -> str | None:
        """Who asks, when it is a role; raises Denied."""
        if asked.access_key == OPERATOR:
            return None
        if asked.access_key is None:
            raise Denied("the request is not signed")
        if asked.access_key.endswith(_SERVICE):
            self._check_service(asked.access_key, asked)
            return None
        role = self.role_of(asked.access_key)
        if role is None:
            raise Denied(f"the access key {asked.access_key} is nobody's")
        if asked.region != self._region:
            raise Denied(
                f"the role {role} asks {asked.service} in {asked.region}, but the stack is in {self._region}: "
                "on AWS the request would leave the private network"
            )
        for need in asked.needs:
            self.check(role, need)
        return role

    def _check_service(self, service: str, asked: AwsRequest) -> None:
        if asked.operation == "GetCallerIdentity":
            return
        if asked.operation != "AssumeRole":
            raise Denied(
                f"{service} may assume roles and nothing else, but asked for {asked.service}:{asked.operation}"
            )
        name = asked.facts["RoleArn"].rpartition("/")[2]
        roles = {role.name: role for role in iam_backends[self._account]["aws"].roles.values()}
        if name not in roles or not trusts(roles[name].assume_role_policy_document, service):
            raise Denied(f"the role {name} does not exist or does not trust {service}")

    def _bucket_policy(self, resource: str) -> str | None:
        """The policy of the bucket that a resource is or lies in."""
        if not resource.startswith("arn:aws:s3:::"):
            return None
        bucket = s3_backends[self._account]["aws"].buckets.get(resource.removeprefix("arn:aws:s3:::").partition("/")[0])
        policy = bucket.policy if bucket else None
        return policy.decode("utf-8") if isinstance(policy, bytes) else policy

    def _policies(self, role: str) -> list[str]:
        for found in iam_backends[self._account]["aws"].roles.values():
            if found.name == role:
                return list(found.policies.values())
        return []

    def _play(
        self,
        start_response: Callable[..., Any],
        asked: AwsRequest,
        play: Callable[[AwsRequest], Mapping[str, Any]],
    ) -> Iterable[bytes]:
        try:
            body = json.dumps(play(asked)).encode("utf-8")
        except Denied as denied:
            self.denials.append(str(denied))
            return _answer(start_response, *_refusal(asked, "AccessDenied", str(denied), status="403 Forbidden"))
        except Refused as refused:
            return _answer(start_response, *_refusal(asked, refused.code, str(refused), status=refused.status))
        headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))]
        return self._finish(start_response, asked, "200 OK", headers, [body])

    def _ask_moto(
        self, environ: dict[str, Any], start_response: Callable[..., Any], asked: AwsRequest, role: str | None
    ) -> Iterable[bytes]:
        # S3 decides a conditional write as one step; moto looks first and writes afterwards.
        conditional = asked.service == "s3" and ("HTTP_IF_NONE_MATCH" in environ or "HTTP_IF_MATCH" in environ)
        begun: list[Any] = []
        with self._one_at_a_time if conditional and environ["REQUEST_METHOD"] != "GET" else nullcontext():
            body = self._app(environ, lambda *arguments: begun.append(arguments))
        status, headers = begun[0][0], begun[0][1]
        if role and asked.operation in ("GetObject", "HeadObject") and status.startswith("404"):
            bucket = asked.needs[0].resource.partition("/")[0]
            try:
                self.check(role, RequiredPermission("s3:ListBucket", bucket))
            except Denied as denied:
                # Without it S3 does not say that an object is missing.
                self.denials.append(f"{denied} (so S3 does not say that {asked.needs[0].resource} is missing)")
                return _answer(start_response, *_refusal(asked, "AccessDenied", str(denied), status="403 Forbidden"))
        if asked.service == "glue" and asked.operation == "StartJobRun" and status.startswith("200"):
            answer = b"".join(body)
            if self.after_run_start is not None:
                self.after_run_start(asked.facts["JobName"], json.loads(answer)["JobRunId"])
            body = [answer]
        return self._finish(start_response, asked, status, headers, body)

    def _finish(
        self,
        start_response: Callable[..., Any],
        asked: AwsRequest,
        status: str,
        headers: list[tuple[str, str]],
        body: Iterable[bytes],
    ) -> Iterable[bytes]:
        if self.after is not None:
            try:
                self.after(asked)
            except Refused as refused:
                return _answer(start_response, *_refusal(asked, refused.code, str(refused), status=refused.status))
        start_response(status, headers)
        return body


class Refused(Exception):
    """The service refuses the request for the time being, as a busy service does."""

    def __init__(self, code: str, message: str, *, status: str = "400 Bad Request") -> None:
        super().__init__(message)
        self.code, self.status = code, status


def _nothing_deleted(asked: AwsRequest, message: str) -> tuple[list[tuple[str, str]], bytes]:
    """S3 calls a request to delete many objects a success and says of each what became of it.

    Here one that may not be deleted keeps them all; in the cloud the others would go.
    """
    errors = "".join(
        f"<Error><Key>{escape(need.resource.partition('/')[2])}</Key>"
        f"<Code>AccessDenied</Code><Message>{escape(message)}</Message></Error>"
        for need in asked.needs
    )
    body = f'<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{errors}</DeleteResult>'
    return [("Content-Type", "application/xml")], body.encode("utf-8")


def _refusal(asked: AwsRequest, code: str, message: str, *, status: str) -> Answer:
    """An error in the protocol of the service."""
    if asked.service == "s3":
        text = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        # The answer to a HEAD has no body.
        body = b"" if asked.operation.startswith("Head") else text.encode("utf-8")
        return status, [("Content-Type", "application/xml")], body
    if asked.service in ("sns", "sts", "iam"):
        text = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
            f"<Message>{escape(message)}</Message></Error><RequestId>laptop</RequestId></ErrorResponse>"
        )
        return status, [("Content-Type", "text/xml")], text.encode("utf-8")
    kind = f"{code}Exception" if code == "AccessDenied" else code
    fault = json.dumps({"__type": kind, "message": message, "Message": message})
    return status, [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-errortype", kind)], fault.encode("utf-8")


def _answer(
    start_response: Callable[..., Any], status: str, headers: list[tuple[str, str]], body: bytes
) -> Iterable[bytes]:
    start_response(status, [*headers, ("Content-Length", str(len(body)))])
    return [body]
