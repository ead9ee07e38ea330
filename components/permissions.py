"""IAM statements, one function each, and the documents made of them.

A statement is granted by the component whose runtime needs it, and it always names its resources.
The few actions that AWS cannot narrow to a resource are JOB_LOOKUPS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.arns import account_of

Statement = Mapping[str, Any]

# AWS defines no resource for these; a job needs them to place itself in its subnet.
JOB_LOOKUPS = (
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcEndpoints",
)


def policy(statements: Sequence[Statement]) -> pulumi.Output[str]:
    """A policy document as JSON, once everything its statements name is known."""
    return compact_json({"Version": "2012-10-17", "Statement": list(statements)})


def compact_json(value: Any) -> pulumi.Output[str]:
    """JSON as AWS returns it: with spaces in it, some resources would differ at every preview."""
    return pulumi.Output.json_dumps(value, separators=(",", ":"))


def assume_role_policy(*services: str, account: pulumi.Input[str] | None = None) -> pulumi.Output[str]:
    """The document that lets only AWS services assume a role.

    With an account, a service may do so on behalf of that account alone: another customer of the
    service could otherwise name this role as its own ("confused deputy").
    """
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": list(services) if len(services) > 1 else services[0]},
        "Action": "sts:AssumeRole",
    }
    if account is not None:
        statement["Condition"] = {"StringEquals": {"aws:SourceAccount": account}}
    return policy([statement])


def allow(
    actions: Sequence[str],
    resources: Sequence[pulumi.Input[str]],
    condition: Mapping[str, Any] | None = None,
) -> Statement:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return {**statement, "Condition": condition} if condition else statement


def below(bucket_arn: pulumi.Input[str], *prefixes: str) -> list[pulumi.Output[str]]:
    """The ARNs of the objects below some prefixes of a bucket."""
    return [pulumi.Output.concat(bucket_arn, "/", prefix, "*") for prefix in prefixes]


def read_objects(bucket_arn: pulumi.Input[str], *prefixes: str) -> Statement:
    return allow(["s3:GetObject"], below(bucket_arn, *prefixes))


def read_object_versions(bucket_arn: pulumi.Input[str], *prefixes: str) -> Statement:
    """Read pinned versions; S3 requires another action for them than for the newest version."""
    return allow(["s3:GetObjectVersion"], below(bucket_arn, *prefixes))


def write_objects(bucket_arn: pulumi.Input[str], *prefixes: str) -> Statement:
    return allow(["s3:PutObject"], below(bucket_arn, *prefixes))


def delete_objects(bucket_arn: pulumi.Input[str], *prefixes: str) -> Statement:
    return allow(["s3:DeleteObject"], below(bucket_arn, *prefixes))


def list_below(bucket_arn: pulumi.Input[str], *prefixes: str) -> Statement:
    """List only the objects below some prefixes."""
    return allow(["s3:ListBucket"], [bucket_arn], {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}})


def list_bucket_for_404(bucket_arn: pulumi.Input[str]) -> Statement:
    """List the whole bucket: without this right S3 responds with 403, not 404, for a missing object. A condition on
    the prefix would defeat it, since a GET has no prefix.
    """
    return allow(["s3:ListBucket"], [bucket_arn])


def list_versions(bucket_arn: pulumi.Input[str]) -> Statement:
    return allow(["s3:ListBucketVersions"], [bucket_arn])


def publish_to(topic_arn: pulumi.Input[str]) -> Statement:
    return allow(["sns:Publish"], [topic_arn])


def count_readers(topic_arn: pulumi.Input[str]) -> Statement:
    """Read the number of confirmed subscriptions: without one no mail is sent."""
    return allow(["sns:GetTopicAttributes"], [topic_arn])


def send_to(queue_arn: pulumi.Input[str]) -> Statement:
    return allow(["sqs:SendMessage"], [queue_arn])


def receive_from(queue_arn: pulumi.Input[str]) -> Statement:
    """Read and delete a queue's messages, as an event source mapping does with the function's role."""
    return allow(
        ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
        [queue_arn],
    )


def count_messages(queue_arn: pulumi.Input[str]) -> Statement:
    return allow(["sqs:GetQueueAttributes"], [queue_arn])


def start_runs(job_arns: Sequence[pulumi.Input[str]]) -> Statement:
    return allow(["glue:StartJobRun"], job_arns)


def read_run(job_arns: Sequence[pulumi.Input[str]]) -> Statement:
    return allow(["glue:GetJobRun"], job_arns)


def read_runs(job_arns: Sequence[pulumi.Input[str]]) -> Statement:
    return allow(["glue:GetJobRun", "glue:GetJobRuns"], job_arns)


def invoke(function_arns: Sequence[pulumi.Input[str]]) -> Statement:
    return allow(["lambda:InvokeFunction"], function_arns)


def write_logs(log_group_arn: pulumi.Input[str]) -> Statement:
    return allow(["logs:CreateLogStream", "logs:PutLogEvents"], [pulumi.Output.concat(log_group_arn, ":*")])


def sign_in_to(workgroup_arn: pulumi.Input[str]) -> Statement:
    """Sign in to the warehouse as the database user named after the role."""
    return allow(["redshift-serverless:GetCredentials"], [workgroup_arn])


def allow_service(service: str, source_arn: pulumi.Input[str], action: str, target_arn: pulumi.Input[str]) -> Statement:
    """For a resource's own policy: one AWS service may act on it for one source in this account."""
    return {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": action,
        "Resource": target_arn,
        "Condition": {
            "ArnLike": {"aws:SourceArn": source_arn},
            # A bucket's ARN names no account: deleted, its name could be another's.
            "StringEquals": {"aws:SourceAccount": account_of(target_arn)},
        },
    }


def refuse_plain_http(actions: str, resources: Sequence[pulumi.Input[str]]) -> Statement:
    """For a resource's own policy: requests without TLS are refused."""
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": actions,
        "Resource": list(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
