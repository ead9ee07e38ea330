"""`pipeline drop`: one file into the drop bucket, under the key its name and day ask for."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, NoReturn

import boto3
import typer
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from cli.running import NothingRuns, find_running
from schemas.drops import CUSTOMERS, PRODUCTS, KeyOutsideLayout, parse_key, transactions_key

BAD_ARGUMENTS = 2
NOT_DROPPED = 1

_DAY = re.compile(r"(?<![0-9])([0-9]{4}-[0-9]{2}-[0-9]{2})(?![0-9])")


class NoKey(ValueError):
    """A file's name does not say where it belongs."""


def drop(
    file: Annotated[Path, typer.Argument(help="A CSV file (or .csv.gz) of transactions, products or customers.")],
    day: Annotated[
        str | None,
        typer.Option(
            metavar="YYYY-MM-DD", help="The day of transactions whose name does not say it.", show_default=False
        ),
    ] = None,
    bucket: Annotated[
        str | None,
        typer.Option(help="A drop bucket on AWS; without it the laptop of `pipeline up`.", show_default=False),
    ] = None,
) -> None:
    """Drop a file: the key follows from its name, `dim_products….csv`, `dim_customers….csv` or `…YYYY-MM-DD….csv`."""
    if not file.is_file():
        _refuse(f"{file} is not a file")
    try:
        key = key_of(file.name, day)
        s3, where = _bucket(bucket)
        with file.open("rb") as content:
            version = s3.put_object(Bucket=where, Key=key, Body=content)["VersionId"]
    except (NoKey, KeyOutsideLayout) as error:
        _refuse(str(error))
    except (NothingRuns, BotoCoreError, ClientError, S3UploadFailedError) as error:
        typer.echo(f"pipeline drop: {error}", err=True)
        raise typer.Exit(NOT_DROPPED) from error
    typer.echo(f"dropped s3://{where}/{key} (version {version})")


def key_of(name: str, day: str | None) -> str:
    """The key of a file; raises NoKey or KeyOutsideLayout where its name, or the day, says none."""
    if name.startswith((PRODUCTS, CUSTOMERS)):
        key = f"dimensions/{name}"
    else:
        found = _DAY.search(name)
        told = day or (found[1] if found else None)
        if told is None:
            raise NoKey(f"{name} does not say which day it is of; say it with --day YYYY-MM-DD")
        try:
            partition = transactions_key(date.fromisoformat(told)).rpartition("/")[0]
        except ValueError:
            raise NoKey(f"{told} is not a day of the calendar; say it with --day YYYY-MM-DD") from None
        key = f"{partition}/{name}"
    parse_key(key)
    return key


def _bucket(name: str | None) -> tuple[Any, str]:
    if name is not None:
        return boto3.client("s3"), name
    running = find_running()
    return running.client("s3"), running.outputs["drop_bucket"]


def _refuse(sentence: str) -> NoReturn:
    typer.echo(f"pipeline drop: {sentence}", err=True)
    raise typer.Exit(BAD_ARGUMENTS)
