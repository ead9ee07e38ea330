"""`pipeline demo`: the whole pipeline on this machine, driven by events alone."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from cli.demo.expected import differences, fact_differences, lost_rows
from cli.demo.folder import CLOUD, DATA, RESULTS, DemoFolder, demo_folder
from cli.demo.large import describe_large_job, refuse_without_spark, start_with_large_job
from cli.demo.results import FACT_FILE, Results, write_results
from cli.drops.progress import Progress
from cli.drops.status import DropStatus, Phase
from cli.pipelines.local import LIBRARIES, LOCAL_STACK, ROOT
from cli.refusals import Refused
from cli.screen.closing import show_mail_in_short, show_places, show_totals, show_verdict
from cli.screen.live import Display
from local.faults.chaos import Chaos
from local.local_cloud import LocalCloud, Mail
from local.runtime.glue_python import GLUE_PYTHON
from mock_data import MockData, MockDataArgs
from schemas.counted import counted
from schemas.drops import DIMENSIONS_PREFIX, TRANSACTIONS, TRANSACTIONS_PREFIX, Drop, KeyOutsideLayout, parse_key

_LOOK_SECONDS = 0.25
# The sweep is called when the pipeline is idle and a drop is not settled; more calls than this do not help.
_SWEEPS = 12
# A chaos run spends most of its time waiting for a queue or a schedule.
CHAOS_PACE = 60.0


@dataclass(frozen=True)
class Disturbance:
    """Changes to the order of drops, and faults; none by default."""

    shuffle: int | None = None
    """Seed of a random order in which some files are dropped twice."""
    chaos: int | None = None
    """Seed of faults: lost, doubled and late events, killed jobs and functions, cut connections."""


def demo_from(
    data: Path | None,
    generator: MockDataArgs | None,
    out: Path,
    *,
    disturbance: Disturbance,
    is_large: bool = False,
    console: Console,
) -> Results:
    """Run the demo on the files in `data`, or on generated ones; raises Refused before anything starts."""
    keys = drop_keys(data) if data is not None else []
    if is_large:
        refuse_without_spark()
    with demo_folder(out) as folder:
        if generator is not None:
            folder.clear(DATA)
            data = out / DATA
            keys = list(MockData(generator).write(data))
            console.print(
                f"{counted(generator.days, 'day')} of about {counted(generator.rows, 'row')} generated in {data}"
            )
        assert data is not None
        start = start_with_large_job if is_large else LocalCloud.start
        return run_demo(data, keys, folder, disturbance=disturbance, console=console, start=start)


def run_demo(
    data: Path,
    keys: list[str],
    folder: DemoFolder,
    *,
    disturbance: Disturbance = Disturbance(),
    console: Console,
    start: Callable[..., LocalCloud] = LocalCloud.start,
) -> Results:
    """Deploy, drop, follow, and leave the results in the folder. `start` starts the local cloud.

    A chaos run must end with the same table as a calm run: the generator's, or else that of a calm run in `calm/`.
    """
    out = folder.path
    expected_fact = data / "expected" / FACT_FILE
    if disturbance.chaos is not None and not expected_fact.is_file():
        console.print("A calm run first, to get the expected table.")
        with demo_folder(out / "calm") as calm:
            run_demo(data, keys, calm, disturbance=Disturbance(disturbance.shuffle), console=console, start=start)
        expected_fact = out / "calm" / FACT_FILE
    folder.clear(*RESULTS)
    run = _run(data, keys, out, disturbance=disturbance, console=console, start=start)
    unexpected = differences(data, out, run.results.summary, in_order=disturbance == Disturbance())
    complaints = [*run.results.complaints, *(unexpected or [])]
    if run.faults is not None and unexpected is None:
        complaints += fact_differences(out / FACT_FILE, expected_fact, of="the calm run")
    summary = run.results.summary
    for fault, times in (run.faults or {}).items():
        console.print(f"{times:>6} {fault}")
    console.print()
    show_verdict(console, complaints, summary, is_expected=unexpected == [])
    if run.faults is not None:
        console.print(f"rows lost: {lost_rows(out / FACT_FILE, expected_fact)}")
    if not complaints:
        show_totals(console, summary)
    if run.mails:
        show_mail_in_short(console, _most_urgent(run.mails))
    show_places(console, out, has_rejected=bool(summary["reject_reasons"]))
    return replace(run.results, complaints=complaints)


@dataclass(frozen=True)
class _DemoRun:
    """The results of one run on the local cloud."""

    results: Results
    mails: list[Mail]
    faults: Mapping[str, int] | None
    """Fault -> how often it was injected; None for a calm run."""


def _run(
    data: Path,
    keys: list[str],
    out: Path,
    *,
    disturbance: Disturbance,
    console: Console,
    start: Callable[..., LocalCloud],
) -> _DemoRun:
    """Deploy, drop and follow the files, and write the results."""
    began = time.perf_counter()
    chaos = disturbance.chaos
    display = Display(console)
    display.total = len(keys)
    with ExitStack() as running:
        with display.deploying() as on_resource:
            cloud = running.enter_context(
                start(
                    ROOT,
                    name=LOCAL_STACK,
                    folder=out / CLOUD,
                    libraries=LIBRARIES,
                    # The demo loads the shop's own dimensions.
                    config={"sampleDimensions": "false"},
                    on_warning=lambda sentence: display.say(f"warning: {sentence}", style="red"),
                    on_resource=on_resource,
                    **({} if chaos is None else {"pace": CHAOS_PACE}),
                )
            )
        console.print(_deployed(cloud, time.perf_counter() - began), soft_wrap=not console.is_terminal)
        uploader = Uploader(cloud) if chaos is None else Chaos(cloud, chaos)
        with display, uploader:
            statuses = _drop_and_follow(
                cloud, data, keys, uploader=uploader, shuffle=disturbance.shuffle, display=display
            )
        results = write_results(cloud, out, seen=statuses, seconds=time.perf_counter() - began)
        faults = uploader.done if isinstance(uploader, Chaos) else None
        return _DemoRun(results, cloud.mails(), faults)


def _most_urgent(mails: list[Mail]) -> Mail:
    """The last mail about a failure, else the last mail."""
    return next((mail for mail in reversed(mails) if re.search("FAILED|NOT loaded", mail.subject)), mails[-1])


def _deployed(cloud: LocalCloud, seconds: float) -> str:
    version = f"CPython {GLUE_PYTHON}, as in Glue" if GLUE_PYTHON in cloud.python.name else "not the 3.9 of Glue"
    large = f"\n{describe_large_job()}" if cloud.outputs["large_job"] else ""
    return (
        f"The pipeline is deployed on this machine: {len(cloud.deployed.resources)} resources, {seconds:.1f} s.\n"
        f"The jobs run on {cloud.python} ({version}). "
        f"Waiting in queues passes {cloud.router.pace:g} times faster than on AWS.{large}"
    )


def _drop_and_follow(
    cloud: LocalCloud,
    data: Path,
    keys: list[str],
    *,
    uploader: Uploader | Chaos,
    shuffle: int | None,
    display: Display,
) -> list[DropStatus]:
    """Drop dimensions, then transactions; returns when each is settled, or when no sweep helps any more."""
    dimensions = [key for key in keys if parse_key(key).kind != TRANSACTIONS]
    transactions = [key for key in keys if parse_key(key).kind == TRANSACTIONS]
    drop_files(uploader, data, dimensions)
    seen = follow(cloud, uploader.drops, display)
    if not all(status.report is not None and status.report.counts is not None for status in seen):
        display.say("The transactions were not dropped: without both dimensions all of them would be rejected.")
        return seen
    if shuffle is not None:
        drop_files(uploader, data, shuffled(transactions, shuffle))
    elif isinstance(uploader, Chaos):
        drop_files(uploader, data, random.Random(uploader.seed).sample(transactions, k=len(transactions)))
    else:
        # One day after the other, as a shop does it: then the counts are the same each time.
        for key in transactions:
            drop_files(uploader, data, [key])
            follow(cloud, uploader.drops, display, until=_has_committed_or_failed)
    return follow(cloud, uploader.drops, display)


def _is_settled(status: DropStatus) -> bool:
    return status.phase.is_settled and not status.is_retried


def _has_committed_or_failed(status: DropStatus) -> bool:
    return status.phase is Phase.LOADED or _is_settled(status)


class Uploader(AbstractContextManager["Uploader"]):
    """Uploads files to the drop bucket, the only step that a person does by hand."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud
        self.drops: list[Drop] = []

    def __exit__(self, *_: object) -> None:
        """There is nothing to undo."""

    def put(self, key: str, content: bytes) -> Drop:
        bucket = self._cloud.outputs["drop_bucket"]
        version = self._cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=content)["VersionId"]
        self.drops.append(Drop(bucket, key, version))
        return self.drops[-1]


def drop_files(uploader: Uploader | Chaos, data: Path, keys: list[str]) -> None:
    """Drop files under their own keys."""
    for key in keys:
        uploader.put(key, (data / key).read_bytes())


def follow(
    cloud: LocalCloud, drops: list[Drop], display: Display, *, until: Callable[[DropStatus], bool] | None = None
) -> list[DropStatus]:
    """Show the progress of the drops; returns when `until` is true of each of them.

    Without `until` it returns when each drop is settled and mailed and the pipeline is idle. When the pipeline is
    idle before that, the sweep is called early.
    """
    progress = Progress(cloud)
    sweeps = 0
    while True:
        is_idle = cloud.is_idle
        seen, mails = progress.look(drops), len(cloud.mails())
        display.show(seen, waiting=cloud.queue("queue_url").all, mails=mails)
        if all(map(until or _is_settled, seen)) and (until or (is_idle and mails >= len(seen))):
            return seen
        if is_idle and sweeps == _SWEEPS:
            return seen
        if is_idle:
            sweeps += 1
            cloud.router.tick(grace_seconds=0)
        time.sleep(_LOOK_SECONDS)


def shuffled(keys: list[str], seed: int) -> list[str]:
    """The keys in a random order, about a third of them twice."""
    chance = random.Random(seed)
    twice = chance.sample(keys, k=min(len(keys), max(1, len(keys) // 3))) if keys else []
    order = [*keys, *twice]
    chance.shuffle(order)
    return order


def drop_keys(data: Path) -> list[str]:
    """The files of a folder that can be dropped, dimensions first, then day by day; raises Refused."""
    if not data.is_dir():
        raise Refused(f"--data {data} is not a folder; name one with dimensions/ and transactions/ in it")
    paths = [
        path for part in (DIMENSIONS_PREFIX, TRANSACTIONS_PREFIX) for path in sorted((data / part).rglob("*.csv*"))
    ]
    keys = [path.relative_to(data).as_posix() for path in paths if path.is_file()]
    for key in keys:
        try:
            parse_key(key)
        except KeyOutsideLayout as error:
            raise Refused(f"--data {data}: {error}") from error
    if not keys:
        raise Refused(f"--data {data} holds no file to drop; it needs dimensions/*.csv and transactions/year=…/….csv")
    return keys
