"""Keys, events and reports as an attacker would write them are refused with a sentence, or harmless."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.notify.earlier_attempts import EarlierAttempts
from lambdas.notify.mail_context import MailContext
from lambdas.notify.outcome_mail import outcome_mail
from lambdas.runs import Run
from lambdas.start_run import handler
from schemas.drops import LONGEST_KEY_BYTES, Drop
from schemas.messages import Request, UnreadableMessage, read_message, replay_message
from schemas.reports import ClassAmount, Error, RejectedFor, RejectSample, Report
from schemas.runs import RunArguments
from tests.lambdas.cloud import DROPS, TRANSACTIONS_JOB, Cloud, Invocation, recorded
from tests.lambdas.reports import failed, succeeded

FOLDER = "transactions/year=2023/month=03/day=15/"


def created(encoded_key: str, version_id: str | None = "v1") -> dict[str, Any]:
    """S3's event with the key exactly as given."""
    event = recorded("s3_put")
    event["Records"][0]["s3"]["object"] |= {"key": encoded_key, "versionId": version_id}
    return event


def deliver(cloud: Cloud, *bodies: dict[str, Any] | str) -> list[str]:
    answer = handler.handle(cloud.batch(*bodies), Invocation())
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def is_harmless(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


# Keys


@pytest.mark.parametrize(
    "name",
    [
        "'; DROP TABLE fact_transactions; --.csv",
        "=cmd|' _C calc'!A0.csv",
        '"quoted" $(rm -rf ~) `id` && x; y | z > w.csv',
        "a\\..\\..\\windows.csv",
        "a..csv",
        "%2e%2e%2f.csv",
        "--max-reject-ratio 1.csv",
        "שלום ١٢٣ 小物.csv",
    ],
)
def test_a_printable_name_reaches_the_job_as_it_is(cloud: Cloud, name: str) -> None:
    drop = cloud.drop(FOLDER + name)
    assert deliver(cloud, replay_message(drop)) == []
    [run] = cloud.runs()
    assert cloud.drop_of(run) == (drop, 1)
    # Glue gets only letters, digits, "-", "_" and "=", which no command line can misread.
    assert (
        RunArguments(drop, 1)
        .encode()["--pipeline-key-base64"]
        .replace("-", "")
        .replace("_", "")
        .replace("=", "")
        .isalnum()
    )
    mail = outcome_mail(mail_context(drop, failed(drop)))
    [command] = [line for line in mail.body.splitlines() if line.startswith("  pipeline replay ")]
    assert shlex.split(command) == ["pipeline", "replay", drop.load_id, "--stack", "dev"]
    assert mail.subject.startswith("[dev] 15 Mar NOT loaded: ")


@pytest.mark.parametrize(
    ("encoded", "why"),
    [
        ("../../etc/passwd", "is outside the layout"),
        (FOLDER + "../16/a.csv", "is outside the layout"),
        ("transactions/year=0000/month=03/day=15/a.csv", "is not in the calendar"),
        (FOLDER + "a.csv%0A%0AAll+is+well", "cannot be seen (U+000A)"),
        (FOLDER + "a%00.csv", "cannot be seen (U+0000)"),
        (FOLDER + "%E2%80%AEvsc.exe.csv", "cannot be seen (U+202E)"),
        (FOLDER + "a%E2%80%8B.csv", "cannot be seen (U+200B)"),
        (FOLDER + "a%E2%80%A8b.csv", "cannot be seen (U+2028)"),
        (FOLDER + "a%FF.csv", "cannot be seen (U+DCFF)"),
        (FOLDER + "a%C0%AFb.csv", "cannot be seen (U+DCC0)"),
        (FOLDER + "a%ED%A0%80.csv", "cannot be seen (U+DCED)"),
        (FOLDER + "a\ud800.csv", "cannot be seen (U+D800)"),
        (FOLDER + "a" * 3000 + ".csv", "3,043 bytes long"),
    ],
)
def test_a_key_without_a_run_is_mailed_once_and_starts_nothing(
    cloud: Cloud, caplog: pytest.LogCaptureFixture, encoded: str, why: str
) -> None:
    event = created(encoded)
    assert (deliver(cloud, event), deliver(cloud, event, event)) == ([], [])
    [(subject, body)] = cloud.mails()
    assert subject == "[dev] Not loaded: a file outside the layout"
    assert why in body
    assert is_harmless(body)
    assert len(body) < 3500
    [line] = [line for line in body.splitlines() if line.startswith("  file ")]
    assert line.startswith("  file     s3://shop-drops/")
    assert (cloud.runs(), cloud.sent_messages()) == ([], [])
    logged = [record.__dict__["key"] for record in caplog.records if "key" in record.__dict__]
    assert len(logged) == 3
    assert all(key.isprintable() for key in logged)


def test_bytes_that_are_no_utf8_never_name_another_object(cloud: Cloud) -> None:
    """A decoder's default replacement character would turn them into this key."""
    cloud.drop(FOLDER + "a\ufffd.csv")
    deliver(cloud, created(FOLDER + "a%FF.csv", version_id=None))
    assert cloud.runs() == []


# Messages


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        '{"replay": {"bucket": "shop-drops", "key": "k", "version_id": "v\\n"}}',
        '{"replay": {"bucket": "shop-drops", "key": "k", "version_id": "\\ud800"}}',
        '{"replay": {"bucket": "shop-drops", "key": "k", "version_id": "v", "after_attempt": "one"}}',
        '{"replay": {"bucket": "shop-drops", "key": "k", "version_id": "v", "after_attempt": Infinity}}',
        '{"Type": "Notification", "TopicArn": "t"}',
        '{"Type": "Notification", "TopicArn": "t", "Message": 5}',
        '{"Records": 5}',
        json.dumps(created("k", version_id="../v 1")),
        json.dumps(created(5, version_id="v1")),  # type: ignore[arg-type]
        json.dumps(created("k", version_id=5)),  # type: ignore[arg-type]
    ],
)
def test_an_invalid_message_is_refused_with_a_sentence(
    cloud: Cloud, caplog: pytest.LogCaptureFixture, body: str
) -> None:
    assert deliver(cloud, body) == ["message-1"]
    assert "check the sender" in caplog.text
    assert (cloud.runs(), cloud.mails()) == ([], [])
    with pytest.raises(UnreadableMessage) as refused:
        read_message(body, message_id="m")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 1000


odd_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("\ud800")
odd_objects = st.fixed_dictionaries(
    {},
    optional={
        "Type": st.just("Notification") | odd_values,
        "TopicArn": odd_values,
        "Message": odd_values,
        "Event": odd_values,
        "replay": st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("bucket", "key", "version_id", "after_attempt", "request"), odd_values)
        ),
        "Records": st.lists(
            st.fixed_dictionaries(
                {"eventSource": st.just("aws:s3") | odd_values},
                optional={
                    "eventName": st.just("ObjectCreated:Put") | odd_values,
                    "s3": st.fixed_dictionaries(
                        {},
                        optional={
                            "bucket": st.fixed_dictionaries({}, optional={"name": odd_values}),
                            "object": st.fixed_dictionaries(
                                {}, optional=dict.fromkeys(("key", "versionId"), odd_values)
                            ),
                        },
                    )
                    | odd_values,
                },
            )
            | odd_values,
            max_size=2,
        ),
    },
)


@given(odd_objects)
def test_any_message_is_read_or_refused_in_a_sentence(content: dict[str, Any]) -> None:
    try:
        requests = read_message(json.dumps(content), message_id="m")
    except UnreadableMessage:
        return
    assert all(isinstance(request, Request) for request in requests)
    assert all(isinstance(text, str) for request in requests for text in (request.bucket, request.key))
    assert all(request.version_id is None or request.version_id.isascii() for request in requests)


# Mails


def mail_context(
    drop: Drop, report: Report | None, *, message: str = "", deferred: dict[int, str] | None = None
) -> MailContext:
    return MailContext(
        run=Run(TRANSACTIONS_JOB, "jr_1", "FAILED", message, 60, drop, 3),
        drop=drop,
        attempt=3,
        report=report,
        earlier=EarlierAttempts(were_mailed=False, last_mail_was_failure=False, deferred=deferred or {}),
        stack="dev",
        region="eu-west-1",
        work_bucket="shop-work",
        job_log_group="/aws-glue/python-jobs/output",
    )


LINES = "x\n\nNothing of it was loaded.\r\nSubject: all is well\x0b\x0c\x1c\x85\u2028\u2029\u202e\u2066\x00\x1b[2J"
FORGED = "Nothing of it was loaded."


def hostile_success(drop: Drop, text: str) -> Report:
    return succeeded(
        drop,
        reject_reasons={
            text: RejectedFor(1, []),
            "invalid_quantity": RejectedFor(1, [RejectSample(2, {"quantity": text}, text)] * 9),
        },
        ignored_columns=[text] * 30,
        amount_classes={text: ClassAmount(1, text)},
        change=text,
        rejected_uri=text,
    )


def hostile_failure(drop: Drop, text: str) -> Report:
    return failed(drop, error=Error(text, False, text))


@pytest.mark.parametrize("report_of", [hostile_success, hostile_failure])
def test_nothing_that_data_says_makes_a_line_or_a_header_of_the_mail(report_of: Any) -> None:
    drop = Drop(DROPS, FOLDER + "a.csv", "v1")
    undisturbed, hostile = (
        outcome_mail(mail_context(drop, report_of(drop, text), message=text, deferred={1: text, 2: text}))
        for text in ("x", LINES)
    )
    assert is_harmless(hostile.body)
    assert hostile.subject.isprintable()
    assert len(hostile.subject) < 100
    assert len(hostile.body.splitlines()) == len(undisturbed.body.splitlines())
    assert hostile.body.splitlines().count(FORGED) == undisturbed.body.splitlines().count(FORGED)


@pytest.mark.parametrize(
    ("key", "subject", "opening"),
    [
        (
            FOLDER + "All is loaded: 9 rows. Ignore the rest, a.csv",
            "[dev] 15 Mar NOT loaded: ",
            '"All is loaded: 9 rows. Ignore the rest, a.csv" of 15 Mar 2023 is NOT loaded: ',
        ),
        (
            'dimensions/dim_products" is loaded: 9 rows. "a.csv',
            """[dev] "dim_products' is loaded: 9 rows. 'a.csv" NOT loaded: """,
            """"dim_products' is loaded: 9 rows. 'a.csv" is NOT loaded: """,
        ),
    ],
)
def test_a_name_that_reads_like_an_outcome_is_quoted(key: str, subject: str, opening: str) -> None:
    drop = Drop(DROPS, key, "v1")
    mail = outcome_mail(mail_context(drop, failed(drop)))
    assert mail.subject.startswith(subject)
    assert mail.body.startswith(opening)


def test_a_long_name_leaves_the_subject_its_counts() -> None:
    drop = Drop(DROPS, f"dimensions/dim_products{'x' * 900}.csv", "v1")
    mail = outcome_mail(mail_context(drop, succeeded(drop)))
    assert mail.subject.endswith(", 2 of 10 rows need a look (20.0 %)")


def test_a_manual_run_for_a_key_outside_the_layout_is_mailed() -> None:
    mail = outcome_mail(mail_context(Drop(DROPS, "some/where\u202e/a\nb.csv", "v1"), None, message="exit code 1"))
    assert mail.subject.startswith('[dev] "a')
    assert is_harmless(mail.body)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["🙂", "\x00", "\U000e0001", "\\", "x", "\ud800"]), st.booleans())
def test_a_report_of_any_size_makes_a_mail_that_sns_takes(character: str, loaded: bool) -> None:
    longest_name = "🙂" * ((LONGEST_KEY_BYTES - len(FOLDER + ".csv")) // 4) + ".csv"
    drop = Drop(DROPS, FOLDER + longest_name, "v" * 1024)
    huge = character * 300_000
    report = hostile_success(drop, huge) if loaded else hostile_failure(drop, huge)
    mail = outcome_mail(mail_context(drop, report, message=huge, deferred={1: huge, 2: huge}))
    assert len(mail.body.encode("utf-8")) + len(mail.subject) < 256 * 1024 - 1024
    assert ("  in the file" if loaded else "  pipeline replay ") in mail.body
    assert f"{drop.load_id}, attempt 3" in mail.body
