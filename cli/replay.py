"""`pipeline replay`: ask for one more attempt at a drop, on the laptop or on AWS."""

from __future__ import annotations

from typing import Annotated, Any, NoReturn

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError

from cli.running import NothingRuns, find_running
from schemas.drops import Drop, KeyOutsideLayout, parse_key
from schemas.messages import replay_message

BAD_ARGUMENTS = 2
NOT_SENT = 1


def replay(
    uri: Annotated[str, typer.Argument(metavar="URI", help="The drop, as a mail names it: s3://bucket/key.")],
    version_id: Annotated[str, typer.Option(help="The drop's version, as a mail names it.")],
    queue_url: Annotated[
        str | None,
        typer.Option(
            help="A stack's queue on AWS (`pulumi stack output queue_url`); without it the laptop of `pipeline up`.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Load a drop once more. Safe at any time: a row that is loaded twice stays one row."""
    bucket, slash, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket or not slash:
        _refuse(f"{uri!r} is not the address of a drop; give it as s3://bucket/key")
    try:
        parse_key(key)
        sqs, url = _queue(queue_url)
        sqs.send_message(QueueUrl=url, MessageBody=replay_message(Drop(bucket, key, version_id)))
    except KeyOutsideLayout as error:
        _refuse(str(error))
    except (NothingRuns, BotoCoreError, ClientError) as error:
        typer.echo(f"pipeline replay: {error}", err=True)
        raise typer.Exit(NOT_SENT) from error
    typer.echo(f"asked for one more attempt at {uri} (version {version_id}); a mail will say what became of it")


def _queue(url: str | None) -> tuple[Any, str]:
    if url is not None:
        return boto3.client("sqs"), url
    running = find_running()
    return running.client("sqs"), running.outputs["queue_url"]


def _refuse(sentence: str) -> NoReturn:
    typer.echo(f"pipeline replay: {sentence}", err=True)
    raise typer.Exit(BAD_ARGUMENTS)
