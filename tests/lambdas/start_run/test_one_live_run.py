"""One live run per drop, with events in any order, repeated, and with workers that die."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from moto.glue.models import glue_backends

from lambdas.start_run import handler
from schemas.messages import drop_message, replay_message
from tests.lambdas.cloud import ACCOUNT_ID, REGION, TRANSACTIONS_JOB, Invocation, Killed, killed_at, running_cloud
from tests.lambdas.reports import failed, succeeded

which = st.integers(0, 1)


class Events(RuleBasedStateMachine):
    """Two versions of one key, their events, and a queue that repeats and reorders messages and loses none."""

    @initialize()
    def two_drops_of_one_key(self) -> None:
        self.running = running_cloud()
        self.cloud = self.running.__enter__()
        self.drops = [self.cloud.drop(body=b"first"), self.cloud.drop(body=b"second")]
        self.queue: list[dict[str, Any]] = []
        self.done: list[dict[str, Any]] = []
        self.wishes: Counter[str] = Counter()
        for drop in self.drops:
            self.queue.append(self.cloud.batch(drop_message(drop)))

    def teardown(self) -> None:
        if hasattr(self, "running"):
            self.running.__exit__(None, None, None)

    def deliver(self, batch: dict[str, Any]) -> None:
        assert handler.handle(batch, Invocation()) == {"batchItemFailures": []}
        self.done.append(batch)
        self.queue += [self.cloud.batch(message.body, waits=message.waits) for message in self.cloud.sent_messages()]

    @precondition(lambda self: self.queue)
    @rule(chance=st.randoms(use_true_random=False))
    def a_message_is_delivered(self, chance: Any) -> None:
        self.deliver(self.queue.pop(chance.randrange(len(self.queue))))

    @precondition(lambda self: self.done)
    @rule(chance=st.randoms(use_true_random=False))
    def a_message_is_delivered_again(self, chance: Any) -> None:
        self.deliver(chance.choice(self.done))

    @precondition(lambda self: self.queue)
    @rule(after=st.booleans())
    def a_worker_dies_at_the_start(self, after: bool) -> None:
        release = killed_at(handler.dependencies().dispatcher.runner.starter, "StartJobRun", after=after)
        try:
            self.deliver(self.queue[-1])
            self.queue.pop()
        except Killed:
            pass  # SQS delivers the message again
        finally:
            release()

    @rule(which=which)
    def a_person_replays(self, which: int) -> None:
        self.wishes[self.drops[which].load_id] += 1
        self.queue.append(self.cloud.batch(replay_message(self.drops[which])))

    @rule(which=which, after=st.integers(1, 2))
    def a_sweep_wants_another(self, which: int, after: int) -> None:
        self.queue.append(self.cloud.batch(replay_message(self.drops[which], after_attempt=after)))

    @rule(places=st.integers(0, 2))
    def glue_has_so_many_places(self, places: int) -> None:
        glue_backends[ACCOUNT_ID][REGION].jobs[TRANSACTIONS_JOB].execution_property = {"MaxConcurrentRuns": places}

    @rule()
    def long_time_passes(self) -> None:
        for key in self.cloud.keys("claims/"):
            self.cloud.outlive(key)

    @rule(how=st.sampled_from(["succeeded", "failed", "transient", "died"]))
    def a_run_ends(self, how: str) -> None:
        for run in self.cloud.live_runs()[:1]:
            drop, attempt = self.cloud.drop_of(run)
            reports = {
                "succeeded": succeeded(drop, attempt=attempt),
                "failed": failed(drop, attempt=attempt),
                "transient": failed(drop, attempt=attempt, is_transient=True),
                "died": None,
            }
            self.cloud.end_run(run, "SUCCEEDED" if how == "succeeded" else "FAILED", report=reports[how])

    @invariant()
    def no_drop_has_two_live_runs(self) -> None:
        if hasattr(self, "cloud"):
            live = Counter(self.cloud.drop_of(run)[0].version_id for run in self.cloud.live_runs())
            assert all(runs == 1 for runs in live.values())

    @invariant()
    def attempts_are_numbered_one_by_one_and_each_is_run_once(self) -> None:
        if hasattr(self, "cloud"):
            for drop in self.drops:
                attempts = [
                    self.cloud.drop_of(run)[1] for run in self.cloud.runs() if self.cloud.drop_of(run)[0] == drop
                ]
                assert attempts == list(range(1, len(attempts) + 1))
                assert len(attempts) <= 3 + self.wishes[drop.load_id]

    @rule()
    def in_the_end_every_drop_is_started_and_the_queue_is_empty(self) -> None:
        self.glue_has_so_many_places(places=100)
        # A replay waits for the live run, so each needs a round of its own.
        for _ in range(3 + self.wishes.total()):
            while self.cloud.live_runs():
                self.a_run_ends(how="succeeded")
            self.long_time_passes()
            waiting, self.queue = self.queue, []
            for batch in waiting:
                self.deliver(batch)
        assert self.queue == []
        assert {self.cloud.drop_of(run)[0] for run in self.cloud.runs()} == set(self.drops)


TestEvents = Events.TestCase
TestEvents.settings = settings(
    max_examples=8, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
