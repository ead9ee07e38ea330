"""The exact rights of each role, and who may use the queues, the topic and the buckets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

import pytest

from tests.components.program import ACCOUNT, REGION, Deployed

# Actions for which AWS defines no resource, so that a policy can but say "*".
NO_RESOURCE_IN_AWS = {
    "ec2:DescribeNetworkInterfaces": "Glue looks for the network interface it made for the run",
    "ec2:DescribeRouteTables": "Glue checks that the subnet has a way to S3",
    "ec2:DescribeSecurityGroups": "Glue checks that the job's group lets itself in",
    "ec2:DescribeSubnets": "Glue places the run in its subnet",
    "ec2:DescribeVpcEndpoints": "Glue checks that the subnet has a way to S3",
}

DROP, WORK, ARCHIVE = "s3:storage-drop", "s3:storage-work", "s3:storage-archive"
# The large job is named whether it exists or not: claims outlive it when it is switched off.
JOBS = (
    "glue:job/process-transactions",
    "glue:job/load-dimensions",
    "glue:job/process-transactions-large",
)
QUEUE = "sqs:drops"
OUTCOMES, OPERATORS = "sns:outcomes", "sns:operators"


def _on(resource: str | Sequence[str], *actions: str) -> set[tuple[str, str]]:
    return {(action, item) for item in ([resource] if isinstance(resource, str) else resource) for action in actions}


def _below(bucket: str, *prefixes: str) -> list[str]:
    return [f"{bucket}/{prefix}/*" for prefix in prefixes]


def _log_of(function: str) -> set[tuple[str, str]]:
    return _on(f"logs:log-group:/aws/lambda/{function}:*", "logs:CreateLogStream", "logs:PutLogEvents")


def _list(bucket: str, *prefixes: str) -> set[tuple[str, str]]:
    return _on(f"{bucket} where s3:prefix is {' or '.join(f'{prefix}/*' for prefix in prefixes)}", "s3:ListBucket")


def _job(drops: str, *, reads: Sequence[str], writes: Sequence[str]) -> set[tuple[str, str]]:
    logs = [
        f"logs:log-group:/aws-glue/python-jobs/{name}{streams}"
        for name in ("output", "error")
        for streams in ("", ":*")
    ]
    return (
        _on(_below(DROP, drops) + _below(ARCHIVE, drops), "s3:GetObjectVersion")
        | _on([DROP, ARCHIVE], "s3:ListBucket")
        | _on(_below(WORK, *reads), "s3:GetObject")
        | _on(_below(WORK, *writes), "s3:PutObject")
        | _on(_below(WORK, "staging"), "s3:DeleteObject", "s3:GetObjectVersion")
        | _list(WORK, "staging")
        | _on("redshift-serverless:workgroup/warehouse", "redshift-serverless:GetCredentials")
        | _on(logs, "logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
        | _on(["glue:catalog", "glue:connection/processing"], "glue:GetConnection")
        | _on(
            ["ec2:network-interface/*", "ec2:subnet/network-eu-west-1a", "ec2:security-group/network-job"],
            "ec2:CreateNetworkInterface",
        )
        | _on("ec2:network-interface/*", "ec2:DeleteNetworkInterface")
        | _on(
            "ec2:network-interface/* where aws:TagKeys is aws-glue-service-resource", "ec2:CreateTags", "ec2:DeleteTags"
        )
        | _on("ec2:vpc/network", "ec2:DescribeVpcAttribute")
        | _on("*", *NO_RESOURCE_IN_AWS)
    )


GRANTED = {
    "processing-process_transactions": _job(
        "transactions", reads=("code", "staging"), writes=("staging", "rejected", "reports")
    ),
    "processing-load_dimensions": _job("dimensions", reads=("code",), writes=("staging", "reports")),
    "warehouse-copy": (
        _on(_below(WORK, "staging"), "s3:GetObject", "s3:PutObject")
        | _list(WORK, "staging")
        | _on(WORK, "s3:GetBucketLocation")
    ),
    "ingestion-start-run": (
        _on(
            QUEUE,
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:SendMessage",
        )
        | _on(_below(DROP, "transactions", "dimensions"), "s3:GetObject")
        | _on(DROP, "s3:ListBucket", "s3:ListBucketVersions")
        | _on(ARCHIVE, "s3:ListBucketVersions")
        | _on(_below(ARCHIVE, "transactions", "dimensions"), "s3:GetObjectVersion")
        | _on(_below(WORK, "archived", "claims", "reports"), "s3:GetObject")
        | _on(_below(WORK, "claims", "open"), "s3:PutObject")
        | _list(WORK, "archived", "claims", "reports")
        | _on(JOBS, "glue:StartJobRun", "glue:GetJobRun", "glue:GetJobRuns")
        | _on(OUTCOMES, "sns:Publish", "sns:GetTopicAttributes")
        | _log_of("start-run")
    ),
    "notifications-notify": (
        _on(JOBS, "glue:GetJobRun")
        | _on(_below(WORK, "claims", "notified", "reports"), "s3:GetObject")
        | _on(_below(WORK, "notified"), "s3:PutObject")
        | _on([f"{WORK}/notified/backfill.json*"], "s3:DeleteObject")
        | _list(WORK, "claims", "notified", "reports")
        | _on(OUTCOMES, "sns:Publish", "sns:GetTopicAttributes")
        | _on("sqs:notifications-notify-failures", "sqs:SendMessage")
        | _log_of("notify")
    ),
    "archiving-archive": (
        _on(JOBS, "glue:GetJobRun")
        | _on(_below(WORK, "archived", "archiving", "reports"), "s3:GetObject")
        | _on(_below(WORK, "archived", "archiving"), "s3:PutObject")
        | _list(WORK, "archived", "archiving", "reports")
        | _on(QUEUE, "sqs:SendMessage")
        | _on(
            _below(DROP, "transactions", "dimensions"),
            "s3:GetObjectVersion",
            "s3:GetObjectVersionTagging",
            "s3:DeleteObjectVersion",
        )
        | _on(DROP, "s3:ListBucket", "s3:ListBucketVersions")
        | _on(
            _below(ARCHIVE, "transactions", "dimensions"),
            "s3:GetObjectVersion",
            "s3:GetObjectVersionTagging",
            "s3:PutObject",
            "s3:PutObjectTagging",
            "s3:AbortMultipartUpload",
            "s3:DeleteObjectVersion",
        )
        | _on(ARCHIVE, "s3:ListBucketVersions", "s3:GetBucketVersioning")
        | _on("sqs:archiving-archive-failures", "sqs:SendMessage")
        | _log_of("archive")
    ),
    "sweeping-sweep": (
        _on([DROP, ARCHIVE], "s3:ListBucketVersions")
        | _on(_below(ARCHIVE, "transactions", "dimensions"), "s3:GetObjectVersion")
        | _on(_below(WORK, "archived", "claims", "reports", "sweep"), "s3:GetObject")
        | _on(_below(WORK, "sweep"), "s3:PutObject")
        | _on(_below(WORK, "open", "sweep"), "s3:DeleteObject")
        | _list(WORK, "archived", "archiving", "claims", "notified", "open", "reports", "sweep")
        | _on(JOBS, "glue:GetJobRun", "glue:GetJobRuns")
        | _on(QUEUE, "sqs:GetQueueAttributes", "sqs:SendMessage")
        | _on(["lambda:function:archive", "lambda:function:notify"], "lambda:InvokeFunction")
        | _on("sqs:sweeping-sweep-failures", "sqs:SendMessage")
        | _log_of("sweep")
    ),
}

TRUSTED = {
    "processing-process_transactions": "glue.amazonaws.com",
    "processing-load_dimensions": "glue.amazonaws.com",
    "warehouse-copy": ["redshift.amazonaws.com", "redshift-serverless.amazonaws.com"],
    "ingestion-start-run": "lambda.amazonaws.com",
    "notifications-notify": "lambda.amazonaws.com",
    "archiving-archive": "lambda.amazonaws.com",
    "sweeping-sweep": "lambda.amazonaws.com",
}


@pytest.mark.parametrize("role", sorted(GRANTED))
def test_a_role_may_do_what_its_runtime_needs_and_nothing_more(dev: Deployed, role: str) -> None:
    assert _granted(dev.policy_of(role)) == GRANTED[role]


def test_each_runtime_has_a_role_that_only_its_service_assumes(dev: Deployed) -> None:
    trusted = {role.name: json.loads(role.inputs["assumeRolePolicy"])["Statement"] for role in dev.of("Role")}
    # A service that acts for many accounts may use the role for ours alone. Lambda's own roles are passed to
    # one function and not named anywhere else.
    for_us = {"Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}}}
    assert trusted == {
        role: [
            {
                "Effect": "Allow",
                "Principal": {"Service": service},
                "Action": "sts:AssumeRole",
                **({} if service == "lambda.amazonaws.com" else for_us),
            }
        ]
        for role, service in TRUSTED.items()
    }
    roles = {resource.name: resource.state["arn"] for resource in dev.of("Role")}
    runtimes = [job.inputs["roleArn"] for job in dev.of("Job")]
    runtimes += [resource.inputs["role"] for resource in dev.of("Function") if not resource.is_component]
    runtimes += dev.only("Namespace", "warehouse").inputs["iamRoles"]
    assert sorted(runtimes) == sorted(roles.values())


def test_a_roles_rights_are_those_of_its_own_policy_alone(dev: Deployed) -> None:
    """No managed policy, no inline policy beside the one the other tests read."""
    assert {policy.name: policy.inputs["role"] for policy in dev.of("RolePolicy")} == {
        role.name: role.state["name"] for role in dev.of("Role")
    }
    assert [role for role in dev.of("Role") if set(role.inputs) & {"managedPolicyArns", "inlinePolicies"}] == []
    assert [resource for resource in dev.resources if "PolicyAttachment" in resource.kind] == []


def test_a_star_is_used_only_where_aws_has_no_resource(
    deployed: Deployed,
) -> None:
    granted = [
        statement for policy in deployed.of("RolePolicy") for statement in _granted(deployed.policy_of(policy.name))
    ]
    assert [action for action, _ in granted if "*" in action] == []
    assert {action for action, resource in granted if resource == "*"} == set(NO_RESOURCE_IN_AWS)
    statements = [statement for policy in deployed.of("RolePolicy") for statement in deployed.policy_of(policy.name)]
    assert [statement for statement in statements if {"NotAction", "NotResource"} & set(statement)] == []


def test_every_action_exists_and_its_resources_are_of_a_kind_it_takes(deployed: Deployed) -> None:
    wrong = [
        (policy.name, *complaint)
        for policy in deployed.of("RolePolicy")
        for statement in deployed.policy_of(policy.name)
        for complaint in _what_aws_would_not_understand(statement)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:GetObjectVersions", "arn:aws:s3:::bucket/key"),
        ("glue:StartJobRun", f"arn:aws:sqs:{REGION}:{ACCOUNT}:drops"),
        ("s3:GetObject", "*"),
        ("ec2:DescribeSubnets", f"arn:aws:ec2:{REGION}:{ACCOUNT}:subnet/one"),
        ("s3:GetObject", "arn:aws:s3:::bucket"),
        ("s3:ListBucket", "arn:aws:s3:::bucket/prefix/*"),
    ],
)
def test_the_check_of_actions_finds_what_aws_would_not_understand(action: str, resource: str) -> None:
    statement = {"Effect": "Allow", "Action": [action], "Resource": [resource]}
    assert list(_what_aws_would_not_understand(statement)) == [(action, resource)]


def test_only_archive_deletes_a_drop_and_only_by_version(dev: Deployed) -> None:
    deleting = {
        (policy.name, action, resource)
        for policy in dev.of("RolePolicy")
        for action, resource in _granted(dev.policy_of(policy.name))
        if action.startswith("s3:Delete")
    }
    assert deleting == {
        ("archiving-archive", "s3:DeleteObjectVersion", f"{DROP}/transactions/*"),
        ("archiving-archive", "s3:DeleteObjectVersion", f"{DROP}/dimensions/*"),
        # The older of two equal copies, when the newest upload was copied again to be the current version.
        ("archiving-archive", "s3:DeleteObjectVersion", f"{ARCHIVE}/transactions/*"),
        ("archiving-archive", "s3:DeleteObjectVersion", f"{ARCHIVE}/dimensions/*"),
        ("notifications-notify", "s3:DeleteObject", f"{WORK}/notified/backfill.json*"),
        ("sweeping-sweep", "s3:DeleteObject", f"{WORK}/open/*"),
        ("sweeping-sweep", "s3:DeleteObject", f"{WORK}/sweep/*"),
        ("processing-process_transactions", "s3:DeleteObject", f"{WORK}/staging/*"),
        ("processing-load_dimensions", "s3:DeleteObject", f"{WORK}/staging/*"),
    }


def test_only_the_service_that_must_may_send_to_a_queue_or_the_topic(dev: Deployed) -> None:
    policies = {
        resource.name: json.loads(resource.inputs["policy"])["Statement"]
        for kind in ("QueuePolicy", "TopicPolicy")
        for resource in dev.of(kind)
    }
    allowed = {
        name: [
            (
                statement["Principal"]["Service"],
                statement["Action"],
                _short(statement["Resource"]),
                _short(statement["Condition"]["ArnLike"]["aws:SourceArn"]),
                statement["Condition"]["StringEquals"]["aws:SourceAccount"],
            )
            for statement in statements
            if statement["Effect"] == "Allow"
        ]
        for name, statements in policies.items()
    }
    send = "sqs:SendMessage"
    events = "events.amazonaws.com"
    assert allowed == {
        "ingestion-drops": [("s3.amazonaws.com", send, QUEUE, DROP, ACCOUNT)],
        "notifications-notify-failures": [
            (events, send, "sqs:notifications-notify-failures", f"events:rule/notifications-notify-{word}", ACCOUNT)
            for word in ("succeeded", "failed")
        ],
        "archiving-archive-failures": [
            (events, send, "sqs:archiving-archive-failures", "events:rule/archiving-archive-succeeded", ACCOUNT)
        ],
        "sweeping-sweep-failures": [
            (events, send, "sqs:sweeping-sweep-failures", "events:rule/sweeping-sweep-schedule", ACCOUNT)
        ],
        "notifications-outcomes": [],
        "notifications-operators": [
            ("cloudwatch.amazonaws.com", "sns:Publish", OPERATORS, "cloudwatch:alarm:*", ACCOUNT)
        ],
    }


def test_every_resource_policy_refuses_plain_http(deployed: Deployed) -> None:
    kinds = ("BucketPolicy", "QueuePolicy", "TopicPolicy")
    policies = [resource for kind in kinds for resource in deployed.of(kind)]
    refusals = {
        resource.name: [
            (statement["Principal"], statement["Condition"])
            for statement in json.loads(resource.inputs["policy"])["Statement"]
            if statement["Effect"] == "Deny"
        ]
        for resource in policies
    }
    assert len(refusals) == 9
    assert all(refused == [("*", {"Bool": {"aws:SecureTransport": "false"}})] for refused in refusals.values()), (
        refusals
    )


def _granted(statements: Sequence[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """(action, resource) of every statement, a condition spelled out behind its resource."""
    return {
        (action, _short(resource) + _where(statement.get("Condition")))
        for statement in statements
        for action in statement["Action"]
        for resource in statement["Resource"]
    }


def _short(arn: str) -> str:
    """An ARN without the parts that are the same everywhere, and without the suffix of a name Pulumi made."""
    short = re.sub(rf"^arn:aws:([a-z0-9-]+):(?:{REGION})?:(?:{ACCOUNT})?:", r"\1:", arn)
    if not short.startswith("s3:"):
        short = short.replace("transactions-pipeline-dev-", "")
    return short.replace("-0a1b2c3", "")


def _where(condition: Mapping[str, Any] | None) -> str:
    if condition is None:
        return ""
    ((_, tests),) = condition.items()
    ((key, values),) = tests.items()
    return f" where {key} is {' or '.join(values)}"


# What AWS documents of every action (its service authorization reference), as cfn-lint carries it.
_REFERENCE = json.loads(
    resources.files("cfnlint.data.AdditionalSpecs").joinpath("Policies.json").read_text(encoding="utf-8")
)


def _what_aws_would_not_understand(statement: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for action in statement["Action"]:
        service, name = action.split(":")
        known = _REFERENCE[service]["Actions"].get(name.lower())
        kinds = [] if known is None else known.get("Resources", [])
        for resource in statement["Resource"]:
            fits = resource == "*" if not kinds else any(_is_of_kind(resource, service, kind) for kind in kinds)
            if known is None or not fits:
                yield action, resource


def _is_of_kind(resource: str, service: str, kind: str) -> bool:
    # The reference's formats of the two would both fit either.
    if service == "s3" and kind in ("bucket", "object"):
        return resource.startswith("arn:aws:s3:::") and ("/" in resource) == (kind == "object")
    formats = _REFERENCE[service]["Resources"][kind]["ARNFormats"]
    concrete = {"${Partition}": "aws", "${Region}": REGION, "${Account}": ACCOUNT}
    for pattern in formats:
        for variable, value in concrete.items():
            pattern = pattern.replace(variable, value)
        if re.fullmatch(pattern, resource):
            return True
    return False
