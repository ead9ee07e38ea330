"""notify, as EventBridge and the sweep call it, under moto."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from lambdas.attempts import read_report
from lambdas.errors import TerminalError, TransientError
from lambdas.notify import handler
from lambdas.notify.console_links import log_link
from schemas.drops import Drop
from schemas.messages import run_request
from schemas.usual import LOW, USUAL, Comparison, Measure
from tests.lambdas.cloud import DAY_KEY, DROPS, TRANSACTIONS_JOB, Cloud, recorded
from tests.lambdas.notify.notifying import NO_STATUS, event_of, notify_about, only_mail, run_of
from tests.lambdas.reports import failed, succeeded


def test_loaded_drop_is_mailed_with_its_rows(cloud: Cloud) -> None:
    drop = cloud.drop()
    cloud.put_report(succeeded(drop))
    run_id = run_of(cloud, drop)
    assert notify_about(event_of("glue_succeeded", run_id)) is True
    subject, body = only_mail(cloud)
    assert subject == "[dev] 15 Mar loaded: +1,234.50, 2 of 10 rows need a look (20.0 %)"
    assert "            10  in the file\n             4  new\n" in body
    assert f"  run      process_transactions {run_id}, SUCCEEDED\n" in body


def test_the_log_link_is_quoted_as_the_console_quotes_it() -> None:
    assert log_link("eu-west-1", "/aws-glue/jobs", "jr_1") == (
        "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1"
        "#logsV2:log-groups/log-group/$252Faws-glue$252Fjobs/log-events/jr_1"
    )


def test_failed_load_is_mailed_with_the_command_that_replays_it(cloud: Cloud) -> None:
    drop = cloud.drop("transactions/year=2023/month=03/day=15/it's $(late).csv")
    cloud.put_report(failed(drop))
    run_id = run_of(cloud, drop)
    notify_about(event_of("glue_failed", run_id))
    subject, body = only_mail(cloud)
    assert subject == f"[dev] 15 Mar NOT loaded: {NO_STATUS[:59]}..."
    assert body.startswith(
        f""""it's $(late).csv" of 15 Mar 2023 is NOT loaded: {NO_STATUS}.\nNothing of it was loaded.\n"""
    )
    assert "  message  Command failed with exit code 1\n" in body
    command = next(line for line in body.splitlines() if "pipeline replay" in line)
    assert shlex.split(command) == ["pipeline", "replay", drop.load_id, "--stack", "dev"]


@pytest.mark.parametrize(
    ("name", "message", "says"),
    [
        (
            "glue_out_of_memory",
            "Command failed with exit code 10",
            ["needed more memory", "`pulumi config set jobMaxCapacity 1`"],
        ),
        ("glue_failed", "Command failed with exit code 137", ["needed more memory"]),
        ("glue_failed", "Command failed with exit code -9", ["needed more memory"]),
        ("glue_failed", "Command failed with exit code 1", ["the run ended as FAILED before it could report"]),
        ("glue_failed", "Command failed with exit code 100", ["the run ended as FAILED before it could report"]),
        (
            "glue_timeout",
            "Job run timed out",
            ["the job's time limit of 60 minutes", "`pulumi config set jobTimeoutMinutes MINUTES`"],
        ),
        ("glue_stopped", "Job run stopped", ["the run was stopped before", "check who stopped the run"]),
        ("glue_succeeded", "Job run succeeded", ["may be loaded, but the run's report is missing"]),
    ],
)
def test_a_mail_about_a_run_without_a_report_says_how_it_ended(
    cloud: Cloud, name: str, message: str, says: list[str]
) -> None:
    drop = cloud.drop()
    event = event_of(name, run_of(cloud, drop, attempt=3))
    event["detail"]["message"] = message
    notify_about(event)
    subject, body = only_mail(cloud)
    assert subject.startswith("[dev] 15 Mar NOT loaded: ")
    assert all(words in body for words in [*says, message, "A replay is safe", f"pipeline replay {drop.load_id}"])


@pytest.mark.parametrize("died", [True, False])
def test_an_attempt_followed_by_another_is_noted_not_mailed(cloud: Cloud, died: bool) -> None:
    drop = cloud.drop()
    if not died:
        cloud.put_report(failed(drop, is_transient=True))
    event = event_of("glue_failed", run_of(cloud, drop))
    assert (notify_about(event), notify_about(event), cloud.mails()) == (False, False, [])
    failure = "the run ended as FAILED before it could report"
    assert cloud.read(f"notified/{drop.load_id}/1.deferred.json") == {"failure": failure if died else NO_STATUS}
    assert cloud.keys("notified/") == [f"notified/{drop.load_id}/1.deferred.json"]


def test_the_last_attempts_mail_describes_the_earlier_ones(cloud: Cloud) -> None:
    drop = cloud.drop()
    notify_about(event_of("glue_timeout", run_of(cloud, drop)))
    cloud.put_report(failed(drop, attempt=2, is_transient=True))
    cloud.put_report(failed(drop, attempt=3, is_transient=True))
    for attempt in (2, 3):
        notify_about(event_of("glue_failed", run_of(cloud, drop, attempt=attempt)))
    subject, body = only_mail(cloud)
    assert subject.startswith("[dev] 15 Mar NOT loaded: ")
    assert (
        "\nThis was attempt 3; the 2 before it failed too. Attempt 1: the run exceeded the job's time limit of "
        f"60 minutes and was ended before it could report. Attempt 2: {NO_STATUS}.\n"
    ) in body
    assert "pipeline replay" in body
    cloud.end_run(cloud.runs()[0], "TIMEOUT", report=failed(drop, attempt=4))
    notify_about(event_of("glue_failed", run_of(cloud, drop, attempt=4)))
    assert "before it failed too" not in cloud.mails()[1][1], "an earlier mail reported those failures"


def test_a_success_gets_the_same_mail_after_any_failures(cloud: Cloud) -> None:
    undisturbed, drop = cloud.drop(), cloud.drop()
    cloud.put_report(succeeded(undisturbed))
    notify_about(event_of("glue_succeeded", run_of(cloud, undisturbed)))
    # The first attempt died between its commit and its report; the second found all of its rows in the fact.
    notify_about(event_of("glue_failed", run_of(cloud, drop)))
    unchanged = {"rows_read": 10, "inserted": 0, "updated": 0, "unchanged": 7, "stale": 0, "duplicate": 1}
    first, counts = succeeded(drop).counts, {**unchanged, "rejected": 2}
    cloud.put_report(
        succeeded(drop, attempt=2, counts=counts, change="0.00", first_commit=first, first_change="1234.50")
    )
    notify_about(event_of("glue_failed", run_of(cloud, drop, attempt=2)))  # its run died after its report
    (item, body_of_one), (other, body_of_other) = cloud.mails()
    assert item == other
    parts = [body.partition("  pipeline show")[0] for body in (body_of_one, body_of_other)]
    assert parts[0].splitlines()[:2] == parts[1].splitlines()[:2]
    assert "             4  new\n" in parts[1], "the rows that the first attempt committed"


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_failure_is_mailed_when_no_attempt_follows(cloud: Cloud, attempt: int) -> None:
    drop = cloud.drop()
    run_id = run_of(cloud, drop, attempt=attempt)
    notify_about(event_of("glue_failed", run_id))
    cloud.runs()[0].status = "FAILED"
    request = run_request(TRANSACTIONS_JOB, run_id, is_last=True)
    assert (notify_about(request), notify_about(request)) == (True, False)
    subject, body = only_mail(cloud)
    assert subject.startswith("[dev] 15 Mar NOT loaded")
    assert "before it failed too" not in body


@pytest.mark.parametrize("is_alarming", [True, False, None])
def test_figures_of_a_loaded_day_are_published(
    cloud: Cloud, capsys: pytest.CaptureFixture[str], is_alarming: bool | None
) -> None:
    drop = cloud.drop()
    rows, share, change = Measure(10, 25, LOW), Measure(0.2, 0.1, USUAL), Measure(1, 1, USUAL)
    comparison = None if is_alarming is None else Comparison(rows, share, change, is_alarming)
    cloud.put_report(succeeded(drop, event="load", comparison=comparison))
    assert notify_about(event_of("glue_succeeded", run_of(cloud, drop)))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    names = ("Rows", "RejectedShare", "UnusualLoads")
    assert {name: line[name] for line in lines for name in names if name in line} == {
        "Rows": [10],
        "RejectedShare": [0.2],
        "UnusualLoads": [1 if is_alarming else 0],
    }
    assert {line["stack"] for line in lines} == {"dev"}


@pytest.mark.parametrize("report", [failed, lambda drop: succeeded(drop, event="retract")])
def test_only_a_loaded_day_has_figures(cloud: Cloud, capsys: pytest.CaptureFixture[str], report: Any) -> None:
    drop = cloud.drop()
    cloud.put_report(report(drop))
    assert notify_about(event_of("glue_succeeded", run_of(cloud, drop)))
    assert '"_aws"' not in capsys.readouterr().out


def test_a_replay_says_what_the_first_load_did(cloud: Cloud) -> None:
    drop = cloud.drop()
    cloud.put_report(succeeded(drop))
    notify_about(event_of("glue_succeeded", run_of(cloud, drop)))
    first = succeeded(drop).counts or {}
    counts = {**first, "inserted": 0, "unchanged": 5}
    cloud.put_report(succeeded(drop, attempt=2, counts=counts, first_commit=first, first_change="1234.50"))
    notify_about(event_of("glue_succeeded", run_of(cloud, drop, attempt=2)))
    _, (subject, body) = cloud.mails()
    assert "             5  as before\n" in body
    assert subject.startswith("[dev] 15 Mar loaded again: ")
    assert "An earlier attempt loaded it first: 4 new, 1 changed, 2 rejected, +1,234.50." in body


def test_a_dead_load_with_a_late_customer_gets_two_mails(cloud: Cloud) -> None:
    """It committed and died before any mail. Its next attempt loaded the row that the first had rejected."""
    drop = cloud.drop()
    nothing = dict.fromkeys(succeeded(drop).counts or {}, 0)
    first = {**nothing, "rows_read": 2, "inserted": 1, "rejected": 1}
    second = {**nothing, "rows_read": 2, "inserted": 1, "unchanged": 1}
    cloud.put_report(
        succeeded(
            drop,
            attempt=2,
            counts=second,
            change="10.00",
            first_commit=first,
            first_change="7.00",
            reject_reasons={},
            rejected_uri=None,
        )
    )
    notify_about(event_of("glue_succeeded", run_of(cloud, drop, attempt=2)))
    subject, body = only_mail(cloud)
    assert subject == "[dev] 15 Mar loaded: +10.00, 2 rows"
    _, _, rows = body.partition("Rows\n")
    assert [line.split(maxsplit=1) for line in rows.split("\n\n")[0].splitlines()[:3]] == [
        ["2", "in the file"],
        ["1", "new"],
        ["1", "as before"],
    ]
    assert "An earlier attempt loaded it first: 1 new, 0 changed, 1 rejected, +7.00." in rows


def test_a_mail_about_a_dimension_names_its_file(cloud: Cloud) -> None:
    drop = cloud.drop("dimensions/dim_products.csv")
    cloud.put_report(succeeded(drop, amount_classes={}, change=None, reject_reasons={}, rejected_uri=None))
    event = event_of("glue_succeeded", run_of(cloud, drop, job="load_dimensions"))
    event["detail"]["jobName"] = "load_dimensions"
    notify_about(event)
    subject, body = only_mail(cloud)
    assert subject == "[dev] dim_products.csv loaded: 2 of 10 rows need a look (20.0 %)"
    assert body.startswith("dim_products.csv is loaded.")
    assert "Money" not in body


def test_a_committed_load_is_mailed_as_loaded_even_if_its_run_failed(cloud: Cloud) -> None:
    drop = cloud.drop()
    cloud.put_report(succeeded(drop))
    run_id = run_of(cloud, drop)
    notify_about(event_of("glue_failed", run_id))
    subject, body = only_mail(cloud)
    assert subject.startswith("[dev] 15 Mar loaded")
    assert f"{run_id}, FAILED\n" in body


def test_a_report_that_cannot_be_read_is_no_report(cloud: Cloud) -> None:
    drop = cloud.drop()
    for text in ("{", "[]", "{}", '{"reject_reasons": {}, "amount_classes": {}, "error": null, "new": 1}'):
        cloud.s3.put_object(Bucket="shop-work", Key=f"reports/{drop.load_id}/1.json", Body=text.encode())
        assert read_report(handler.dependencies().leases, drop.load_id, 1) is None
    notify_about(event_of("glue_succeeded", run_of(cloud, drop)))
    assert "the run's report is missing or cannot be read" in only_mail(cloud)[1]


def test_runs_that_have_not_ended_get_no_mail(cloud: Cloud) -> None:
    run_id = run_of(cloud, cloud.drop())
    assert notify_about(event_of("glue_run_status", run_id)) is False
    assert notify_about(recorded("eventbridge_scheduled")) is False
    assert notify_about({"job_name": TRANSACTIONS_JOB, "run_id": run_id}) is False
    assert cloud.mails() == []


def test_runs_that_are_not_ours_get_no_mail(cloud: Cloud) -> None:
    by_hand = cloud.glue.start_job_run(JobName=TRANSACTIONS_JOB, Arguments={"--pipeline-bucket": DROPS})["JobRunId"]
    other_stack = run_of(cloud, Drop("other-drops", DAY_KEY, "v1"))
    nothing = cloud.glue.start_job_run(JobName=TRANSACTIONS_JOB)["JobRunId"]
    for run_id in (by_hand, other_stack, nothing):
        assert notify_about(event_of("glue_succeeded", run_id)) is False
    assert cloud.mails() == []


@pytest.mark.usefixtures("cloud")
def test_a_run_that_glue_does_not_know_is_an_error_to_be_tried_again() -> None:
    with pytest.raises(TransientError, match="does not know the run"):
        notify_about(recorded("glue_succeeded"))


@pytest.mark.usefixtures("cloud")
def test_an_event_of_another_shape_is_refused_by_its_fields() -> None:
    with pytest.raises(TerminalError, match=r"has the fields \['Records'\]"):
        notify_about(recorded("s3_put"))


def test_report_with_a_field_more_than_is_known_is_still_a_report(cloud: Cloud) -> None:
    drop = cloud.drop()
    content = {**json.loads(succeeded(drop).to_json()), "a_newer_field": {"x": 1}}
    cloud.s3.put_object(Bucket="shop-work", Key=f"reports/{drop.load_id}/1.json", Body=json.dumps(content).encode())
    notify_about(event_of("glue_succeeded", run_of(cloud, drop)))
    assert only_mail(cloud)[0].startswith("[dev] 15 Mar loaded")
