"""WSGI middleware in front of moto: authenticates and authorizes each request, and emulates what moto lacks.

The access key distinguishes three kinds of callers. The operator, who runs the local cloud,
may do everything. An AWS service, whose key is its name, may assume the roles that trust
it. Temporary credentials of a role may do what the role's policies in moto allow.
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

from local.api.aws_requests import AwsRequest, read_request
from local.api.permissions import RequiredPermission, allows, denies, trusts

OPERATOR = "laptop-operator"
"""The access key of the person who runs the local cloud."""

_SERVICE = ".amazonaws.com"

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Response = tuple[str, list[tuple[str, str]], bytes]
"""The status, the headers and the body."""


class Denied(Exception):
    """IAM refuses the request."""


class IamMiddleware:
    """A WSGI application around moto's."""

    def __init__(self, app: App, *, account: str, region: str) -> None:
        self._app, self._account, self._region = app, account, region
        self._roles: dict[str, str] = {}
        self._one_at_a_time = threading.Lock()
        self.enforces = True
        """False: the policies of roles are not checked."""
        self.denials: list[str] = []
        """A sentence about each refused request, the oldest first."""
        self.on_permission: Callable[[str, RequiredPermission], None] = lambda _role, _need: None
        """Called with role and permission before each check."""
        self.emulated: dict[str, Callable[[AwsRequest], Mapping[str, Any]]] = {}
        """Handlers of requests that moto lacks, by the service in the request's signature or `service:Operation`."""
        self.on_invoke: Callable[[AwsRequest], bytes] | None = None
        """The handler of Lambda's Invoke, for which moto would need Docker."""
        self.before: Callable[[AwsRequest], None] | None = None
        """Called with every request that is allowed; if it raises Refused, that is the response."""
        self.after: Callable[[AwsRequest], None] | None = None
        """Called once moto has handled a request; if it raises Refused, the refusal replaces the response."""
        self.after_run_start: Callable[[str, str], None] | None = None
        """Called with job name and run id once moto has created a run."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = self._account
        request = read_request(environ, account=self._account)
        try:
            role = self._check(request)
            if self.before is not None:
                self.before(request)
        except Denied as denied:
            self.denials.append(str(denied))
            if request.operation == "DeleteObjects" and request.access_key is not None:
                return _respond(start_response, "200 OK", *_all_deletions_denied(request, str(denied)))
            return _respond(start_response, *_refusal(request, "AccessDenied", str(denied), status="403 Forbidden"))
        except Refused as refused:
            return _respond(start_response, *_refusal(request, refused.code, str(refused), status=refused.status))
        if request.service == "lambda" and request.operation == "Invoke" and self.on_invoke is not None:
            accepted = request.parameters["InvocationType"] == "Event"
            payload = self.on_invoke(request)
            length = [("Content-Length", str(len(payload)))]
            return self._finish(start_response, request, "202 Accepted" if accepted else "200 OK", length, [payload])
        emulate = self.emulated.get(request.service) or self.emulated.get(f"{request.service}:{request.operation}")
        if emulate is not None:
            return self._emulate(start_response, request, emulate)
        return self._ask_moto(environ, start_response, request, role)

    def role_of(self, access_key: str) -> str | None:
        """The name of the role whose temporary key this is."""
        if access_key not in self._roles:
            for assumed in sts_backends[self._account]["aws"].assumed_roles:
                self._roles[assumed.access_key_id] = assumed.role_arn.rpartition("/")[2]
        return self._roles.get(access_key)

    def check(self, role: str, need: RequiredPermission) -> None:
        """Raises Denied unless the role has the permission."""
        self.on_permission(role, need)
        if not self.enforces:
            return
        if allows(self._policies(role), need) and not denies(self._bucket_policy(need.resource), need):
            return
        raise Denied(f"the role {role} is not authorized to perform {need.action} on {need.resource}")

    def _check(self, request: AwsRequest) -> str | None:
        """The role that sends the request, None for other callers; raises Denied."""
        if request.access_key == OPERATOR:
            return None
        if request.access_key is None:
            raise Denied("the request is not signed")
        if request.access_key.endswith(_SERVICE):
            self._check_service(request.access_key, request)
            return None
        role = self.role_of(request.access_key)
        if role is None:
            raise Denied(f"the access key {request.access_key} is not known")
        if request.region != self._region:
            raise Denied(
                f"the role {role} asks {request.service} in {request.region}, but the stack is in {self._region}: "
                "on AWS the request would leave the private network"
            )
        for need in request.needs:
            self.check(role, need)
        return role

    def _check_service(self, service: str, request: AwsRequest) -> None:
        if request.operation == "GetCallerIdentity":
            return
        if request.operation != "AssumeRole":
            raise Denied(
                f"{service} may assume roles and nothing else, but requested {request.service}:{request.operation}"
            )
        name = request.parameters["RoleArn"].rpartition("/")[2]
        roles = {role.name: role for role in iam_backends[self._account]["aws"].roles.values()}
        if name not in roles or not trusts(roles[name].assume_role_policy_document, service):
            raise Denied(f"the role {name} does not exist or does not trust {service}")

    def _bucket_policy(self, resource: str) -> str | None:
        """The policy of a bucket or of an object's bucket; None for other resources."""
        if not resource.startswith("arn:aws:s3:::"):
            return None
        bucket = s3_backends[self._account]["aws"].buckets.get(resource.removeprefix("arn:aws:s3:::").partition("/")[0])
        policy = bucket.policy if bucket else None
        return policy.decode("utf-8") if isinstance(policy, bytes) else policy

    def _policies(self, role: str) -> list[str]:
        for known_role in iam_backends[self._account]["aws"].roles.values():
            if known_role.name == role:
                return list(known_role.policies.values())
        return []

    def _emulate(
        self,
        start_response: Callable[..., Any],
        request: AwsRequest,
        emulate: Callable[[AwsRequest], Mapping[str, Any]],
    ) -> Iterable[bytes]:
        try:
            body = json.dumps(emulate(request)).encode("utf-8")
        except Denied as denied:
            self.denials.append(str(denied))
            return _respond(start_response, *_refusal(request, "AccessDenied", str(denied), status="403 Forbidden"))
        except Refused as refused:
            return _respond(start_response, *_refusal(request, refused.code, str(refused), status=refused.status))
        headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))]
        return self._finish(start_response, request, "200 OK", headers, [body])

    def _ask_moto(
        self, environ: dict[str, Any], start_response: Callable[..., Any], request: AwsRequest, role: str | None
    ) -> Iterable[bytes]:
        # S3 checks and writes atomically; moto checks first and writes afterwards.
        conditional = request.service == "s3" and ("HTTP_IF_NONE_MATCH" in environ or "HTTP_IF_MATCH" in environ)
        begun: list[Any] = []
        with self._one_at_a_time if conditional and environ["REQUEST_METHOD"] != "GET" else nullcontext():
            body = self._app(environ, lambda *arguments: begun.append(arguments))
        status, headers = begun[0][0], begun[0][1]
        if role and request.operation in ("GetObject", "HeadObject") and status.startswith("404"):
            bucket = request.needs[0].resource.partition("/")[0]
            try:
                self.check(role, RequiredPermission("s3:ListBucket", bucket))
            except Denied as denied:
                # Without ListBucket S3 returns 403 for a missing object.
                self.denials.append(f"{denied} (so S3 returns 403 although {request.needs[0].resource} is missing)")
                return _respond(start_response, *_refusal(request, "AccessDenied", str(denied), status="403 Forbidden"))
        if request.service == "glue" and request.operation == "StartJobRun" and status.startswith("200"):
            content = b"".join(body)
            if self.after_run_start is not None:
                self.after_run_start(request.parameters["JobName"], json.loads(content)["JobRunId"])
            body = [content]
        return self._finish(start_response, request, status, headers, body)

    def _finish(
        self,
        start_response: Callable[..., Any],
        request: AwsRequest,
        status: str,
        headers: list[tuple[str, str]],
        body: Iterable[bytes],
    ) -> Iterable[bytes]:
        if self.after is not None:
            try:
                self.after(request)
            except Refused as refused:
                return _respond(start_response, *_refusal(request, refused.code, str(refused), status=refused.status))
        start_response(status, headers)
        return body


class Refused(Exception):
    """The service refuses the request with an error code of its own."""

    def __init__(self, code: str, message: str, *, status: str = "400 Bad Request") -> None:
        super().__init__(message)
        self.code, self.status = code, status


def _all_deletions_denied(request: AwsRequest, message: str) -> tuple[list[tuple[str, str]], bytes]:
    """S3 reports a request to delete many objects as a success, with an error for each that it did not delete.

    Here one forbidden deletion keeps all objects; on AWS the others would be deleted.
    """
    errors = "".join(
        f"<Error><Key>{escape(need.resource.partition('/')[2])}</Key>"
        f"<Code>AccessDenied</Code><Message>{escape(message)}</Message></Error>"
        for need in request.needs
    )
    body = f'<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{errors}</DeleteResult>'
    return [("Content-Type", "application/xml")], body.encode("utf-8")


def _refusal(request: AwsRequest, code: str, message: str, *, status: str) -> Response:
    """An error in the protocol of the request's service."""
    if request.service == "s3":
        text = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        # The response to a HEAD has no body.
        body = b"" if request.operation.startswith("Head") else text.encode("utf-8")
        return status, [("Content-Type", "application/xml")], body
    if request.service in ("sns", "sts", "iam"):
        text = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
            f"<Message>{escape(message)}</Message></Error><RequestId>laptop</RequestId></ErrorResponse>"
        )
        return status, [("Content-Type", "text/xml")], text.encode("utf-8")
    kind = f"{code}Exception" if code == "AccessDenied" else code
    fault = json.dumps({"__type": kind, "message": message, "Message": message})
    return status, [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-errortype", kind)], fault.encode("utf-8")


def _respond(
    start_response: Callable[..., Any], status: str, headers: list[tuple[str, str]], body: bytes
) -> Iterable[bytes]:
    start_response(status, [*headers, ("Content-Length", str(len(body)))])
    return [body]
