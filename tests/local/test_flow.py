"""One laptop on which files are dropped: from there on events alone move anything."""

from __future__ import annotations

import io
import json
import time
import urllib.error
import urllib.request
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.s3.models import S3Backend

from cli.drop_status import Stage
from cli.progress import Progress
from local import glue
from local.aws_requests import AwsRequest
from local.event_router import Delivery
from local.functions import FunctionFailed
from local.iam_middleware import Refused
from local.local_cloud import LocalCloud
from schemas.drops import Drop
from schemas.warehouse.tables import WAREHOUSE_TABLES
from tests.local.local_clouds import put, started, transactions, transactions_key

GOOD = "T{number},C12345,P12345,3,2023-03-{day:02},Completed"


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """With the sample products and customers loaded."""
    with started(tmp_path_factory.mktemp("flow"), {"sampleDimensions": "true"}) as laptop:
        laptop.wait_until_idle()
        yield laptop


@pytest.fixture
def undisturbed(laptop: LocalCloud) -> Iterator[LocalCloud]:
    """The laptop, with whatever a test does to it undone."""
    laptop.router.warnings.clear()
    laptop.aws.gate.denials.clear()
    yield laptop
    laptop.router.delivery_policy = lambda _: (0.0,)
    laptop.aws.gate.before = None
    laptop.wait_until_idle()


@pytest.fixture
def function(undisturbed: LocalCloud) -> Iterator[Callable[[str], str]]:
    """Makes a function of some code, with the role and the settings of `notify`; its name."""
    functions = undisturbed.client("lambda")
    like = functions.get_function_configuration(FunctionName="transactions-pipeline-dev-notify")
    made: list[str] = []

    def make(code: str) -> str:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as target:
            target.writestr("made.py", code)
        made.append(f"made-{len(made)}")
        functions.create_function(
            FunctionName=made[-1],
            Runtime=like["Runtime"],
            Role=like["Role"],
            Handler="made.handle",
            Code={"ZipFile": packed.getvalue()},
            Timeout=1,
            MemorySize=128,
            Environment={"Variables": {"ONLY_MINE": "yes"}},
        )
        return made[-1]

    yield make
    for name in made:
        functions.delete_function(FunctionName=name)


def stage_of(laptop: LocalCloud, drop: Drop) -> Stage:
    return Progress(laptop).look([drop])[0].stage


def mails_about(laptop: LocalCloud, drop: Drop) -> list[str]:
    """The subjects of the mails about one drop."""
    return [mail.subject for mail in laptop.mails() if drop.load_id in mail.body]


def fact(laptop: LocalCloud, transaction_id: str) -> list[Any]:
    connection = laptop.connect()
    try:
        cursor = connection.cursor()
        statement = "SELECT status, total_amount FROM fact_transactions WHERE transaction_id = %s"
        cursor.execute(statement, (transaction_id,))
        return list(cursor.fetchall())
    finally:
        connection.close()


def test_the_sample_dimensions_loaded_themselves_by_the_event_path(laptop: LocalCloud) -> None:
    archived = laptop.client("s3").list_objects_v2(Bucket=laptop.outputs["archive_bucket"])["Contents"]
    assert [found["Key"] for found in archived] == ["dimensions/dim_customers.csv", "dimensions/dim_products.csv"]
    assert len(laptop.mails()) == 2


def test_every_resource_of_the_program_stands(laptop: LocalCloud) -> None:
    kinds = Counter(type_.rpartition(":")[2] for type_, _ in laptop.deployed.resources)
    client = laptop.client
    rules = client("events").list_rules()["Rules"]
    roles = client("iam").list_roles()["Roles"]
    policies = [client("iam").list_role_policies(RoleName=role["RoleName"])["PolicyNames"] for role in roles]
    targets = [client("events").list_targets_by_rule(Rule=rule["Name"])["Targets"] for rule in rules]
    found = {
        "Bucket": len(client("s3").list_buckets()["Buckets"]),
        "Queue": len(client("sqs").list_queues()["QueueUrls"]),
        "Topic": len(client("sns").list_topics()["Topics"]),
        "TopicSubscription": len(client("sns").list_subscriptions()["Subscriptions"]),
        "Role": len(roles),
        "RolePolicy": sum(map(len, policies)),
        "Function": len(client("lambda").list_functions()["Functions"]),
        "EventSourceMapping": len(client("lambda").list_event_source_mappings()["EventSourceMappings"]),
        "EventRule": len(rules),
        "EventTarget": sum(map(len, targets)),
        "Job": len(client("glue").list_jobs()["JobNames"]),
        "Connection": len(client("glue").get_connections()["ConnectionList"]),
        "MetricAlarm": len(client("cloudwatch").describe_alarms()["MetricAlarms"]),
        "LogGroup": len(client("logs").describe_log_groups()["logGroups"]),
        "Subnet": len([one for one in client("ec2").describe_subnets()["Subnets"] if not one["DefaultForAz"]]),
        "VpcEndpoint": len(client("ec2").describe_vpc_endpoints()["VpcEndpoints"]),
    }
    assert found == {kind: kinds[kind] for kind in found}
    assert len(laptop.deployed.resources) > 100


def test_the_tables_stand_and_belong_to_the_admin(laptop: LocalCloud) -> None:
    connection = laptop.connect()
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public'")
        assert {tuple(row) for row in cursor.fetchall()} == {
            (table.name, "warehouse_admin") for table in WAREHOUSE_TABLES
        }
    finally:
        connection.close()


def test_a_dropped_file_ends_in_the_fact_in_a_mail_and_in_the_archive(undisturbed: LocalCloud) -> None:
    rows = transactions(GOOD.format(number=1, day=1), "T2,C12345,nobody's,1,2023-03-01,x")
    drop = put(undisturbed, transactions_key(1), rows)
    undisturbed.wait_until_idle()
    assert stage_of(undisturbed, drop) is Stage.ARCHIVED
    assert [(status, str(amount)) for status, amount in fact(undisturbed, "T1")] == [("completed", "89.97")]
    assert mails_about(undisturbed, drop) == ["[dev] Loaded 2023-03-01: 2 rows, 1 accepted, 1 rejected"]
    assert undisturbed.queue("dead_letter_queue_url").all == 0
    assert (undisturbed.router.warnings, undisturbed.aws.gate.denials) == ([], [])


def test_a_file_that_cannot_be_loaded_fails_and_stays_where_it_is(undisturbed: LocalCloud) -> None:
    drop = put(undisturbed, transactions_key(2), b"transaction_id,customer_id\nT3,C12345\n")
    undisturbed.wait_until_idle()
    (seen,) = Progress(undisturbed).look([drop])
    assert seen.stage is Stage.FAILED
    assert "the header lacks 'product_id'" in seen.story
    assert mails_about(undisturbed, drop) == ["[dev] FAILED 2023-03-02: not loaded (transactions_2023-03-02.csv)"]
    assert [run.status for run in undisturbed.runs()][-1] == "FAILED"
    assert drop in Progress(undisturbed).in_drop_bucket()


def test_duplicated_events_end_in_one_run_one_mail_and_one_row(undisturbed: LocalCloud) -> None:
    undisturbed.router.delivery_policy = lambda _: (0.0, 0.02, 0.3)
    before = len(undisturbed.runs())
    drop = put(undisturbed, transactions_key(3), transactions(GOOD.format(number=4, day=3)))
    undisturbed.wait_until_idle()
    assert len(undisturbed.runs()) - before == 1
    assert len(mails_about(undisturbed, drop)) == 1
    assert len(fact(undisturbed, "T4")) == 1
    assert stage_of(undisturbed, drop) is Stage.ARCHIVED


def test_what_lost_events_left_undone_the_sweep_finishes(undisturbed: LocalCloud) -> None:
    def lose_events(delivery: Delivery) -> tuple[float, ...]:
        return () if delivery.kind in ("object event", "run event") else (0.0,)

    undisturbed.router.delivery_policy = lose_events
    drop = put(undisturbed, transactions_key(4), transactions(GOOD.format(number=5, day=4)))
    undisturbed.wait_until_idle()
    assert stage_of(undisturbed, drop) is Stage.QUEUED
    # One look finds the drop without a run, the next what nobody was told of and what is not archived.
    for _ in range(2):
        undisturbed.router.tick(grace_seconds=0)
        undisturbed.wait_until_idle()
    assert stage_of(undisturbed, drop) is Stage.ARCHIVED
    assert len(mails_about(undisturbed, drop)) == 1


def test_more_drops_than_runs_at_a_time_wait_for_their_turn_and_drain(undisturbed: LocalCloud) -> None:
    most = 0
    job = undisturbed.client("glue").get_job(JobName=undisturbed.outputs["transactions_job"])["Job"]
    limit = job["ExecutionProperty"]["MaxConcurrentRuns"]

    drops = [
        put(
            undisturbed,
            transactions_key(10, f"part-{number}.csv"),
            transactions(GOOD.format(number=100 + number, day=10)),
        )
        for number in range(limit + 2)
    ]
    while not undisturbed.is_idle:
        most = max(most, sum(not run.has_ended for run in undisturbed.runs()))
        time.sleep(0.02)
    assert most == limit
    assert {stage_of(undisturbed, drop) for drop in drops} == {Stage.ARCHIVED}
    assert [len(mails_about(undisturbed, drop)) for drop in drops] == [1] * len(drops)
    assert undisturbed.queue("dead_letter_queue_url").all == 0


def test_a_throttled_start_comes_again(undisturbed: LocalCloud) -> None:
    throttled: list[str] = []

    def throttle(asked: AwsRequest) -> None:
        if asked.operation == "StartJobRun" and len(throttled) < 2:
            throttled.append(asked.facts["JobName"])
            raise Refused("ThrottlingException", "Rate exceeded")

    undisturbed.aws.gate.before = throttle
    drop = put(undisturbed, transactions_key(5), transactions(GOOD.format(number=6, day=5)))
    undisturbed.wait_until_idle()
    assert len(throttled) == 2
    assert stage_of(undisturbed, drop) is Stage.ARCHIVED


def test_a_run_over_the_jobs_time_limit_is_killed_and_tried_again_and_only_its_end_is_told(
    undisturbed: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glue, "MINUTE_SECONDS", 0.001)
    drop = put(undisturbed, transactions_key(6), transactions(GOOD.format(number=7, day=6)))
    undisturbed.wait_until_idle()
    assert undisturbed.runs()[-1].status == "TIMEOUT"
    assert mails_about(undisturbed, drop) == []
    monkeypatch.undo()
    undisturbed.router.tick(grace_seconds=0)
    undisturbed.wait_until_idle()
    assert stage_of(undisturbed, drop) is Stage.ARCHIVED
    (subject,) = mails_about(undisturbed, drop)
    assert subject.startswith("[dev] Loaded 2023-03-06")


def test_a_killed_run_has_failed_with_the_signals_exit_code(undisturbed: LocalCloud) -> None:
    drop = put(undisturbed, transactions_key(7), transactions(GOOD.format(number=8, day=7)))
    while not any(undisturbed.router.glue.kill(run.job_run_id) for run in undisturbed.runs()):
        time.sleep(0.01)
    undisturbed.wait_until_idle()
    assert undisturbed.runs()[-1].as_dict()["ErrorMessage"] == "Command failed with exit code 137"
    assert stage_of(undisturbed, drop) is Stage.FAILED


def test_a_function_that_takes_too_long_is_killed(undisturbed: LocalCloud, function: Callable[[str], str]) -> None:
    name = function("import time\ndef handle(event, context):\n    time.sleep(event)\n    return 'done'\n")
    began = time.monotonic()
    with pytest.raises(FunctionFailed, match=r"Task timed out after 1\.00 seconds"):
        undisturbed.router.functions.invoke(name, 30)
    assert time.monotonic() - began < 10
    assert undisturbed.router.functions.invoke(name, 0) == "done", "the next invocation gets a new process"


def test_a_function_has_its_own_environment_and_its_roles_name_and_nothing_else(
    undisturbed: LocalCloud, function: Callable[[str], str]
) -> None:
    name = function(
        "import boto3, os, sys\n"
        "def handle(event, context):\n"
        "    who = boto3.client('sts').get_caller_identity()['Arn']\n"
        "    return {'who': who, 'mine': os.environ.get('ONLY_MINE'), 'names': sorted(os.environ), 'path': sys.path,\n"
        "            'left': context.get_remaining_time_in_millis()}\n"
    )
    told = undisturbed.router.functions.invoke(name, {})
    role = undisturbed.client("lambda").get_function_configuration(FunctionName=name)["Role"].rpartition("/")[2]
    assert f":assumed-role/{role}/" in told["who"]
    assert told["mine"] == "yes"
    assert 0 < told["left"] <= 1000
    assert not [name for name in told["names"] if name not in FUNCTION_ENVIRONMENT]
    assert not [path for path in told["path"] if path.rstrip("/").endswith("/local")]


FUNCTION_ENVIRONMENT = {
    *("ONLY_MINE", "PATH", "LC_CTYPE", "LAMBDA_TASK_ROOT", "LAPTOP_WITHOUT_POWERTOOLS", "_HANDLER"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"),
    *("AWS_ENDPOINT_URL", "AWS_EC2_METADATA_DISABLED", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION"),
    *("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_LOG_GROUP_NAME"),
}


def test_without_its_layer_a_function_has_no_powertools(
    undisturbed: LocalCloud, function: Callable[[str], str]
) -> None:
    name = function("import aws_lambda_powertools\ndef handle(event, context):\n    return None\n")
    with pytest.raises(FunctionFailed, match="ModuleNotFoundError"):
        undisturbed.router.functions.invoke(name, {})


def test_an_event_that_fails_three_times_lies_in_the_functions_failure_queue(
    undisturbed: LocalCloud, function: Callable[[str], str]
) -> None:
    name = function("def handle(event, context):\n    raise ValueError('always')\n")
    described = undisturbed.router.functions.describe(name)
    notify = undisturbed.router.functions.describe("transactions-pipeline-dev-notify")
    forgotten = undisturbed.router.functions.gaps.dead_letter_of_function
    queue_arn = forgotten[described.arn] = forgotten[notify.arn]
    undisturbed.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=b'{"a": 1}')
    undisturbed.wait_until_idle()
    assert [sentence for sentence in undisturbed.router.warnings if "always" in sentence] == [
        f"{name}: ValueError: always (try {number} of 3)" for number in (1, 2, 3)
    ]
    sqs = undisturbed.client("sqs")
    url = sqs.get_queue_url(QueueName=queue_arn.rpartition(":")[2])["QueueUrl"]
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert json.loads(message["Body"]) == {"a": 1}


def test_a_function_answers_who_waits_for_it(undisturbed: LocalCloud, function: Callable[[str], str]) -> None:
    name = function("def handle(event, context):\n    return event['number'] + 1\n")
    answer = undisturbed.client("lambda").invoke(FunctionName=name, Payload=b'{"number": 41}')
    assert json.loads(answer["Payload"].read()) == 42


def test_a_role_may_no_more_than_its_policies_say(undisturbed: LocalCloud) -> None:
    notify = undisturbed.router.functions.describe("transactions-pipeline-dev-notify")
    s3 = undisturbed.aws.client_as("s3", undisturbed.router.functions.credentials(notify))
    bucket = undisturbed.outputs["drop_bucket"]
    with pytest.raises(ClientError, match="is not authorized to perform s3:PutObject on"):
        s3.put_object(Bucket=bucket, Key=transactions_key(20), Body=b"")
    with pytest.raises(ClientError, match="Forbidden"):
        s3.head_object(Bucket=bucket, Key=transactions_key(1))
    # Who may read but not list is not told that an object is missing.
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.get_object(Bucket=undisturbed.outputs["work_bucket"], Key="reports/missing.json")
    assert not [drop for drop in Progress(undisturbed).in_drop_bucket() if "day=20" in drop.key]


def test_a_role_is_assumed_by_the_service_it_trusts_and_no_other(undisturbed: LocalCloud) -> None:
    notify = undisturbed.router.functions.describe("transactions-pipeline-dev-notify")
    with pytest.raises(ClientError, match=r"does not trust glue\.amazonaws\.com"):
        undisturbed.aws.assume(notify.role, service="glue.amazonaws.com", session="test")


def test_a_request_that_nobody_signed_is_refused(undisturbed: LocalCloud) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{undisturbed.aws.url}/{undisturbed.outputs['drop_bucket']}")
    refused.value.close()
    assert refused.value.code == 403


def test_without_the_queues_policy_the_bucket_cannot_send_to_it(undisturbed: LocalCloud) -> None:
    sqs, url = undisturbed.client("sqs"), undisturbed.outputs["queue_url"]
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
    nobody = json.dumps({"Version": "2012-10-17", "Statement": []})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": nobody})
    drop = put(undisturbed, transactions_key(21), transactions(GOOD.format(number=21, day=21)))
    undisturbed.wait_until_idle()
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    assert stage_of(undisturbed, drop) is Stage.QUEUED
    (trouble,) = undisturbed.router.warnings
    assert "may not send to" in trouble


def test_a_rule_that_may_not_invoke_its_function_leaves_the_event_in_the_failure_queue(
    undisturbed: LocalCloud,
) -> None:
    functions, sqs = undisturbed.client("lambda"), undisturbed.client("sqs")
    notify = undisturbed.router.functions.describe("transactions-pipeline-dev-notify")
    statements = json.loads(functions.get_policy(FunctionName=notify.name)["Policy"])["Statement"]

    def let_invoke(source_arn: Callable[[dict[str, Any]], str]) -> None:
        for statement in statements:
            functions.remove_permission(FunctionName=notify.name, StatementId=statement["Sid"])
            functions.add_permission(
                FunctionName=notify.name,
                StatementId=statement["Sid"],
                Action=statement["Action"],
                Principal=statement["Principal"]["Service"],
                SourceArn=source_arn(statement),
            )

    let_invoke(lambda _: f"arn:aws:events:{undisturbed.aws.region}:{undisturbed.aws.account}:rule/another")
    before = len(undisturbed.mails())
    drop = put(undisturbed, transactions_key(22), transactions(GOOD.format(number=22, day=22)))
    undisturbed.wait_until_idle()
    let_invoke(lambda statement: statement["Condition"]["ArnLike"]["AWS:SourceArn"])
    assert stage_of(undisturbed, drop) is Stage.ARCHIVED, "the archive's rule is another"
    assert len(undisturbed.mails()) == before
    queue = undisturbed.router.functions.gaps.dead_letter_of_function[notify.arn].rpartition(":")[2]
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert json.loads(message["Body"])["detail-type"] == "Glue Job State Change"


def test_of_many_who_write_an_object_that_must_not_exist_one_succeeds(
    undisturbed: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3, bucket = undisturbed.client("s3"), undisturbed.outputs["work_bucket"]
    put_object = S3Backend.put_object

    def put_object_slowly(*arguments: Any, **named: Any) -> Any:
        time.sleep(0.05)
        return put_object(*arguments, **named)

    # moto looks first and writes afterwards; this is where others come in between.
    monkeypatch.setattr(S3Backend, "put_object", put_object_slowly)

    def write(number: int) -> bool:
        try:
            s3.put_object(Bucket=bucket, Key="claims/test", Body=bytes([number]), IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise
            return False
        return True

    with ThreadPoolExecutor(8) as writers:
        assert sum(writers.map(write, range(8))) == 1


def test_a_wheel_under_another_name_than_its_own_is_no_wheel(undisturbed: LocalCloud) -> None:
    with pytest.raises(ValueError, match="wheel"):
        undisturbed.router.glue.library(
            undisturbed.client("s3"), f"s3://{undisturbed.outputs['work_bucket']}/code/1234.whl"
        )
