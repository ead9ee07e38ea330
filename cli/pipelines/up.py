"""The local pipeline of `pipeline up`: it is deployed, announced to other terminals, and shown until it is stopped."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from contextlib import ExitStack

from rich.console import Console

from cli.drops.progress import Progress
from cli.drops.status import Phase
from cli.invocation import Invocation
from cli.pipelines.local import LIBRARIES, LOCAL_STACK, ROOT, LocalPipeline, announced
from cli.screen.closing import show_mail
from cli.screen.live import Display
from local.local_cloud import LocalCloud
from schemas.drops import Drop, is_drop
from schemas.runs import decode_run

_LOOK_SECONDS = 0.5
FOLDER = LIBRARIES / "up"
"""Logs of the local pipeline that runs, or ran last."""


def keep_running(invocation: Invocation, config: str) -> None:
    """Deploy, then show files and mails until SIGINT or SIGTERM. The caller holds the lock of the local pipeline."""
    console = invocation.console()
    is_over = threading.Event()

    def warn(sentence: str) -> None:
        # A stop kills functions that still run: that is no fault.
        if not is_over.is_set():
            display.say(f"warning: {sentence}", style="red")

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: is_over.set())
    # Lines, not a screen: they stay readable when a person scrolls back.
    display = Display(console, has_screen=False)
    shutil.rmtree(FOLDER, ignore_errors=True)
    with ExitStack() as running:
        with display.deploying() as on_resource:
            cloud = running.enter_context(
                LocalCloud.start(
                    ROOT,
                    folder=FOLDER,
                    stack=config,
                    name=LOCAL_STACK,
                    libraries=LIBRARIES,
                    on_warning=warn,
                    on_resource=on_resource,
                )
            )
        local = describe(cloud)
        running.enter_context(announced(local))
        invocation.show({"url": local.url, "region": local.region, "outputs": dict(local.outputs)}, "")
        display.say(f"The pipeline is running on this machine, with the settings of {config}: {cloud.aws.url}")
        display.say("Drop a file from another terminal with `pipeline drop FILE`; stop it here with Ctrl-C.")
        _show_until(is_over, cloud, console, display)
    display.say("Stopped. Nothing of the local pipeline is kept.")


def describe(cloud: LocalCloud) -> LocalPipeline:
    """The address, the keys and the outputs of a local cloud of this process, for other terminals."""
    return LocalPipeline(os.getpid(), dict(cloud.outputs), cloud.operator_environment())


def _show_until(is_over: threading.Event, cloud: LocalCloud, console: Console, display: Display) -> None:
    progress = Progress(cloud)
    drops: dict[Drop, None] = {}
    archived: set[Drop] = set()
    mails = 0
    while not is_over.wait(_LOOK_SECONDS):
        known = [drop for drop in progress.in_drop_bucket() if is_drop(drop.key)]
        known += [arguments.drop for run in cloud.runs() if (arguments := decode_run(run.arguments))]
        drops.update(dict.fromkeys(known))
        statuses = progress.look([drop for drop in drops if drop not in archived])
        display.show(statuses, waiting=cloud.queue("queue_url").all, mails=mails)
        archived |= {status.drop for status in statuses if status.phase is Phase.ARCHIVED}
        sent = cloud.mails()
        for mail in sent[mails:]:
            console.rule("mail")
            show_mail(console, mail)
        mails = len(sent)
