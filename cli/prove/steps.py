"""The steps of `pipeline prove`, in the order they run. Each returns its evidence, or raises Failed.

A run takes minutes on AWS, so runs are started together. Three times one run needs the result of another, and the
proof waits: the customer of a row comes after the row, and the row flows in after its customer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cli.drops.status import Phase
from cli.drops.uploads import upload, wait_until_settled
from cli.loads.loads import Load, Loads
from cli.loads.replays import plan_replay, send_replay
from cli.pipelines.pipeline import Pipeline
from cli.pipelines.status import queue_depth
from cli.prove.files import ProofFiles, write_proof_files
from cli.prove.mails import ProofMails
from cli.prove.results import alarms_that_ring, archive_faults, table_faults
from cli.prove.throwaway_stack import ThrowawayStack, leftovers
from cli.refusals import Failed
from schemas.drops import Drop
from schemas.runs import FLOW_IN

_KILLS = 5
"""The number of attempts to kill a run before it ends."""
DESTROY_MINUTES = 4
"""The part of the time that is kept for the destruction."""
_LEFTOVER_SECONDS = 300.0
"""The tag search may list a deleted resource for some minutes."""
_LEFTOVER_LOOK_SECONDS = 10.0


@dataclass(frozen=True)
class Deployed:
    """The pipeline, files and mails that exist once the stack is deployed."""

    pipeline: Pipeline
    files: ProofFiles
    mails: ProofMails


@dataclass
class Proof:
    """The state that the steps share: the stack, its files, and the uploads so far."""

    stack: ThrowawayStack
    folder: Path
    """An empty folder for the files."""
    minutes: float
    """The limit for everything, the destruction included."""
    began: datetime
    uploads: dict[str, list[Drop]] = field(default_factory=dict)
    """Key -> its uploaded versions, in order."""
    deployed: Deployed | None = None
    until: float = field(init=False)
    """The time on the monotonic clock when the destruction must begin."""

    def __post_init__(self) -> None:
        self.until = time.monotonic() + 60 * (self.minutes - DESTROY_MINUTES)

    @property
    def pipeline(self) -> Pipeline:
        return self._deployed.pipeline

    @property
    def files(self) -> ProofFiles:
        return self._deployed.files

    @property
    def mails(self) -> ProofMails:
        return self._deployed.mails

    @property
    def seconds_left(self) -> float:
        """The time that is left before the destruction must begin; raises Failed when it is over."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise Failed(
                f"not done: {DESTROY_MINUTES} of {self.minutes:g} minutes are left, for the destruction; "
                "--minutes allows more"
            )
        return left

    @property
    def _deployed(self) -> Deployed:
        if self.deployed is None:
            raise Failed("not done: the stack is not deployed")
        return self.deployed

    def upload(self, key: str) -> Drop:
        drop = upload(self.pipeline, self.files.folder / key, key)
        self.uploads.setdefault(key, []).append(drop)
        return drop

    def upload_once(self, key: str) -> Drop:
        """The key's first upload, made now unless an earlier step has made it."""
        return self.uploads[key][0] if key in self.uploads else self.upload(key)

    def wait(self, drops: list[Drop], is_done: Callable[[Load], bool]) -> list[Load]:
        return wait_until_settled(self.pipeline, drops, is_done=is_done, timeout_seconds=self.seconds_left)


@dataclass(frozen=True)
class Step:
    title: str
    prove: Callable[[Proof], str]
    is_needed: bool = False
    """True for a step without which no later step can run."""


def deploy(proof: Proof) -> str:
    files = write_proof_files(proof.folder)
    pipeline = proof.stack.deploy(timeout_seconds=proof.seconds_left)
    mails = ProofMails.subscribe(pipeline, proof.stack.name)
    proof.deployed = Deployed(pipeline, files, mails)
    return f"deployed in {proof.pipeline.region}, with a queue that reads the mails"


def load_dimensions(proof: Proof) -> str:
    """Load products and customers. Beside them, the file of the late customer's sales is loaded, and one is refused."""
    dimensions = [proof.upload(key) for key in proof.files.dimensions]
    beside = [proof.upload(key) for key in (proof.files.orphan, proof.files.hostile)]
    loads = proof.wait([*dimensions, *beside], _is_settled)[: len(dimensions)]
    _refuse_failed(loads)
    return f"{', '.join(load.status.summary for load in loads)}"


def kill_run(proof: Proof) -> str:
    """Kill a run while the week loads. When a run ends before it can be killed, the same file is uploaded again."""
    for attempt in range(1, _KILLS + 1):
        drop = proof.upload(proof.files.killed)
        _start_week(proof)
        [load] = proof.wait([drop], lambda load: load.status.is_settled or _run_of(load) is not None)
        run = _run_of(load)
        if run is not None:
            proof.pipeline.client("glue").batch_stop_job_run(JobName=run[0], JobRunIds=[run[1]])
        [load] = proof.wait([drop], _is_settled)
        if load.is_failed:
            return f"{load.status.file_name} was stopped while it ran, at try {attempt}: {load.status.summary}"
    raise Failed(f"{_KILLS} runs ended before they could be killed")


def load_week(proof: Proof) -> str:
    week = _start_week(proof)
    loads = proof.wait(week, _is_settled)
    _refuse_failed(loads)
    rows = sum((load.report.counts or {})["rows_read"] for load in loads if load.report)
    return f"{len(loads)} files of {rows:,} rows are loaded and archived"


def _start_week(proof: Proof) -> list[Drop]:
    """Upload the week, and the late customer with it: their runs wait for Glue side by side."""
    proof.upload_once(proof.files.late_customer)
    return [proof.upload_once(key) for key in proof.files.week]


def refuse_hostile_file(proof: Proof) -> str:
    [load] = proof.wait(proof.uploads[proof.files.hostile], _is_settled)
    if not load.is_failed or load.report is None or load.report.error is None:
        raise Failed(f"{load.status.file_name} was not refused, but is {load.status.phase.value}")
    return f"refused: {load.report.error.sentence}"


def request_replays(proof: Proof) -> str:
    """Request a replay of the day whose run was killed and of a day that was loaded."""
    loads = Loads(proof.pipeline)
    for drop in _replayed(proof):
        planned = plan_replay(loads, loads.of(drop))
        if not planned.starts:
            raise Failed(f"{drop.uri} cannot be replayed: {planned.reason}")
        send_replay(loads, planned)
    return "requested; their runs start while the stack is deployed again"


def replay_loads(proof: Proof) -> str:
    done = proof.wait(_replayed(proof), lambda load: len(load.attempts) == 2 and _is_settled(load))
    _refuse_failed(done)
    return "; ".join(f"{load.status.file_name}: {load.status.summary}" for load in done)


def _replayed(proof: Proof) -> list[Drop]:
    return [proof.uploads[proof.files.killed][-1], proof.uploads[proof.files.week[0]][0]]


def flow_in(proof: Proof) -> str:
    def has_flown_in(load: Load) -> bool:
        return _is_settled(load) and load.report is not None and load.report.event == FLOW_IN

    _wait_for(proof, proof.files.late_customer)
    [load] = proof.wait(proof.uploads[proof.files.orphan], has_flown_in)
    _refuse_failed([load])
    return f"after its customer came, {load.status.file_name}: {load.status.summary}"


def compare_table(proof: Proof) -> str:
    faults = table_faults(proof.pipeline, proof.files)
    if faults:
        raise Failed(faults)
    return f"{proof.files.fact.height:,} rows, each as the generator expects"


def compare_mails(proof: Proof) -> str:
    expected = {
        drop: len(Loads(proof.pipeline).of(drop).attempts) for drops in proof.uploads.values() for drop in drops
    }
    return proof.mails.compare(expected, timeout_seconds=min(proof.seconds_left, 180.0))


def verify_archive(proof: Proof) -> str:
    refused = proof.uploads[proof.files.hostile]
    loaded = {drop: key for key, drops in proof.uploads.items() for drop in drops if drop not in refused}
    faults = archive_faults(proof.pipeline, proof.files.folder, loaded)
    left = set(Loads(proof.pipeline).in_drop_bucket)
    if left != set(refused):
        faults.append(f"the drop bucket holds {len(left)} files, not the refused one alone")
    if faults:
        raise Failed("; ".join(faults[:3]))
    return f"{len(loaded)} uploads are in the archive, byte for byte; only the refused file is left in the drop bucket"


def look_at_alarms(proof: Proof) -> str:
    ringing = alarms_that_ring(proof.pipeline, proof.stack.name)
    dead = queue_depth(proof.pipeline, "dead_letter_queue_url").waiting
    # Two runs failed on purpose.
    unexpected = [name for name in ringing if not name.endswith("-failed-runs")]
    if unexpected or dead:
        raise Failed(f"these ring: {', '.join(unexpected) or 'none'}; {dead} dead letters")
    return f"{len(ringing)} rings, about the runs that failed on purpose; no dead letter" if ringing else "none rings"


def deploy_again(proof: Proof) -> str:
    changes = proof.stack.changes(timeout_seconds=proof.seconds_left)
    if changes:
        raise Failed(f"a second deployment changes: {changes}")
    return "a second deployment changes nothing"


def delete_mails(proof: Proof) -> str:
    ProofMails.delete(proof.stack.client("sqs"), proof.stack.name)
    return "the queue that read the mails is deleted"


def destroy(proof: Proof) -> str:
    proof.stack.destroy()
    return "everything is destroyed"


def look_for_leftovers(proof: Proof) -> str:
    until = time.monotonic() + _LEFTOVER_SECONDS
    while left := leftovers(proof.stack.client, proof.stack.name, since=proof.began):
        if time.monotonic() > until:
            raise Failed(f"{len(left)} resources with the stack's tags are left: {', '.join(left[:5])}")
        time.sleep(_LEFTOVER_LOOK_SECONDS)
    return "nothing with the stack's tags is left"


STEPS = (
    Step("a stack of its own is deployed", deploy, is_needed=True),
    Step("products and customers are loaded", load_dimensions, is_needed=True),
    Step("a run is killed", kill_run),
    Step("seven days are loaded and archived", load_week, is_needed=True),
    Step("a hostile file is refused", refuse_hostile_file),
    Step("a killed load and a loaded one can be replayed", request_replays),
    Step("a second deployment changes nothing", deploy_again),
    Step("a killed load and a loaded one are replayed", replay_loads),
    Step("rows are loaded when their customer comes", flow_in),
    Step("the table is as expected", compare_table),
    Step("every outcome was mailed once", compare_mails),
    Step("the archive holds what was uploaded", verify_archive),
    Step("no alarm rings without a reason", look_at_alarms),
)

CLOSING = (
    Step("its queue of mails is deleted", delete_mails),
    Step("the stack is destroyed", destroy),
    Step("nothing is left", look_for_leftovers),
)


def _is_settled(load: Load) -> bool:
    return load.status.is_settled


def _wait_for(proof: Proof, key: str) -> None:
    _refuse_failed(proof.wait(proof.uploads[key], _is_settled))


def _refuse_failed(loads: list[Load]) -> None:
    for load in loads:
        if load.status.phase is not Phase.ARCHIVED:
            raise Failed(f"{load.status.file_name} was not loaded: {load.status.summary}")


def _run_of(load: Load) -> tuple[str, str] | None:
    """Job and id of the run of a load's last attempt, once it runs."""
    if not load.attempts or load.status.phase is not Phase.RUNNING:
        return None
    last = load.attempts[-1]
    return (last.job_name, last.run_id) if last.job_name and last.run_id and last.state == "RUNNING" else None
