"""The real processes, killed (SIGKILL) at every named point; then the system recovers without help. Every drop equals
an undisturbed one but for its day and ids, and must end in the same state: the same
ledger, archive, rejected rows and mail, nothing staged. The fact, with its lineage, must be the oracle's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from local.local_cloud import LocalCloud
from tests.faults.crash import Ending, Trial, crash, ending_of, runs_of
from tests.faults.model import expected_fact, found_fact, in_bucket, keys_in, warehouse_after
from tests.faults.points import POINTS, QUICK_POINTS, Point
from tests.local.local_clouds import started

pytestmark = pytest.mark.flow

Record = Callable[[str, object], None]
CONFIG = {"sampleDimensions": "true", "jobMaxConcurrentRuns": "4"}
PACE = 40.0
MAILS_OF_THE_SAMPLES = 2


@dataclass
class Aftermath:
    """The final state."""

    cloud: LocalCloud
    trials: list[Trial]
    in_peace: Ending
    trial_of: dict[Point, Trial] = field(init=False)

    def __post_init__(self) -> None:
        self.trial_of = {trial.point: trial for trial in self.trials}


def aftermath_of(cloud: LocalCloud, points: Sequence[Point], *, first: int = 0) -> Aftermath:
    trials = crash(cloud, points, first=first)
    return Aftermath(cloud, trials, ending_of(cloud, trials[0]))


def check(aftermath: Aftermath, trial: Trial, record: Record) -> None:
    assert trial.is_through, f"only {trial.kills} of {trial.kills_due} kills happened"
    runs = runs_of(aftermath.cloud, trial.drop)
    result = {"drops": 1, "faults injected": trial.faults, "kills survived": trial.kills}
    record("faults", {**result, "drops replayed": int(len(runs) > 1)})
    assert len(runs) == trial.point.runs
    ending, in_peace = ending_of(aftermath.cloud, trial), aftermath.in_peace
    assert len(ending.mails) == trial.point.mails
    assert ending == replace(in_peace, mails=in_peace.mails[: trial.point.mails])


def check_the_whole(cloud: LocalCloud, trials: Sequence[Trial], record: Record) -> None:
    actual, expected = found_fact(cloud), expected_fact(warehouse_after(trial.file for trial in trials))
    record("faults", {"rows": len(expected), "rows lost": len(set(expected) - set(actual))})
    assert actual == expected
    assert in_bucket(cloud, "drop_bucket") == []
    assert keys_in(cloud, "work_bucket", "staging/") == []
    assert cloud.queue("dead_letter_queue_url").all == 0
    assert len(cloud.mails()) == MAILS_OF_THE_SAMPLES + sum(trial.point.mails for trial in trials)
    assert cloud.aws.iam.denials == []


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    """Many drops at once, each killed at a different point."""
    with started(tmp_path_factory.mktemp("crash"), CONFIG, pace=PACE) as cloud:
        cloud.wait_until_idle()
        yield aftermath_of(cloud, QUICK_POINTS)


def test_an_undisturbed_drop_is_loaded_mailed_archived_in_one_run(quick: Aftermath) -> None:
    (ledger,) = quick.in_peace.ledger
    counts = ("rows_read", "inserted", "updated", "unchanged", "stale", "duplicate", "rejected")
    assert [ledger[name] for name in counts] == [6, 3, 0, 0, 0, 1, 2]
    (archived,), (_,), ((subject, _),) = quick.in_peace.archived, quick.in_peace.rejected, quick.in_peace.mails
    assert archived["is what was dropped"] is True
    assert subject == "[dev] <day> loaded: +1,349.55, 1 of 6 rows needs a look (16.7 %)"
    assert len(runs_of(quick.cloud, quick.trials[0].drop)) == 1


@pytest.mark.parametrize("point", QUICK_POINTS, ids=lambda point: point.name)
def test_a_process_killed_changes_nothing(quick: Aftermath, point: Point, record_property: Record) -> None:
    check(quick, quick.trial_of[point], record_property)


def test_no_row_is_lost_or_doubled_and_no_file_is_left_over(quick: Aftermath, record_property: Record) -> None:
    check_the_whole(quick.cloud, quick.trials, record_property)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalCloud, list[Trial]]]:
    """One local cloud for all points, and the trials on it."""
    with started(tmp_path_factory.mktemp("crash-long"), CONFIG, pace=PACE) as cloud:
        cloud.wait_until_idle()
        yield cloud, []


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_several_processes_killed_at_once_change_nothing(
    long: tuple[LocalCloud, list[Trial]], point: Point, record_property: Record
) -> None:
    cloud, tried = long
    others = random.Random(point.name).sample([other for other in POINTS if other != point], k=2)
    aftermath = aftermath_of(cloud, [point, *others], first=len(tried))
    tried += aftermath.trials
    for trial in aftermath.trials[1:]:
        check(aftermath, trial, record_property)
    check_the_whole(cloud, tried, record_property)
