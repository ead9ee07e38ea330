"""The arguments of a run, read from a command line as untidy as Glue's."""

from __future__ import annotations

import argparse
import base64
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.arguments import parse_arguments
from jobs.errors import TerminalError
from schemas.amount_classes import parse_amount_classes
from schemas.drops import Drop
from tests.jobs.dry_run import command_line
from tests.strategies.files import s3_keys

DROP = Drop("drop-bucket", "transactions/year=2023/month=03/day=15/day.csv", "v1")
GLUE = [
    *("--enable-metrics", "--continuous-log-logGroup", "/aws-glue/python-jobs", "--job-bookmark-option"),
    *("job-bookmark-disable", "--scriptLocation", "s3://work-bucket/code/glue_entry.py", "--job-language", "python"),
    *("--TempDir", "s3://work-bucket/tmp/", "--extra-py-files", "s3://work-bucket/code/x.whl", "--python-version"),
    *("3.9", "--enable-continuous-log-filter", "false", "true", "--library-set", "none"),
]
"""Arguments that Glue adds itself, some without a value."""


def test_glues_own_arguments_are_skipped_at_any_place() -> None:
    plain = parse_arguments(command_line(DROP))
    ours = command_line(DROP)
    pairs = [ours[at : at + 2] for at in range(0, len(ours), 2)]
    mixed = [token for at, pair in enumerate(pairs) for token in [*GLUE[at % len(GLUE) :], *pair, "--enable-metrics"]]
    assert parse_arguments(mixed) == plain
    assert plain.drop == DROP
    assert plain.max_reject_ratio == Fraction(1)
    assert plain.amount_classes == {"Small": Decimal(0), "Medium": Decimal(100), "Large": Decimal(1000)}
    assert (plain.attempt, plain.warehouse.port, plain.warehouse.workgroup) == (1, 5439, "workgroup")


@given(
    s3_keys(),
    st.sampled_from(("v1", "null", "-abc", "--pipeline-job", "a b", "'", "3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY")),
)
def test_a_drop_with_any_key_and_version_is_passed_on(key: str, version_id: str) -> None:
    drop = Drop("drop-bucket", key, version_id)
    assert parse_arguments(command_line(drop)).drop == drop


@pytest.mark.parametrize("name", command_line(DROP)[::2])
def test_a_missing_argument_is_named(name: str) -> None:
    ours = command_line(DROP)
    at = ours.index(name)
    with pytest.raises(TerminalError) as refused:
        parse_arguments(ours[:at] + ours[at + 2 :] + GLUE)
    assert name in str(refused.value)
    assert str(refused.value).endswith("; correct the job or the run that passed them")


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        (
            "--pipeline-job",
            "mock_data",
            "the job 'mock_data' is unknown; it must be one of process_transactions, process_transactions_large",
        ),
        ("--pipeline-port", "fifty", "'fifty'"),
        ("--pipeline-attempt", "1.5", "'1.5'"),
        ("--pipeline-max-reject-ratio", "half", "'half'"),
        ("--pipeline-key-base64", "ä", "cannot be read"),
        ("--pipeline-key-base64", "abc", "cannot be read"),
        ("--pipeline-key-base64", base64.urlsafe_b64encode(b"\xff").decode(), "cannot be read"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(name: str, value: str, fault: str) -> None:
    ours = command_line(DROP)
    ours[ours.index(name) + 1] = value
    with pytest.raises(TerminalError) as refused:
        parse_arguments(ours)
    assert fault in str(refused.value)


def test_glues_wrapper_takes_none_of_our_arguments_for_its_own() -> None:
    """Python's argparse accepts abbreviations: `--job` would be `--job-language`."""
    wrapper = argparse.ArgumentParser()
    for name in ("--job-language", "--job-bookmark-option", "--JOB_NAME", "--python-version", "--scriptLocation"):
        wrapper.add_argument(name)
    taken, left = wrapper.parse_known_args(command_line(DROP))
    assert set(vars(taken).values()) == {None}
    assert left == command_line(DROP)


@pytest.mark.parametrize(
    "text",
    [
        *("", "Small", "Small:", ":0", "Small:zero", "Small:NaN", "Small:0,Large:Infinity", "Small:1"),
        *("Small:-1,Large:0", "Small:0,Small:5", "Small:0,Large:0.0", "Small:0,Large:100,Medium:50", "Small:0.001"),
        "é" * 33 + ":0",
        "Small:0,Large:" + "9" * 17,
    ],
)
def test_amount_classes_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is |bound"):
        parse_amount_classes(text)


def test_a_label_may_hold_blanks_and_a_bound_two_decimals() -> None:
    actual = parse_amount_classes("Tiny:0, Very big:5000.50")
    assert list(actual.items()) == [("Tiny", Decimal(0)), ("Very big", Decimal("5000.50"))]
