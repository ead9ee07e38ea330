"""What a run is told, read from a command line as messy as Glue's."""

from __future__ import annotations

import base64
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.arguments import parse_arguments
from jobs.errors import TerminalError
from schemas.drops import Drop
from tests.jobs.dry_run import command_line
from tests.strategies import s3_keys

DROP = Drop("drop-bucket", "transactions/year=2023/month=03/day=15/day.csv", "v1")
GLUE = [
    *("--enable-metrics", "--continuous-log-logGroup", "/aws-glue/python-jobs", "--job-bookmark-option"),
    *("job-bookmark-disable", "--scriptLocation", "s3://work-bucket/code/glue_entry.py", "--job-language", "python"),
    *("--TempDir", "s3://work-bucket/tmp/", "--extra-py-files", "s3://work-bucket/code/x.whl", "--python-version"),
    *("3.9", "--enable-continuous-log-filter", "false", "true", "--library-set", "none"),
]
"""What Glue adds of its own, some of it without a value."""


def test_what_glue_adds_is_passed_over_wherever_it_stands() -> None:
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
    st.sampled_from(("v1", "null", "-abc", "--job", "--attempt", "a b", "'", "3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY")),
)
def test_a_drop_is_passed_on_whatever_its_key_and_version(key: str, version_id: str) -> None:
    drop = Drop("drop-bucket", key, version_id)
    assert parse_arguments(command_line(drop)).drop == drop


@pytest.mark.parametrize(
    "name", [name for name in command_line(DROP)[::2] if name not in ("--max-reject-ratio", "--amount-classes")]
)
def test_a_missing_argument_is_named(name: str) -> None:
    ours = command_line(DROP)
    at = ours.index(name)
    with pytest.raises(TerminalError) as refused:
        parse_arguments(ours[:at] + ours[at + 2 :] + GLUE)
    assert str(refused.value) == (
        f"the job's arguments cannot be read: the following arguments are required: {name}; "
        "correct the job or the run that passed them"
    )


def test_what_is_not_configured_has_the_documented_default() -> None:
    ours = command_line(DROP)
    at = ours.index("--max-reject-ratio")
    assert ours[at + 2] == "--amount-classes"
    found = parse_arguments(ours[:at])
    assert found.max_reject_ratio == Fraction(1, 2)
    assert replace(found, max_reject_ratio=Fraction(1)) == parse_arguments(ours)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("--job", "mock_data", "argument --job: invalid choice: 'mock_data'"),
        ("--port", "fifty", "argument --port: invalid int value: 'fifty'"),
        ("--attempt", "1.5", "argument --attempt: invalid int value: '1.5'"),
        ("--max-reject-ratio", "half", "argument --max-reject-ratio: invalid Fraction value: 'half'"),
        ("--key-base64", "ä", "--key-base64 'ä' is not a base64url text of a key"),
        ("--key-base64", "abc", "--key-base64 'abc' is not a base64url text of a key"),
        ("--key-base64", base64.urlsafe_b64encode(b"\xff").decode(), "--key-base64 '_w==' is not a base64url text"),
        *(
            ("--amount-classes", text, f"--amount-classes '{text}' must")
            for text in (
                "",
                "Small",
                "Small:",
                ":0",
                "Small:zero",
                "Small:NaN",
                "Small:0,Large:Infinity",
                "Small:1",
                "Small:-1,Large:0",
                "Small:0,Small:5",
                "Small:0,Large:0.0",
            )
        ),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(name: str, value: str, fault: str) -> None:
    ours = command_line(DROP)
    ours[ours.index(name) + 1] = value
    with pytest.raises(TerminalError) as refused:
        parse_arguments(ours)
    assert fault in str(refused.value)


def test_amount_classes_come_in_any_order_and_are_kept_from_the_smallest_up() -> None:
    found = parse_arguments(command_line(DROP, " Huge : 5000.50 ,Tiny:0,Mid:10:20"[:-3])).amount_classes
    assert list(found.items()) == [("Tiny", Decimal(0)), ("Mid", Decimal(10)), ("Huge", Decimal("5000.50"))]
