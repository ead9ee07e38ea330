"""Every step of `pipeline prove`, against the local cloud."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.glue.models import glue_backends

from cli.loads.loads import Loads
from cli.pipelines.pipeline import Pipeline
from cli.pipelines.up import describe
from cli.program.declared_resources import Resource, declared_resources
from cli.prove import steps as proof_steps
from cli.prove.proof import NOT_DONE, STOPPED, Result, is_destroyed, prove
from cli.prove.steps import STEPS, Proof, Step
from cli.prove.throwaway_stack import SETTINGS, leftovers
from cli.refusals import Failed, Refused
from local.local_cloud import LocalCloud
from schemas.drops import Drop
from schemas.runs import FLOW_IN
from tests.local.local_clouds import ROOT, started

pytestmark = pytest.mark.flow

STACK = "proof"


@dataclass
class LaptopStack:
    """A throw-away stack of the local cloud. Its AWS keeps running after `destroy`, so that leftovers can be found."""

    folder: Path
    running: ExitStack
    name: str = STACK
    by_hand: str = "`a command`"
    cloud: LocalCloud | None = None
    kept: set[str] = field(default_factory=set)
    """`destroy` leaves resources whose ARN contains one of these words."""

    def refuse_if_unusable(self) -> None:
        if self.cloud is not None:
            raise Refused("the stack proof exists")

    def deploy(self, *, timeout_seconds: float) -> Pipeline:  # noqa: ARG002
        own = {name: value for name, value in SETTINGS.items() if name not in ("jobMaxConcurrentRuns",)}
        self.cloud = self.running.enter_context(started(self.folder, own, name=STACK))
        local = describe(self.cloud)
        session = boto3.session.Session(
            aws_access_key_id=local.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=local.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=local.region,
        )
        return Pipeline("the stack proof", self.cloud.outputs, session, local=local)

    def changes(self, *, timeout_seconds: float) -> str:  # noqa: ARG002
        """A second run of the program must declare the same resources."""
        first, second = (sorted(map(in_words, declared_resources(ROOT, "dev")[0])) for _ in range(2))
        return "" if first == second else "the program declares something else each time"

    def destroy(self) -> None:
        assert self.cloud is not None
        destroy_tagged(self.cloud, kept=self.kept)

    def client(self, service: str) -> Any:
        assert self.cloud is not None
        return self.cloud.client(service)


def in_words(resource: Resource) -> str:
    """A resource as text. An uploaded file is represented by its type alone."""
    return json.dumps([resource.type, dict(resource.inputs)], default=lambda value: type(value).__name__)


def destroy_tagged(cloud: LocalCloud, *, kept: set[str]) -> None:
    """Delete every tagged resource, in an order that AWS accepts."""
    client: Callable[[str], Any] = cloud.client
    arns = leftovers_of(cloud)
    delete: dict[str, Callable[[str], Any]] = {
        ":s3:": lambda arn: delete_bucket(client("s3"), arn.rpartition(":")[2]),
        ":sns:": lambda arn: client("sns").delete_topic(TopicArn=arn),
        ":sqs:": lambda arn: client("sqs").delete_queue(
            QueueUrl=client("sqs").get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
        ),
        ":dashboard/": lambda arn: client("cloudwatch").delete_dashboards(DashboardNames=[arn.rpartition("/")[2]]),
        ":alarm:": lambda arn: client("cloudwatch").delete_alarms(AlarmNames=[arn.rpartition(":")[2]]),
        ":log-group:": lambda arn: client("logs").delete_log_group(logGroupName=arn.partition("log-group:")[2]),
        ":function:": lambda arn: client("lambda").delete_function(FunctionName=arn),
        ":job/": lambda arn: client("glue").delete_job(JobName=untagged(client("glue"), arn)),
        # moto has no DeleteConnection.
        ":connection/": lambda arn: glue_backends[cloud.aws.account][cloud.aws.region].connections.pop(
            untagged(client("glue"), arn)
        ),
        ":role/": lambda arn: delete_role(client("iam"), arn.rpartition("/")[2]),
        ":security-group/": lambda arn: client("ec2").delete_security_group(GroupId=arn.rpartition("/")[2]),
        ":subnet/": lambda arn: client("ec2").delete_subnet(SubnetId=arn.rpartition("/")[2]),
        ":route-table/": lambda arn: delete_route_table(client("ec2"), arn.rpartition("/")[2]),
        ":vpc/": lambda arn: client("ec2").delete_vpc(VpcId=arn.rpartition("/")[2]),
    }
    for kind, act in delete.items():
        for arn in arns:
            if kind in arn and not any(word in arn for word in kept):
                act(arn)


def leftovers_of(cloud: LocalCloud) -> list[str]:
    return leftovers(cloud.client, STACK, since=datetime.now(UTC) - timedelta(days=1))


def untagged(glue: Any, arn: str) -> str:
    """The name in an ARN. Its tags are removed, because moto keeps the tags of deleted resources."""
    glue.untag_resource(ResourceArn=arn, TagsToRemove=["project", "environment"])
    return arn.rpartition("/")[2]


def delete_bucket(s3: Any, bucket: str) -> None:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
    s3.delete_bucket(Bucket=bucket)


def delete_role(iam: Any, role: str) -> None:
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        iam.delete_role_policy(RoleName=role, PolicyName=name)
    iam.delete_role(RoleName=role)


def delete_route_table(ec2: Any, table: str) -> None:
    [described] = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
    for association in described["Associations"]:
        ec2.disassociate_route_table(AssociationId=association["RouteTableAssociationId"])
    ec2.delete_route_table(RouteTableId=table)


@pytest.fixture(scope="module")
def uploaded_after() -> dict[str, set[str]]:
    """Title of a step -> the keys that were uploaded when it ended."""
    return {}


@pytest.fixture(scope="module")
def proven(
    tmp_path_factory: pytest.TempPathFactory, uploaded_after: dict[str, set[str]]
) -> Iterator[tuple[Proof, list[Result]]]:
    """One proof, its closing steps left out."""
    with ExitStack() as running:
        stack = LaptopStack(tmp_path_factory.mktemp("proof"), running)
        proof = Proof(stack, tmp_path_factory.mktemp("files"), minutes=60, began=datetime.now(UTC))

        def note(result: Result) -> None:
            uploaded_after[result.title] = set(proof.uploads)

        yield proof, prove(proof, closing=(), on_result=note)


def test_every_step_is_good_on_the_local_cloud(proven: tuple[Proof, list[Result]]) -> None:
    assert [str(result) for result in proven[1] if not result.is_good] == []
    assert len(proven[1]) == 13


def test_what_can_wait_for_glue_side_by_side_does(
    proven: tuple[Proof, list[Result]], uploaded_after: dict[str, set[str]]
) -> None:
    """On AWS each wait takes minutes, so there are three: dimensions, the week, and a replay beside what flows in."""
    files = proven[0].files
    first = {*files.dimensions, files.orphan, files.hostile}
    assert uploaded_after["products and customers are loaded"] == first
    assert uploaded_after["a run is killed"] == {*first, *files.week, files.killed, files.late_customer}
    titles = [result.title for result in proven[1]]
    requested, waited = (
        titles.index(f"a killed load and a loaded one {what}") for what in ("can be replayed", "are replayed")
    )
    assert titles[requested + 1 : waited] == ["a second deployment changes nothing"], (
        "it takes a minute beside the runs"
    )


def test_the_late_customers_sales_wait_whatever_is_loaded_beside_them(proven: tuple[Proof, list[Result]]) -> None:
    """They are loaded beside the dimensions, in any order, so none of them may name a customer that comes there."""
    files = proven[0].files
    known = {
        line.partition(",")[0] for key in files.dimensions for line in (files.folder / key).read_text().splitlines()
    }
    sales = [line.split(",") for line in (files.folder / files.orphan).read_text().splitlines()[1:]]
    assert len(sales) == 2
    assert all(customer not in known for _, customer, *_ in sales)
    [drop] = proven[0].uploads[files.orphan]
    first, second = Loads(proven[0].pipeline).of(drop).attempts
    assert (first.report.counts["rejected"], first.report.waiting) == (2, 2)
    assert second.report.event == FLOW_IN


def fails(proof: Proof, function: Any) -> str:
    """The sentence that a failing step prints."""
    with pytest.raises(Failed) as failed:
        function(proof)
    return str(failed.value)


def statement(proof: Proof, text: str) -> None:
    connection = proof.stack.cloud.connect()
    try:
        connection.cursor().execute(text)
        connection.commit()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("change", "undo"),
    [
        (
            "UPDATE fact_transactions SET total_amount = total_amount + 0.01 WHERE transaction_id = 'PROOF-1'",
            "UPDATE fact_transactions SET total_amount = 89.97 WHERE transaction_id = 'PROOF-1'",
        ),
        (
            "UPDATE fact_transactions SET status = 'refunded' WHERE transaction_id = 'PROOF-2'",
            "UPDATE fact_transactions SET status = 'completed' WHERE transaction_id = 'PROOF-2'",
        ),
    ],
)
def test_a_cent_or_a_status_that_is_wrong_fails_the_proof(
    proven: tuple[Proof, list[Result]], change: str, undo: str
) -> None:
    proof = proven[0]
    statement(proof, change)
    assert fails(proof, proof_steps.compare_table).startswith("1 expected rows are not in the table and 1 others")
    statement(proof, undo)
    assert proof_steps.compare_table(proof).endswith("each as the generator expects")


def test_a_mail_too_few_or_too_many_fails_the_proof(proven: tuple[Proof, list[Result]]) -> None:
    proof = proven[0]
    drop = proof.uploads[proof.files.week[1]][0]
    mail = next(body for body in proof.mails.bodies if drop.load_id in body)
    proof.mails.bodies.append(mail)
    with pytest.raises(Failed, match=f"^2 mails are about {drop.uri}, not 1"):
        proof.mails.compare({drop: 1}, timeout_seconds=0)
    proof.mails.bodies[:] = [body for body in proof.mails.bodies if body != mail]
    with pytest.raises(Failed, match=f"^0 mails are about {drop.uri}, not 1"):
        proof.mails.compare({drop: 1}, timeout_seconds=0)
    proof.mails.bodies.append(mail)


def test_an_archived_copy_that_differs_or_is_missing_fails_the_proof(proven: tuple[Proof, list[Result]]) -> None:
    proof = proven[0]
    path = proof.files.folder / proof.files.week[0]
    content = path.read_bytes()
    path.write_bytes(content + b"\n")
    assert "differs from the upload" in fails(proof, proof_steps.verify_archive)
    path.write_bytes(content)
    lost = Drop(proof.pipeline.output("drop_bucket"), proof.files.week[0], "a-version-that-never-was")
    proof.uploads[proof.files.week[0]].append(lost)
    assert fails(proof, proof_steps.verify_archive) == f"{lost.uri} is not in the archive"
    proof.uploads[proof.files.week[0]].remove(lost)


@pytest.mark.parametrize(("alarm", "is_expected"), [("failed-runs", True), ("sweep-errors", False)])
def test_only_the_alarm_about_failed_runs_may_ring(
    proven: tuple[Proof, list[Result]], alarm: str, is_expected: bool
) -> None:
    proof = proven[0]
    cloudwatch, name = proof.pipeline.client("cloudwatch"), f"transactions-pipeline-{STACK}-{alarm}"
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="test")
    if is_expected:
        assert proof_steps.look_at_alarms(proof).startswith("1 rings")
    else:
        assert fails(proof, proof_steps.look_at_alarms) == f"these ring: {name}; 0 dead letters"
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="test")


def test_a_file_that_was_loaded_is_no_refused_one(proven: tuple[Proof, list[Result]]) -> None:
    proof = proven[0]
    files = proof.deployed.files
    proof.deployed = replace(proof.deployed, files=replace(files, hostile=files.week[2]))
    assert "was not refused, but is archived" in fails(proof, proof_steps.refuse_hostile_file)
    proof.deployed = replace(proof.deployed, files=files)


def test_a_step_fails_once_the_time_is_over(proven: tuple[Proof, list[Result]]) -> None:
    proof = proven[0]
    late = replace(proof, minutes=4)
    late.deployed = proof.deployed
    for step in (proof_steps.refuse_hostile_file, proof_steps.deploy_again):
        assert fails(late, step) == ("not done: 4 of 4 minutes are left, for the destruction; --minutes allows more")


def test_a_proof_that_fails_half_way_leaves_nothing_on_the_cloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mail queue is subscribed and files are uploaded. The next step breaks."""
    monkeypatch.setattr(proof_steps, "_LEFTOVER_LOOK_SECONDS", 0.1)

    def upload_and_break(proof: Proof) -> str:
        proof.upload(proof.files.dimensions[0])
        raise KeyboardInterrupt

    with ExitStack() as running:
        proof = Proof(LaptopStack(tmp_path / "cloud", running), tmp_path / "files", minutes=60, began=datetime.now(UTC))
        proof.folder.mkdir()
        steps = (STEPS[0], Step("uploads", upload_and_break), *STEPS[1:])
        results = prove(proof, steps=steps)
        assert [result.evidence for result in results[1:3]] == [STOPPED, NOT_DONE]
        assert is_destroyed(results), [str(result) for result in results[-3:]]
        queues = proof.stack.client("sqs").list_queues(QueueNamePrefix="transactions-pipeline-proof")
        assert "QueueUrls" not in queues


def test_what_is_left_is_named_until_it_is_gone(
    proven: tuple[Proof, list[Result]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """This test must be the last of the module: it deletes everything."""
    proof = proven[0]
    monkeypatch.setattr(proof_steps, "_LEFTOVER_SECONDS", 0.0)
    proof.stack.kept = {":transactions-pipeline-proof-drops", "role/warehouse-copy-", ":dashboard/"}
    assert proof_steps.destroy(proof) == "everything is destroyed"
    named = fails(proof, proof_steps.look_for_leftovers)
    assert named.startswith("3 resources with the stack's tags are left: "), named
    assert ":transactions-pipeline-proof-drops" in named
    assert ":role/warehouse-copy-" in named
    assert ":dashboard/transactions-pipeline-proof-" in named
    proof.stack.kept.clear()
    destroy_tagged(proof.stack.cloud, kept=set())
    assert proof_steps.look_for_leftovers(proof) == "nothing with the stack's tags is left"
