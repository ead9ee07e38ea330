"""`pipeline demo`: the whole pipeline on this machine, moved by events alone."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from cli.demo_results import FACT_FILE, Results, clear, write_results
from cli.expected import differences, fact_differences, lost_rows
from cli.live import Display, show_mail, show_totals
from cli.progress import DropStatus, Progress, Stage
from local.chaos import Chaos
from local.deploy import DeployFailed
from local.glue_python import GLUE_PYTHON
from local.local_cloud import LocalCloud
from mock_data import MockData, MockDataArgs
from schemas.drops import TRANSACTIONS, Drop, KeyOutsideLayout, parse_key

ROOT = Path(__file__).parent.parent
LIBRARIES = ROOT / "build" / "laptop"

BAD_ARGUMENTS = 2
NOT_GOOD = 1

_LOOK_SECONDS = 0.25
# When nothing moves and a drop is not settled, the schedule's time comes; more often than this it does not help.
_SWEEPS = 12
# What was lost waits for a queue or a schedule, and most of a chaos run is such waiting.
CHAOS_PACE = 60.0


def demo(
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder with dimensions/dim_products.csv, dimensions/dim_customers.csv and "
            "transactions/year=…/month=…/day=…/….csv; without it a week is generated.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for what the demo leaves behind.")] = Path("build/demo"),
    shuffle: Annotated[
        int | None,
        typer.Option(metavar="SEED", help="Drop in a random order, and some of them twice.", show_default=False),
    ] = None,
    chaos: Annotated[
        int | None,
        typer.Option(
            metavar="SEED",
            help="Disturb everything: lose, double and delay events, kill jobs and functions, cut connections.",
            show_default=False,
        ),
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows of an average generated day.")] = 10_000,
    days: Annotated[int, typer.Option(help="Days to generate.")] = 7,
    seed: Annotated[int, typer.Option(help="Seed of what is generated.")] = 7,
) -> None:
    """Run the whole pipeline on this machine: deploy, drop files, watch events move them.

    The `dev` stack is deployed into a local AWS, the files are dropped into its bucket, and from there
    only events move anything: queue, Lambda, Glue, warehouse, mail, archive. Ends with the totals and the
    last mail; the exit status is not 0 when anything failed.
    """
    console = Console()
    if data is None:
        args = _generator(rows=rows, days=days, seed=seed)
        data = out / "data"
        shutil.rmtree(data, ignore_errors=True)
        keys = list(MockData(args).write(data))
        console.print(f"{days} days of about {rows:,} rows generated in {data}")
    else:
        keys = _keys(data)
    try:
        results = run_demo(data, keys, out, shuffle=shuffle, chaos=chaos, console=console)
    except DeployFailed as error:
        typer.echo(f"pipeline demo: {error}", err=True)
        raise typer.Exit(NOT_GOOD) from error
    if results.complaints:
        raise typer.Exit(NOT_GOOD)


def run_demo(
    data: Path,
    keys: list[str],
    out: Path,
    *,
    shuffle: int | None,
    console: Console,
    chaos: int | None = None,
    start: Callable[..., LocalCloud] = LocalCloud.start,
) -> Results:
    """Deploy, drop, follow, and leave the results in `out`; raises DeployFailed. `start` starts the laptop.

    A chaos run ends as a calm one on the same data: as the generator meant it, or else as a calm run in `out/calm`.
    """
    meant = data / "expected" / FACT_FILE
    if chaos is not None and not meant.is_file():
        console.print("A calm run first, to know how the data must end.")
        run_demo(data, keys, out / "calm", shuffle=shuffle, console=console, start=start)
        meant = out / "calm" / FACT_FILE
    began = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    clear(out)
    display = Display(console)
    with start(
        ROOT,
        folder=out / "laptop",
        libraries=LIBRARIES,
        # The shop's own dimensions come first here.
        config={"sampleDimensions": "false"},
        on_warning=lambda sentence: display.say(f"trouble: {sentence}", style="red"),
        **({} if chaos is None else {"pace": CHAOS_PACE}),
    ) as laptop:
        console.print(_deployed(laptop, time.perf_counter() - began), soft_wrap=True)
        hand = Uploader(laptop) if chaos is None else Chaos(laptop, chaos)
        with display, hand:
            seen = _drop_and_follow(laptop, data, keys, hand=hand, shuffle=shuffle, display=display)
        results = write_results(laptop, out, seen=seen, seconds=time.perf_counter() - began)
        surprises = differences(data, out, results.summary, in_order=shuffle is None and chaos is None)
        mails = laptop.mails()
    if mails:
        # What went wrong is what a reader must see.
        show_mail(console, next((mail for mail in reversed(mails) if "] FAILED" in mail.subject), mails[-1]))
    show_totals(console, results.summary)
    if surprises is not None and not surprises:
        console.print("Every row came out as the generator meant it to (expected/).")
    complaints = [*results.complaints, *(surprises or [])]
    if isinstance(hand, Chaos):
        for fault, times in hand.done.items():
            console.print(f"{times:>6} {fault}")
        console.print(f"rows lost: {lost_rows(out / FACT_FILE, meant)}")
        if surprises is None:
            complaints += fact_differences(out / FACT_FILE, meant, of="the calm run")
    console.print(f"All of it is in {out}")
    for complaint in complaints:
        console.print(f"NOT GOOD: {complaint}", style="bold red", markup=False, soft_wrap=True)
    return replace(results, complaints=complaints)


def _deployed(laptop: LocalCloud, seconds: float) -> str:
    version = f"CPython {GLUE_PYTHON}, as in Glue" if GLUE_PYTHON in laptop.python.name else "not the 3.9 of Glue"
    return (
        f"The dev stack is deployed on this machine: {len(laptop.deployed.resources)} resources, {seconds:.1f} s.\n"
        f"The jobs run on {laptop.python} ({version}). "
        f"Waiting in queues passes {laptop.router.pace:g} times faster than on AWS."
    )


def _drop_and_follow(
    laptop: LocalCloud, data: Path, keys: list[str], *, hand: Uploader | Chaos, shuffle: int | None, display: Display
) -> list[DropStatus]:
    """Drop dimensions, then transactions; returns when each is settled, or when nothing helps any more."""
    dimensions = [key for key in keys if parse_key(key).kind != TRANSACTIONS]
    transactions = [key for key in keys if parse_key(key).kind == TRANSACTIONS]
    drop_files(hand, data, dimensions)
    seen = follow(laptop, hand.drops, display)
    if not all(one.report is not None and one.report.counts is not None for one in seen):
        display.say("The transactions were not dropped: without both dimensions all of them would be rejected.")
        return seen
    if shuffle is not None:
        drop_files(hand, data, shuffled(transactions, shuffle))
    elif isinstance(hand, Chaos):
        drop_files(hand, data, random.Random(hand.seed).sample(transactions, k=len(transactions)))
    else:
        # As a shop does it, a day after the other: then the outcomes, too, are the same each time.
        for key in transactions:
            drop_files(hand, data, [key])
            follow(laptop, hand.drops, display, until=_has_committed_or_failed)
    return follow(laptop, hand.drops, display)


def _is_settled(one: DropStatus) -> bool:
    return one.stage.is_settled and not one.is_tried_again


def _has_committed_or_failed(one: DropStatus) -> bool:
    return one.stage is Stage.LOADED or _is_settled(one)


class Uploader(AbstractContextManager["Uploader"]):
    """Puts files into the drop bucket: all that anybody does by hand."""

    def __init__(self, laptop: LocalCloud) -> None:
        self._laptop = laptop
        self.drops: list[Drop] = []

    def __exit__(self, *_: object) -> None:
        """There is nothing to undo."""

    def put(self, key: str, content: bytes) -> Drop:
        bucket = self._laptop.outputs["drop_bucket"]
        version = self._laptop.client("s3").put_object(Bucket=bucket, Key=key, Body=content)["VersionId"]
        self.drops.append(Drop(bucket, key, version))
        return self.drops[-1]


def drop_files(hand: Uploader | Chaos, data: Path, keys: list[str]) -> None:
    """Drop files under their own keys."""
    for key in keys:
        hand.put(key, (data / key).read_bytes())


def follow(
    laptop: LocalCloud, drops: list[Drop], display: Display, *, until: Callable[[DropStatus], bool] | None = None
) -> list[DropStatus]:
    """Show how far they come: until each has come so far, or is settled and told, and nothing moves.

    Where nothing moves before that, the sweep is called early.
    """
    progress = Progress(laptop)
    sweeps = 0
    while True:
        is_idle = laptop.is_idle
        seen, mails = progress.look(drops), len(laptop.mails())
        display.show(seen, waiting=laptop.queue("queue_url").all, mails=mails)
        if all(map(until or _is_settled, seen)) and (until or (is_idle and mails >= len(seen))):
            return seen
        if is_idle and sweeps == _SWEEPS:
            return seen
        if is_idle:
            sweeps += 1
            laptop.router.tick(grace_seconds=0)
        time.sleep(_LOOK_SECONDS)


def shuffled(keys: list[str], seed: int) -> list[str]:
    """The same files in a random order, about a third of them twice."""
    chance = random.Random(seed)
    twice = chance.sample(keys, k=min(len(keys), max(1, len(keys) // 3))) if keys else []
    order = [*keys, *twice]
    chance.shuffle(order)
    return order


def _keys(data: Path) -> list[str]:
    """The files of a folder that can be dropped, dimensions first, then day by day."""
    if not data.is_dir():
        _refuse(f"--data {data} is not a folder; name one with dimensions/ and transactions/ in it")
    found = [path for part in ("dimensions", "transactions") for path in sorted((data / part).rglob("*.csv*"))]
    keys = [path.relative_to(data).as_posix() for path in found if path.is_file()]
    for key in keys:
        try:
            parse_key(key)
        except KeyOutsideLayout as error:
            _refuse(f"--data {data}: {error}")
    if not keys:
        _refuse(f"--data {data} holds no file to drop; it wants dimensions/*.csv and transactions/year=…/….csv")
    return keys


def _generator(**arguments: Any) -> MockDataArgs:
    try:
        return MockDataArgs(**arguments)
    except ValueError as wrong:
        _refuse(str(wrong))


def _refuse(sentence: str) -> NoReturn:
    typer.echo(f"pipeline demo: {sentence}", err=True)
    raise typer.Exit(BAD_ARGUMENTS)
