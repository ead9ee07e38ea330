"""No text from a file, a key or a log can break a mail."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.notifier import MAX_BODY_BYTES, Mail
from lambdas.notify.earlier_attempts import EarlierAttempts
from lambdas.notify.mail_context import MailContext
from lambdas.notify.outcome_mail import outcome_mail
from lambdas.printable import printable, shell_word
from lambdas.runs import Run
from schemas.drops import Drop
from schemas.reject_reasons import REJECT_REASONS
from schemas.reports import ClassAmount, Error, RejectedFor, RejectSample, Report
from schemas.warehouse.tables import COUNTS
from tests.lambdas.cloud import DAY_KEY, DROPS, TRANSACTIONS_JOB
from tests.lambdas.reports import succeeded


def test_what_a_file_says_cannot_look_like_a_line_of_the_mail() -> None:
    drop = Drop(DROPS, DAY_KEY, "v1")
    evil = "x\r\n\r\nAll is well\u2028\u202egpj\x1b[31m\x00\n"
    report = succeeded(
        drop,
        reject_reasons={"malformed_row": RejectedFor(1, [RejectSample(2, {}, evil)])},
        ignored_columns=[evil],
        amount_classes={evil: ClassAmount(1, evil)},
        rejected_uri=evil,
    )
    body = outcome_mail(mail_context(drop, report, message=evil)).body
    assert not [character for character in body if not character.isprintable() and character != "\n"]
    assert not [line for line in body.splitlines() if line.startswith("All is well")]


NO_MAIL_BEFORE = EarlierAttempts(were_mailed=False, last_mail_was_failure=False, deferred={})


def mail_context(
    drop: Drop,
    report: Report | None,
    *,
    message: str = "",
    state: str = "FAILED",
    earlier: EarlierAttempts = NO_MAIL_BEFORE,
) -> MailContext:
    return MailContext(
        run=Run(TRANSACTIONS_JOB, "jr_1", state, message, 60, drop, 1),
        drop=drop,
        attempt=1,
        report=report,
        earlier=earlier,
        stack="dev",
        region="eu-west-1",
        work_bucket="shop-work",
        job_log_group="/aws-glue/python-jobs/output",
    )


texts = st.text(max_size=2000) | st.sampled_from(["🙂" * 500, "\x00" * 500, "\U000e0001" * 500])


numbers = st.integers(0, 10**15)


rejected = st.builds(
    RejectedFor,
    numbers,
    st.lists(
        st.builds(RejectSample, numbers, st.fixed_dictionaries({"quantity": texts, "status": texts}), texts),
        max_size=5,
    ),
)


reports_of_any_content = st.builds(
    lambda outcome, error, **fields: replace(
        succeeded(Drop(DROPS, DAY_KEY, "v1")), outcome=outcome, error=error, **fields
    ),
    outcome=st.sampled_from(["succeeded", "failed"]),
    error=st.none() | st.builds(Error, texts, st.booleans(), texts),
    counts=st.none() | st.fixed_dictionaries(dict.fromkeys(COUNTS, numbers)),
    reject_reasons=st.dictionaries(texts | st.sampled_from(sorted(REJECT_REASONS)), rejected, max_size=40),
    amount_classes=st.dictionaries(texts, st.builds(ClassAmount, numbers, texts), max_size=40),
    rejected_uri=st.none() | texts,
    change=st.none() | texts,
    statuses=st.dictionaries(texts, st.builds(ClassAmount, numbers, texts), max_size=40),
    event=st.sampled_from([None, "load", "replay", "flow_in", "retract"]),
    ignored_columns=st.lists(texts, max_size=60),
)


keys = st.from_regex(r"transactions/year=2023/month=03/day=15/[^/\x00-\x1f\x7f]{1,200}\.csv", fullmatch=True).filter(
    lambda key: key.encode("utf-8", "ignore").decode("utf-8") == key
)


@settings(max_examples=100, deadline=None)
@given(
    report=st.none() | reports_of_any_content,
    key=keys,
    message=texts,
    state=st.sampled_from(["FAILED", "SUCCEEDED"]),
    earlier=st.builds(
        EarlierAttempts, st.booleans(), st.booleans(), st.dictionaries(st.integers(1, 9), texts, max_size=3)
    ),
)
def test_sns_accepts_the_mail_for_any_report_and_key(
    report: Report | None, key: str, message: str, state: str, earlier: EarlierAttempts
) -> None:
    mail = outcome_mail(mail_context(Drop(DROPS, key, "v1"), report, message=message, state=state, earlier=earlier))
    assert mail.subject.isascii()
    assert mail.subject.isprintable()
    assert 0 < len(mail.subject) < 100
    assert len(mail.body.encode("utf-8")) <= 262_144 - 1_000
    assert all(character.isprintable() or character == "\n" for character in mail.body)


def test_a_mail_that_is_too_long_says_so_where_it_is_cut() -> None:
    mail = Mail("é\n" * 200, "🙂" * 100_000)
    assert mail.subject == ("??" * 200)[:99]
    assert len(mail.body.encode("utf-8")) < MAX_BODY_BYTES + 100
    assert mail.body.endswith("🙂\n\nThe rest of this mail was too long to send.\n")


@given(texts, st.integers(1, 300))
def test_shown_text_prints_as_itself_and_keeps_to_its_limit(text: str, limit: int) -> None:
    assert printable(text, limit).isprintable()
    assert len(printable(text, limit)) <= limit


@pytest.mark.parametrize("word", ["plain", "it's", "$(rm)", "`x`", "a b", "\u202eevil\u2028'\\x'\U000e0001", "é 🙂"])
def test_a_shell_reads_the_word_as_it_was(word: str) -> None:
    assert shell_word(word).isprintable()
    printed = subprocess.run(
        ["bash", "-c", f"printf %s {shell_word(word)}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert printed.stdout.decode("utf-8") == word
