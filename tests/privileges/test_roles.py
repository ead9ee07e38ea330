"""Each role may do what its runtime does and nothing more: take a right away and something fails."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from schemas.runs import runs_on_spark
from tests.privileges.probes import PROBES, Probe
from tests.privileges.rights import Right
from tests.privileges.stack import CONTENT, PRODUCTS, TRANSACTIONS, Calm, Stack

pytestmark = pytest.mark.flow

_WRITES_LOGS = "AWS writes a function's and a job's log in its role's name; the laptop keeps its logs in files"
_PLACES_JOBS = "Glue places the run's network interface in the job's subnet; the laptop has no network to place it in"

NEEDED_ON_AWS_ALONE = {
    "logs:CreateLogGroup": _WRITES_LOGS,
    "logs:CreateLogStream": _WRITES_LOGS,
    "logs:PutLogEvents": _WRITES_LOGS,
    "glue:GetConnection": "Glue reads the job's connection to learn its subnet and security group",
    "ec2:CreateNetworkInterface": _PLACES_JOBS,
    "ec2:DeleteNetworkInterface": _PLACES_JOBS,
    "ec2:CreateTags": _PLACES_JOBS,
    "ec2:DeleteTags": _PLACES_JOBS,
    "ec2:DescribeNetworkInterfaces": _PLACES_JOBS,
    "ec2:DescribeRouteTables": _PLACES_JOBS,
    "ec2:DescribeSecurityGroups": _PLACES_JOBS,
    "ec2:DescribeSubnets": _PLACES_JOBS,
    "ec2:DescribeVpcAttribute": _PLACES_JOBS,
    "ec2:DescribeVpcEndpoints": _PLACES_JOBS,
    "s3:GetBucketLocation": "COPY asks for the bucket's Region; the laptop has one",
    "s3:AbortMultipartUpload": "a copy of more than 5 GB that breaks off is thrown away",
}
NEEDED_ON_AWS_BY = {
    ("start-run", "sqs:GetQueueAttributes"): "Lambda's poller asks how many messages wait",
}

ACTORS = ("start-run", "notify", "archive", "sweep", "process-transactions", "load-dimensions", "copy")


def probe_of(undisturbed: Calm, actor: str, right: Right) -> Probe | None:
    """The first probe that the actor needs the right for."""
    role = undisturbed.stack.role_name(actor)
    return next(
        (
            probe
            for probe in PROBES
            if any(who == role and right.covers(need) for who, need in undisturbed.needed[probe])
        ),
        None,
    )


def is_for_aws_alone(actor: str, right: Right) -> bool:
    return right.action in NEEDED_ON_AWS_ALONE or (actor, right.action) in NEEDED_ON_AWS_BY


def on_usual_job(right: Right) -> Right | None:
    """The same right on the usual job, for a right on the large one; None for any other."""
    if not runs_on_spark(right.resource):
        return None
    return replace(right, resource=right.resource.removesuffix("-large"))


def test_every_role_of_the_stack_is_looked_at(stack: Stack) -> None:
    arns = {role["Arn"] for role in stack.client("iam").list_roles()["Roles"]}
    assert {stack.roles[actor] for actor in ACTORS} == arns


@pytest.mark.parametrize("actor", ACTORS)
def test_every_right_is_used_or_listed_as_needed_by_aws_alone(undisturbed: Calm, actor: str) -> None:
    rights = undisturbed.stack.rights(actor)
    assert len(rights) == len(set(rights)) > 0
    unused = {right for right in rights if probe_of(undisturbed, actor, right) is None}
    # The large job is off in this stack, and what is done with it is done with the usual job.
    unused -= {right for right in unused if (usual := on_usual_job(right)) in rights and usual not in unused}
    assert {str(right) for right in unused} == {str(right) for right in rights if is_for_aws_alone(actor, right)}


@pytest.mark.slow
@pytest.mark.parametrize("actor", ACTORS)
def test_without_any_one_of_its_rights_an_actor_fails(undisturbed: Calm, actor: str) -> None:
    stack, role = undisturbed.stack, undisturbed.stack.role_name(actor)
    denials = stack.cloud.aws.iam.denials
    needless = []
    for right in stack.rights(actor):
        probe = probe_of(undisturbed, actor, right)
        if probe is None:
            continue
        denials.clear()
        with stack.without(actor, right):
            try:
                probe.run(stack)
            except Exception:
                is_needed = any(
                    f"the role {role} is not authorized to perform {right.action} on" in said for said in denials
                )
            else:
                is_needed = False
        if not is_needed:
            needless.append((str(right), probe.name, list(denials)))
    assert needless == []


def test_every_entry_of_the_list_is_a_right_that_is_granted(stack: Stack) -> None:
    granted = {(actor, right.action) for actor in ACTORS for right in stack.rights(actor)}
    assert set(NEEDED_ON_AWS_ALONE) <= {action for _, action in granted}
    assert set(NEEDED_ON_AWS_BY) <= granted


DROP, WORK, ARCHIVE = "drop_bucket", "work_bucket", "archive_bucket"
DAY = "transactions/year=2023/month=03/day=15/day.csv"

OUT_OF_REACH = (
    ("start-run", "get_object", WORK, "rejected/year=2023/month=03/day=15/day.csv"),
    ("start-run", "put_object", WORK, "reports/0123456789abcdef/1.json"),
    ("start-run", "get_object", DROP, "elsewhere/day.csv"),
    ("start-run", "delete_object", DROP, DAY),
    ("notify", "get_object", DROP, DAY),
    ("notify", "get_object", WORK, "rejected/year=2023/month=03/day=15/day.csv"),
    ("notify", "put_object", WORK, "reports/0123456789abcdef/1.json"),
    ("archive", "get_object", DROP, DAY),
    ("archive", "put_object", DROP, DAY),
    ("archive", "put_object", ARCHIVE, "elsewhere/day.csv"),
    ("archive", "delete_object", ARCHIVE, DAY),
    ("archive", "put_object", WORK, "reports/0123456789abcdef/1.json"),
    ("sweep", "get_object", DROP, DAY),
    ("sweep", "delete_object", DROP, DAY),
    ("sweep", "put_object", WORK, "claims/0123456789abcdef/1.json"),
    ("process-transactions", "get_object", DROP, DAY),
    ("process-transactions", "put_object", DROP, DAY),
    ("process-transactions", "delete_object", DROP, DAY),
    ("process-transactions", "put_object", WORK, "code/glue_entry.py"),
    ("process-transactions", "get_object", WORK, "claims/0123456789abcdef/1.json"),
    ("process-transactions", "delete_object", WORK, "rejected/year=2023/month=03/day=15/day.csv"),
    ("process-transactions", "get_object", ARCHIVE, DAY),
    ("load-dimensions", "get_object", WORK, "staging/0123456789abcdef/1/part-00000.parquet"),
    ("load-dimensions", "put_object", WORK, "rejected/year=2023/month=03/day=15/day.csv"),
    ("load-dimensions", "put_object", WORK, "code/glue_entry.py"),
    ("copy", "get_object", DROP, DAY),
    ("copy", "get_object", WORK, "reports/0123456789abcdef/1.json"),
    ("copy", "put_object", WORK, "rejected/year=2023/month=03/day=15/day.csv"),
    ("copy", "delete_object", WORK, "staging/0123456789abcdef/1/part-00000.parquet"),
)


@pytest.mark.parametrize(("actor", "operation", "bucket", "key"), OUT_OF_REACH)
def test_what_an_actor_may_do_it_may_not_do_elsewhere(
    stack: Stack, actor: str, operation: str, bucket: str, key: str
) -> None:
    ask = getattr(stack.client_as(actor, "s3"), operation)
    with pytest.raises(ClientError, match=f"{stack.role_name(actor)} is not authorized to perform s3:"):
        ask(Bucket=stack.cloud.outputs[bucket], Key=key)


@pytest.mark.parametrize("kind", [TRANSACTIONS, PRODUCTS])
def test_a_job_reads_its_own_kind_of_drops(stack: Stack, kind: str) -> None:
    drop = stack.drop(kind)
    where = {"Bucket": drop.bucket, "Key": drop.key, "VersionId": drop.version_id}
    jobs = {TRANSACTIONS: "process-transactions", PRODUCTS: "load-dimensions"}
    assert stack.client_as(jobs.pop(kind), "s3").get_object(**where)["Body"].read() == CONTENT[kind]
    (another,) = jobs.values()
    with pytest.raises(ClientError, match="is not authorized to perform s3:GetObjectVersion"):
        stack.client_as(another, "s3").get_object(**where)


@pytest.mark.parametrize(
    ("actor", "service", "operation", "given"),
    [
        ("start-run", "glue", "start_job_run", {"JobName": "another-job"}),
        ("notify", "glue", "start_job_run", {"JobName": "transactions-pipeline-dev-process-transactions"}),
        ("sweep", "glue", "start_job_run", {"JobName": "transactions-pipeline-dev-process-transactions"}),
        ("sweep", "lambda", "invoke", {"FunctionName": "transactions-pipeline-dev-start-run"}),
        ("sweep", "sns", "publish", {"TopicArn": "arn:aws:sns:eu-west-1:1:mails", "Message": "m"}),
        ("archive", "sns", "publish", {"TopicArn": "arn:aws:sns:eu-west-1:1:mails", "Message": "m"}),
        ("notify", "sns", "publish", {"TopicArn": "arn:aws:sns:eu-west-1:1:another", "Message": "m"}),
        ("process-transactions", "glue", "get_job_run", {"JobName": "j", "RunId": "r"}),
        ("process-transactions", "iam", "list_roles", {}),
        ("load-dimensions", "sts", "assume_role", {"RoleArn": "arn:aws:iam::1:role/copy", "RoleSessionName": "probe"}),
    ],
)
def test_an_actor_asks_no_other_service_for_anything(
    stack: Stack, actor: str, service: str, operation: str, given: dict[str, Any]
) -> None:
    ask = getattr(stack.client_as(actor, service), operation)
    with pytest.raises(ClientError, match="is not authorized to perform"):
        ask(**given)


def test_the_copy_role_is_no_database_user(stack: Stack) -> None:
    """The role with which Redshift itself acts cannot sign in."""
    with pytest.raises(Exception, match=r"is not authorized to perform redshift-serverless:GetCredentials"):
        stack.sign_in("copy")
