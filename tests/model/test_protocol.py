"""The protocol of claims, reports and notes, under any schedule.

The real handlers run on an AWS in memory. Each schedule disturbs them at any point. They are
killed, paused or refused, called twice or never, and get late responses or none. Glue does not
show its runs at once, and S3 refuses writes for no reason.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas import attempts, waiting_loads
from lambdas.archive.archiver import Archiver
from lambdas.archived_copies import archived_copies
from lambdas.attempts import Outcome, outcome_of, read_report
from lambdas.drop_versions import find_version
from lambdas.notifier import Notifier
from lambdas.start_run import dispatcher
from lambdas.start_run.dispatcher import Dispatcher, DispatchResult
from lambdas.sweep import scanner
from lambdas.sweep.scanner import Scanner
from schemas.messages import flow_in_message
from schemas.runs import LOAD
from tests.model.explorer import SCHEDULE_BYTES, Explorer, exploring

# Hypothesis draws little more than the minimum, and a short schedule disturbs almost nothing.
schedules = st.binary(min_size=60, max_size=SCHEDULE_BYTES)


@pytest.fixture(scope="module")
def explorer() -> Iterator[Explorer]:
    with exploring() as made:
        yield made


@settings(max_examples=600, deadline=None)
@given(schedule=schedules)
def test_every_schedule_ends_well(explorer: Explorer, schedule: bytes) -> None:
    explorer.play(schedule)


@pytest.mark.slow
def test_a_hundred_thousand_schedules_end_well(explorer: Explorer) -> None:
    assert explorer.find_broken(100_000, seed=1) is None


# The model proves its worth: it finds each of these faults when its fix is removed.


def look_at_the_drop_before_the_claims(patched: pytest.MonkeyPatch) -> None:
    """A run whose starter died is then never found if its drop is archived."""
    plan = Dispatcher._plan

    def drop_first(self: Dispatcher, drop: Any, request: Any) -> Any:
        return plan(self, drop, request) if find_version(self.s3, drop) else DispatchResult.GONE

    patched.setattr(Dispatcher, "_plan", drop_first)
    patched.setattr(Scanner, "_run_of_dead_starter", lambda *_: None)


def read_the_report_before_the_state(patched: pytest.MonkeyPatch) -> None:
    """A run that ends in between seems to have died without a report, and the starter does not check again."""

    def report_first(claim: Any, run_id: str, *, leases: Any, runner: Any) -> Outcome:
        report = read_report(leases, claim.payload["load_id"], claim.payload["attempt"])
        if report is not None:
            return Outcome(report, None)
        run = runner.get(claim.payload["job_name"], run_id)
        state = run.state if run else None
        return Outcome(None, "STARTING" if state is None else state)

    class WorthIt(Outcome):
        def is_retried(self, tries: int) -> bool:
            return self.is_over if is_retry["now"] else super().is_retried(tries)

    plan, is_retry = Dispatcher._plan, {"now": False}

    def plan_unasked(self: Dispatcher, drop: Any, request: Any) -> Any:
        is_retry["now"] = request.replay is not None and request.replay.after_attempt is not None
        return plan(self, drop, request)

    def unasked(claim: Any, run_id: str, *, leases: Any, runner: Any) -> Outcome:
        outcome = outcome_of(claim, run_id, leases=leases, runner=runner)
        return WorthIt(outcome.report, outcome.state)

    patched.setattr(scanner, "outcome_of", report_first)
    patched.setattr(dispatcher, "outcome_of", unasked)
    patched.setattr(Dispatcher, "_plan", plan_unasked)


def take_a_run_that_glue_does_not_show_for_dead(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(attempts, "RUNNER_LAG_SECONDS", 0)


def take_over_before_the_list_shows_the_run(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(dispatcher, "LISTING_LAG_SECONDS", -35)


def leave_the_archive_as_it_comes(patched: pytest.MonkeyPatch) -> None:
    def unordered(self: Archiver, key: str) -> Any:
        return {copy.load_id: copy for copy in archived_copies(self.s3, self.leases, self.archive_bucket, key)}

    patched.setattr(Archiver, "put_in_order", unordered)


def load_what_was_withdrawn(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(dispatcher, "find_version", lambda s3, drop: _as_if_wanted(find_version(s3, drop)))


def _as_if_wanted(version: Any) -> Any:
    if version is not None:
        object.__setattr__(version, "is_withdrawn", False)
    return version


def send_without_a_note(patched: pytest.MonkeyPatch) -> None:
    def send(self: Notifier, stem: str, mail: Any, **_: Any) -> bool:
        self.sns.publish(TopicArn=self.topic_arn, Subject=mail.subject, Message=mail.body)
        self.leases.create(f"{stem}.json", {})
        return True

    patched.setattr(Notifier, "send_at_most_once", send)


def retry_before_midnight(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(Outcome, "must_wait", False)


def sweep_without_a_look_at_requests(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(scanner, "were_asked", lambda *_: True)


def ask_to_flow_in_without_a_name(patched: pytest.MonkeyPatch) -> None:
    """A request that is sent twice then counts twice."""
    numbers = itertools.count()

    def unnamed(drop: Any, **_: Any) -> str:
        return flow_in_message(drop, request=f"flow_in:{next(numbers)}")

    patched.setattr(waiting_loads, "flow_in_message", unnamed)


def drop_a_replay_while_a_run_is_live(patched: pytest.MonkeyPatch) -> None:
    """The live run may take the load back, or die."""
    plan = Dispatcher._plan

    def dropped(self: Dispatcher, drop: Any, request: Any) -> Any:
        planned, replay = plan(self, drop, request), request.replay
        is_replay = replay is not None and replay.after_attempt is None and replay.operation == LOAD
        return DispatchResult.NOTHING_TO_DO if is_replay and planned is DispatchResult.WAITS else planned

    patched.setattr(Dispatcher, "_plan", dropped)


# Few schedules find most of them. These seeds find the others soon.
SEEDS = {sweep_without_a_look_at_requests: 6, ask_to_flow_in_without_a_name: 11}
MUTANTS = {
    look_at_the_drop_before_the_claims: "no mail reported|does not come to rest|found no drop|neither met nor refused",
    read_the_report_before_the_state: "which no message requested",
    take_a_run_that_glue_does_not_show_for_dead: "a second live run",
    take_over_before_the_list_shows_the_run: "a second live run|no mail reported|attempts at|no message requested",
    leave_the_archive_as_it_comes: "current object",
    load_what_was_withdrawn: "withdrawn",
    send_without_a_note: "a second mail",
    retry_before_midnight: "which no message requested",
    sweep_without_a_look_at_requests: "flow_in:.* was neither met nor refused",
    drop_a_replay_while_a_run_is_live: "request-.* was neither met nor refused",
    ask_to_flow_in_without_a_name: "which no message requested|was neither met nor refused",
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_model_finds_the_fault(explorer: Explorer, mutant: Any) -> None:
    with pytest.MonkeyPatch.context() as patched:
        mutant(patched)
        story = explorer.find_broken(10_000, seed=SEEDS.get(mutant, 0))
    assert story is not None, "the model does not see this fault"
    assert re.search(MUTANTS[mutant], story.partition("\n")[0])
