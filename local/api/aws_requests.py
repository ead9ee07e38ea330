"""Parses a signed request to AWS: its sender, its operation, and the permissions that the operation requires.

The permissions follow AWS's rules for the operations that the functions, the jobs and COPY
use. Any other operation requires the action of its own name on all resources. No role here
has such a right, so an unknown operation is refused by name.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree

from local.api.permissions import RequiredPermission

_SIGNED = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")

# Operations on sub-resources of a bucket, by their query parameter.
_BUCKET_GETS = {
    "versions": "ListBucketVersions",
    "location": "GetBucketLocation",
    "versioning": "GetBucketVersioning",
}
_LISTING = {
    *("list-type", "prefix", "delimiter", "max-keys", "encoding-type"),
    *("continuation-token", "start-after", "fetch-owner"),
}


@dataclass(frozen=True)
class AwsRequest:
    """A parsed request."""

    access_key: str | None
    """None when the request is not signed."""
    service: str
    operation: str
    needs: tuple[RequiredPermission, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """The request's parameters; empty for operations of S3."""
    region: str = ""
    """The Region that the request is signed for."""


def read_request(environ: dict[str, Any], *, account: str) -> AwsRequest:
    """Parse a WSGI request; its body can be read again afterwards."""
    signed = _SIGNED.search(environ.get("HTTP_AUTHORIZATION", ""))
    if signed is None:
        return AwsRequest(None, "unknown", "unsigned request", ())
    access_key, region, service = signed.groups()
    if service == "s3":
        operation, s3_needs = _s3(environ)
        return AwsRequest(access_key, service, operation, tuple(s3_needs), region=region)
    body = _body(environ)
    operation, parameters = _operation(environ, body, service)
    return AwsRequest(
        access_key,
        service,
        operation,
        tuple(_needs(service, operation, parameters, region, account)),
        parameters,
        region,
    )


def _operation(environ: Mapping[str, Any], body: bytes, service: str) -> tuple[str, dict[str, Any]]:
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return target.rpartition(".")[2], json.loads(body or b"{}")
    path = unquote(environ["PATH_INFO"])
    invoked = re.fullmatch(r"/2015-03-31/functions/(.+)/invocations", path)
    if service == "lambda" and invoked:
        kind = environ.get("HTTP_X_AMZ_INVOCATION_TYPE", "RequestResponse")
        return "Invoke", {"FunctionName": invoked[1], "InvocationType": kind, "Payload": body}
    if b"Action=" in body:
        parameters = {name: values[0] for name, values in parse_qs(body.decode("utf-8")).items()}
        return parameters["Action"], parameters
    return f"{environ['REQUEST_METHOD']} {path}", {}


def _needs(
    service: str, operation: str, parameters: Mapping[str, Any], region: str, account: str
) -> list[RequiredPermission]:
    def arn(kind: str, resource: str) -> str:
        return resource if resource.startswith("arn:") else f"arn:aws:{kind}:{region}:{account}:{resource}"

    action = f"{service}:{operation}"
    # The Redshift services authorize their callers themselves: only they know the workgroup's ARN.
    if action == "sts:GetCallerIdentity" or service in ("redshift-data", "redshift-serverless"):
        return []
    if service == "sqs" and "QueueUrl" in parameters:
        return [RequiredPermission(action.removesuffix("Batch"), arn("sqs", parameters["QueueUrl"].rpartition("/")[2]))]
    if service == "glue" and "JobName" in parameters:
        return [RequiredPermission(action, arn("glue", f"job/{parameters['JobName']}"))]
    if service == "sns" and "TopicArn" in parameters:
        return [RequiredPermission(action, parameters["TopicArn"])]
    if service == "lambda" and operation == "Invoke":
        name = str(parameters["FunctionName"])
        return [
            RequiredPermission(
                "lambda:InvokeFunction", name if name.startswith("arn:") else arn("lambda", f"function:{name}")
            )
        ]
    if action == "sts:AssumeRole":
        return [RequiredPermission(action, parameters["RoleArn"])]
    return [RequiredPermission(action, "*")]


def _s3(environ: dict[str, Any]) -> tuple[str, list[RequiredPermission]]:
    """The operation on a bucket or object; paths begin with the bucket, because the endpoint is an IP address."""
    method = environ["REQUEST_METHOD"]
    query = {
        name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True).items()
    }
    # WSGI hands the path over as Latin-1.
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8")
    bucket, _, key = path.lstrip("/").partition("/")
    where = f"arn:aws:s3:::{bucket}"
    if not key:
        return _s3_bucket(environ, method, query, where)
    resource = f"{where}/{key}"
    version = "Version" if "versionId" in query else ""
    if "tagging" in query and method in ("GET", "PUT", "DELETE"):
        verb = method.capitalize()
        return f"{verb}ObjectTagging", [RequiredPermission(f"s3:{verb}Object{version}Tagging", resource)]
    if method in ("GET", "HEAD"):
        if "uploadId" in query:
            return "ListParts", [RequiredPermission("s3:ListMultipartUploadParts", resource)]
        return f"{method.capitalize()}Object", [RequiredPermission(f"s3:GetObject{version}", resource)]
    if method == "DELETE":
        if "uploadId" in query:
            return "AbortMultipartUpload", [RequiredPermission("s3:AbortMultipartUpload", resource)]
        return "DeleteObject", [RequiredPermission(f"s3:DeleteObject{version}", resource)]
    if method in ("PUT", "POST"):
        return _s3_write(environ, query, resource)
    return f"{method} {path}", [RequiredPermission(f"s3:{method}", "*")]


def _s3_write(
    environ: Mapping[str, Any], query: Mapping[str, str], resource: str
) -> tuple[str, list[RequiredPermission]]:
    needs = [RequiredPermission("s3:PutObject", resource)]
    if environ.get("HTTP_X_AMZ_TAGGING"):
        needs.append(RequiredPermission("s3:PutObjectTagging", resource))
    source = environ.get("HTTP_X_AMZ_COPY_SOURCE")
    if source:
        name, _, version_query = source.partition("?")
        of_version = "Version" if "versionId=" in version_query else ""
        needs.append(RequiredPermission(f"s3:GetObject{of_version}", f"arn:aws:s3:::{unquote(name).lstrip('/')}"))
    if "uploadId" in query:
        return ("UploadPart" if "partNumber" in query else "CompleteMultipartUpload"), needs
    if "uploads" in query:
        return "CreateMultipartUpload", needs
    return ("CopyObject" if source else "PutObject"), needs


def _s3_bucket(
    environ: dict[str, Any], method: str, query: Mapping[str, str], where: str
) -> tuple[str, list[RequiredPermission]]:
    if method == "POST" and "delete" in query:
        return "DeleteObjects", _s3_deletions(_body(environ), where)
    if method in ("GET", "HEAD"):
        for word, action in _BUCKET_GETS.items():
            if word in query:
                context = {"s3:prefix": query.get("prefix", "")} if word == "versions" else {}
                return action, [RequiredPermission(f"s3:{action}", where, context)]
        if set(query) <= _LISTING:
            # A request without a prefix has no condition key s3:prefix.
            context = {"s3:prefix": query["prefix"]} if "prefix" in query else {}
            return "ListObjects", [RequiredPermission("s3:ListBucket", where, context)]
    operation = f"{method} bucket {'&'.join(query)}"
    return operation, [RequiredPermission(f"s3:{operation}", "*")]


def _s3_deletions(body: bytes, where: str) -> list[RequiredPermission]:
    needs = []
    for element in ElementTree.fromstring(body).iterfind("{*}Object"):
        version = "Version" if element.findtext("{*}VersionId") else ""
        needs.append(RequiredPermission(f"s3:DeleteObject{version}", f"{where}/{element.findtext('{*}Key')}"))
    return needs


def _body(environ: dict[str, Any]) -> bytes:
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body
