"""`pipeline up`: the pipeline on this machine for whoever wants to drop files by hand."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.demo import LIBRARIES, NOT_GOOD, ROOT
from cli.live import Display, show_mail
from cli.progress import Progress, Stage
from cli.running import AnotherRuns, Running, announced, refuse_a_second
from local.deploy import DeployFailed
from local.local_cloud import LocalCloud
from schemas.drops import Drop, KeyOutsideLayout, is_not_a_drop, parse_key
from schemas.runs import decode_run

_LOOK_SECONDS = 0.5


def up(stack: Annotated[str, typer.Option(help="The stack to deploy: its Pulumi.<stack>.yaml.")] = "dev") -> None:
    """Keep the whole pipeline running on this machine until Ctrl-C.

    Drop files from another terminal with `pipeline drop FILE`; what becomes of them, and each mail, is shown here.
    """
    console = Console()
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    display = Display(Console(force_terminal=False))
    folder = Path("build") / "laptop" / f"up-{os.getpid()}"
    try:
        refuse_a_second()
        with LocalCloud.start(
            ROOT,
            folder=ROOT / folder,
            stack=stack,
            libraries=LIBRARIES,
            on_warning=lambda sentence: display.say(f"trouble: {sentence}", style="red"),
        ) as laptop:
            running = Running(os.getpid(), laptop.aws.url, laptop.aws.region, dict(laptop.outputs))
            with announced(running):
                console.print(f"The {stack} stack runs on this machine: {laptop.aws.url}", markup=False)
                console.print("Drop a file from another terminal with `pipeline drop FILE`; end it here with Ctrl-C.")
                _show_until(over, laptop, console, display)
    except (DeployFailed, AnotherRuns) as error:
        typer.echo(f"pipeline up: {error}", err=True)
        raise typer.Exit(NOT_GOOD) from error


def _show_until(over: threading.Event, laptop: LocalCloud, console: Console, display: Display) -> None:
    progress = Progress(laptop)
    drops: dict[Drop, None] = {}
    settled: set[Drop] = set()
    mails = 0
    while not over.wait(_LOOK_SECONDS):
        known = [drop for drop in progress.in_drop_bucket() if _is_loaded_by_a_job(drop)]
        known += [arguments.drop for run in laptop.runs() if (arguments := decode_run(run.arguments))]
        drops.update(dict.fromkeys(known))
        seen = progress.look([drop for drop in drops if drop not in settled])
        display.show(seen, waiting=laptop.queue("queue_url").all, mails=mails)
        settled |= {one.drop for one in seen if one.stage is Stage.ARCHIVED}
        sent = laptop.mails()
        for mail in sent[mails:]:
            console.rule("mail")
            show_mail(console, mail)
        mails = len(sent)


def _is_loaded_by_a_job(drop: Drop) -> bool:
    try:
        parse_key(drop.key)
    except KeyOutsideLayout:
        return False
    return not is_not_a_drop(drop.key)
