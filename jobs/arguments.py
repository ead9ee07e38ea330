"""What a run of a job is told, read from Glue's command line.

Glue mixes flags of its own, some without a value, between ours and does not pass the
run id: unknown arguments are ignored, ours are all `--name value`.
"""

from __future__ import annotations

import argparse
import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from jobs.errors import TerminalError
from schemas.drops import Drop

JOBS = ("process_transactions", "load_dimensions")


@dataclass(frozen=True)
class Warehouse:
    """How to reach Redshift Serverless; the job signs in with its IAM role."""

    workgroup: str
    host: str
    port: int
    database: str
    account_id: str
    region: str
    copy_role_arn: str
    """The role Redshift itself assumes for COPY and UNLOAD."""


@dataclass(frozen=True)
class Arguments:
    job: str
    drop: Drop
    attempt: int
    work_bucket: str
    warehouse: Warehouse
    max_reject_ratio: Fraction
    amount_classes: dict[str, Decimal]
    """Label -> lower bound, the smallest first."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise TerminalError(
            f"the job's arguments cannot be read: {message}; correct the job or the run that passed them"
        )


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """Read a Glue command line; raises TerminalError naming the argument that is missing or wrong."""
    parser = _Parser(allow_abbrev=False, add_help=False)
    parser.add_argument("--job", required=True, choices=JOBS)
    parser.add_argument("--bucket", required=True)
    # base64url: keys hold quotes, spaces and unicode, and Glue documents no quoting rules for arguments.
    parser.add_argument("--key-base64", required=True)
    parser.add_argument("--version-id", required=True)
    parser.add_argument("--attempt", type=int, required=True)
    parser.add_argument("--work-bucket", required=True)
    parser.add_argument("--workgroup", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--account-id", required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--copy-role-arn", required=True)
    parser.add_argument("--max-reject-ratio", type=Fraction, default=Fraction(1, 2))
    parser.add_argument("--amount-classes", default="Small:0,Medium:100,Large:1000")
    found, _ = parser.parse_known_args(_joined(argv, {action.option_strings[0] for action in parser._actions}))
    return Arguments(
        job=found.job,
        drop=Drop(found.bucket, decode_key(found.key_base64), found.version_id),
        attempt=found.attempt,
        work_bucket=found.work_bucket,
        warehouse=Warehouse(
            found.workgroup,
            found.host,
            found.port,
            found.database,
            found.account_id,
            found.region,
            found.copy_role_arn,
        ),
        max_reject_ratio=found.max_reject_ratio,
        amount_classes=parse_amount_classes(found.amount_classes),
    )


def _joined(argv: Sequence[str], names: set[str]) -> list[str]:
    """`--name value` as `--name=value`: a version id may begin with a dash, which argparse takes for a flag."""
    joined: list[str] = []
    tokens = iter(argv)
    for token in tokens:
        value = next(tokens, None) if token in names else None
        joined.append(token if value is None else f"{token}={value}")
    return joined


def decode_key(key_base64: str) -> str:
    try:
        return base64.urlsafe_b64decode(key_base64.encode("ascii")).decode("utf-8")
    except (binascii.Error, UnicodeError) as reason:
        raise TerminalError(f"--key-base64 {key_base64!r} is not a base64url text of a key ({reason})") from None


def parse_amount_classes(text: str) -> dict[str, Decimal]:
    """`Small:0,Medium:100` -> {label: lower bound}; the lowest bound must be 0, so that every amount has a class."""
    classes: list[tuple[str, Decimal]] = []
    for part in text.split(","):
        label, colon, bound = part.rpartition(":")
        try:
            classes.append((label.strip(), Decimal(bound.strip())))
        except InvalidOperation:
            colon = ""
        if not colon or not classes[-1][0] or not classes[-1][1].is_finite():
            raise TerminalError(f"--amount-classes {text!r} must read LABEL:BOUND,…, but has {part!r}")
    classes.sort(key=lambda entry: entry[1])
    labels, bounds = [entry[0] for entry in classes], [entry[1] for entry in classes]
    if bounds[0] != 0 or len(set(bounds)) < len(bounds) or len(set(labels)) < len(labels):
        raise TerminalError(
            f"--amount-classes {text!r} must have different labels and different bounds, the lowest of them 0"
        )
    return dict(classes)
