"""Policies are evaluated as AWS evaluates them, and each request has its required permissions."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from local.api.aws_requests import read_request
from local.api.permissions import RequiredPermission, allows, allows_service, denies, trusts
from local.runtime.event_router import rate_seconds
from local.runtime.queue_reader import failed_items

ACCOUNT = "123456789012"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: Any, resource: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


OBJECTS = "arn:aws:s3:::b/transactions/*"


@pytest.mark.parametrize(
    ("statements", "action", "resource", "context", "may"),
    [
        ([allow("s3:GetObject", OBJECTS)], "s3:GetObject", "arn:aws:s3:::b/transactions/a/b.csv", {}, True),
        ([allow("s3:GetObject", OBJECTS)], "s3:GetObject", "arn:aws:s3:::b/other/a", {}, False),
        ([allow("s3:GetObject", OBJECTS)], "s3:GetObjectVersion", "arn:aws:s3:::b/transactions/a", {}, False),
        ([allow("S3:getobject", OBJECTS)], "s3:GetObject", "arn:aws:s3:::b/transactions/a", {}, True),
        ([allow("s3:Get*", "*")], "s3:GetObject", "arn:aws:s3:::b/a\nb", {}, True),
        ([allow("s3:GetObject", "arn:aws:s3:::b/[ab]")], "s3:GetObject", "arn:aws:s3:::b/a", {}, False),
        (
            [allow("s3:GetObject", "*"), {**allow("s3:*", OBJECTS), "Effect": "Deny"}],
            "s3:GetObject",
            "arn:aws:s3:::b/transactions/a",
            {},
            False,
        ),
        (
            [allow("s3:ListBucket", "*", Condition={"StringLike": {"s3:prefix": ["reports/*"]}})],
            "s3:ListBucket",
            "arn:aws:s3:::b",
            {"s3:prefix": "reports/1"},
            True,
        ),
        (
            [allow("s3:ListBucket", "*", Condition={"StringLike": {"s3:prefix": ["reports/*"]}})],
            "s3:ListBucket",
            "arn:aws:s3:::b",
            {},
            False,
        ),
    ],
)
def test_a_role_may_what_its_statements_allow_and_none_denies(
    statements: list[dict[str, Any]], action: str, resource: str, context: dict[str, str], may: bool
) -> None:
    assert allows([policy(*statements)], RequiredPermission(action, resource, context)) is may


def test_an_unknown_condition_is_refused_not_guessed() -> None:
    document = policy(allow("s3:*", "*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
    with pytest.raises(NotImplementedError, match="IpAddress"):
        allows([document], RequiredPermission("s3:GetObject", "x", {"aws:SourceIp": "10.0.0.1"}))


def test_plain_http_alone_is_what_a_bucket_denies() -> None:
    document = policy(
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": ["arn:aws:s3:::b/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )
    need = RequiredPermission("s3:GetObject", "arn:aws:s3:::b/a")
    assert not denies(document, need)
    assert denies(document, RequiredPermission(need.action, need.resource, {"aws:SecureTransport": "false"}))


@pytest.mark.parametrize(
    ("service", "source", "may"),
    [
        ("s3.amazonaws.com", "arn:aws:s3:::drop", True),
        ("s3.amazonaws.com", "arn:aws:s3:::another", False),
        ("events.amazonaws.com", "arn:aws:s3:::drop", False),
    ],
)
def test_a_queue_policy_names_the_service_and_source_it_allows(service: str, source: str, may: bool) -> None:
    document = policy(
        allow(
            "sqs:SendMessage",
            "arn:q",
            Principal={"Service": "s3.amazonaws.com"},
            Condition={"ArnLike": {"aws:SourceArn": "arn:aws:s3:::drop"}},
        )
    )
    need = RequiredPermission("sqs:SendMessage", "arn:q", {"aws:SourceArn": source})
    assert allows_service(document, service=service, need=need) is may
    assert not allows_service(None, service=service, need=need), "a queue without a policy accepts nothing"


def test_a_role_is_for_the_services_its_trust_names() -> None:
    document = policy(
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": ["a.amazonaws.com", "b.amazonaws.com"]},
        }
    )
    assert [trusts(document, f"{name}.amazonaws.com") for name in "abc"] == [True, True, False]


def needs(
    service: str, method: str, path: str, *, query: str = "", body: bytes = b"", headers: dict[str, str] | None = None
) -> list[tuple[str, str]]:
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path.encode("utf-8").decode("latin-1"),
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential=KEY/20230315/eu-west-1/{service}/aws4_request, Signature=x",
        **(headers or {}),
    }
    asked = read_request(environ, account=ACCOUNT)
    assert environ["wsgi.input"].read() == body, "moto can still read the body"
    return [(need.action, need.resource) for need in asked.needs]


@pytest.mark.parametrize(
    ("request_line", "query", "headers", "wanted"),
    [
        ("GET /b/k", "", {}, [("s3:GetObject", "arn:aws:s3:::b/k")]),
        ("HEAD /b/k", "versionId=1", {}, [("s3:GetObjectVersion", "arn:aws:s3:::b/k")]),
        ("GET /b/k", "tagging&versionId=1", {}, [("s3:GetObjectVersionTagging", "arn:aws:s3:::b/k")]),
        ("DELETE /b/k", "versionId=1", {}, [("s3:DeleteObjectVersion", "arn:aws:s3:::b/k")]),
        ("DELETE /b/k", "uploadId=1", {}, [("s3:AbortMultipartUpload", "arn:aws:s3:::b/k")]),
        ("PUT /b/é k", "", {}, [("s3:PutObject", "arn:aws:s3:::b/é k")]),
        (
            "PUT /b/k",
            "",
            {"HTTP_X_AMZ_COPY_SOURCE": "a/x%20y?versionId=2", "HTTP_X_AMZ_TAGGING": "a=b"},
            [
                ("s3:PutObject", "arn:aws:s3:::b/k"),
                ("s3:PutObjectTagging", "arn:aws:s3:::b/k"),
                ("s3:GetObjectVersion", "arn:aws:s3:::a/x y"),
            ],
        ),
        ("GET /b", "list-type=2&prefix=p", {}, [("s3:ListBucket", "arn:aws:s3:::b")]),
        ("GET /b", "versions&prefix=p", {}, [("s3:ListBucketVersions", "arn:aws:s3:::b")]),
        ("PUT /b", "policy", {}, [("s3:PUT bucket policy", "*")]),
    ],
)
def test_an_s3_request_takes_the_right_of_its_name(
    request_line: str, query: str, headers: dict[str, str], wanted: list[tuple[str, str]]
) -> None:
    method, path = request_line.split(" ", 1)
    assert needs("s3", method, path, query=query, headers=headers) == wanted


def test_deleting_many_takes_the_right_to_each() -> None:
    body = b"<Delete><Object><Key>a</Key></Object><Object><Key>b</Key><VersionId>1</VersionId></Object></Delete>"
    assert needs("s3", "POST", "/b", query="delete", body=body) == [
        ("s3:DeleteObject", "arn:aws:s3:::b/a"),
        ("s3:DeleteObjectVersion", "arn:aws:s3:::b/b"),
    ]


@pytest.mark.parametrize(
    ("service", "target", "parameters", "wanted"),
    [
        (
            "glue",
            "AWSGlue.StartJobRun",
            {"JobName": "j"},
            ("glue:StartJobRun", f"arn:aws:glue:eu-west-1:{ACCOUNT}:job/j"),
        ),
        (
            "sqs",
            "AmazonSQS.DeleteMessageBatch",
            {"QueueUrl": "http://x/1/q"},
            ("sqs:DeleteMessage", f"arn:aws:sqs:eu-west-1:{ACCOUNT}:q"),
        ),
        ("glue", "AWSGlue.DeleteEverything", {}, ("glue:DeleteEverything", "*")),
    ],
)
def test_a_json_request_takes_the_right_on_what_it_names(
    service: str, target: str, parameters: dict[str, str], wanted: tuple[str, str]
) -> None:
    body = json.dumps(parameters).encode()
    assert needs(service, "POST", "/", body=body, headers={"HTTP_X_AMZ_TARGET": target}) == [wanted]


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "a"}]}, {"a"}),
        ({"batchItemFailures": [{"itemIdentifier": "unknown"}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, {"a", "b"}),
        ({"batchItemFailures": [{"wrong": "a"}]}, {"a", "b"}),
        ("all well", {"a", "b"}),
    ],
)
def test_a_partial_batch_response_with_an_unknown_id_fails_all(answer: Any, failed: set[str]) -> None:
    assert failed_items(answer, {"a", "b"}) == failed


def test_a_schedule_is_a_rate() -> None:
    assert [rate_seconds("rate(15 minutes)"), rate_seconds("rate(1 hour)")] == [900, 3600]
    with pytest.raises(NotImplementedError, match="cron"):
        rate_seconds("cron(0 3 * * ? *)")
