"""After any failure of any step, a proof destroys its stack and the table lists the leftovers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.pipelines.pipeline import Pipeline
from cli.prove import steps as proof_steps
from cli.prove.proof import NOT_DONE, Result, as_markdown, is_destroyed, prove
from cli.prove.steps import CLOSING, STEPS, Proof, Step
from cli.refusals import Failed, Refused
from tests.cli.terminals import checked

STACK = "proof"


class NoQueues:
    """An SQS without queues."""

    def list_queues(self, **_: str) -> dict[str, Any]:
        return {}


@dataclass
class PlayedStack:
    """A stack in memory. If it is deployed and not destroyed, it is a leftover."""

    name: str = STACK
    by_hand: str = "`a command`"
    is_taken: bool = False
    deploys: bool = True
    destroys: bool = True
    left: list[str] = field(default_factory=list)
    destroyed: int = 0
    seconds_to_deploy: float = 0

    def refuse_if_unusable(self) -> None:
        if self.is_taken:
            raise Refused("the stack proof exists")

    def deploy(self, *, timeout_seconds: float) -> Pipeline:
        self.seconds_to_deploy = timeout_seconds
        self.left.append("a bucket")
        if not self.deploys:
            raise Failed("no rights to create a topic")
        raise Failed("played")

    def changes(self, *, timeout_seconds: float) -> str:  # noqa: ARG002
        return ""

    def destroy(self) -> None:
        self.destroyed += 1
        if not self.destroys:
            raise Failed("the bucket is not empty")
        self.left.clear()

    def client(self, service: str) -> Any:
        return {"sqs": NoQueues()}[service]


@pytest.fixture
def no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search by tags finds the leftovers of the stack in memory."""
    monkeypatch.setattr(proof_steps, "_LEFTOVER_SECONDS", 0.0)
    monkeypatch.setattr(proof_steps, "leftovers", lambda client, *_, **__: client.__self__.left)


def proof_of(stack: PlayedStack, folder: Path) -> Proof:
    return Proof(stack, folder, minutes=20, began=datetime.now(UTC))


def test_a_stack_that_exists_is_never_destroyed(tmp_path: Path) -> None:
    stack = PlayedStack(is_taken=True)
    with pytest.raises(Refused, match="exists"):
        prove(proof_of(stack, tmp_path))
    assert stack.destroyed == 0


@pytest.mark.usefixtures("no_search")
def test_a_deployment_that_fails_ends_the_proof_and_is_destroyed(tmp_path: Path) -> None:
    stack = PlayedStack(deploys=False)
    results = prove(proof_of(stack, tmp_path))
    assert results[0].evidence == "no rights to create a topic"
    assert {result.evidence for result in results[1 : len(STEPS)]} == {NOT_DONE}
    assert is_destroyed(results)
    assert stack.left == []


@pytest.mark.usefixtures("no_search")
def test_the_deployment_leaves_time_to_destroy(tmp_path: Path) -> None:
    stack = PlayedStack(deploys=False)
    prove(Proof(stack, tmp_path, minutes=20, began=datetime.now(UTC)))
    assert 0 < stack.seconds_to_deploy <= 16 * 60
    assert stack.destroyed == 1


@pytest.mark.usefixtures("no_search")
@pytest.mark.parametrize("at", range(len(STEPS)), ids=[step.title for step in STEPS])
@pytest.mark.parametrize(
    "error", [Failed("wrong"), RuntimeError("broken"), KeyboardInterrupt()], ids=["fails", "breaks", "ctrl-c"]
)
def test_the_stack_is_destroyed_when_any_step_fails(tmp_path: Path, at: int, error: BaseException) -> None:
    stack = PlayedStack()

    def played(number: int) -> Step:
        def run(_: Proof) -> str:
            stack.left.append(f"what step {number} made")
            if number == at:
                raise error
            return "seen"

        return replace(STEPS[number], prove=run)

    results = prove(proof_of(stack, tmp_path), steps=[played(number) for number in range(len(STEPS))])
    assert [result.is_good for result in results[:at]] == [True] * at
    assert not results[at].is_good
    goes_on = isinstance(error, Exception) and not STEPS[at].is_needed
    assert {result.is_good for result in results[at + 1 : len(STEPS)]} <= {goes_on}
    assert len(results) == len(STEPS) + len(CLOSING)
    assert is_destroyed(results)
    assert stack.left == []


@pytest.mark.usefixtures("no_search")
@pytest.mark.parametrize("error", [KeyboardInterrupt, BrokenPipeError])
def test_the_stack_is_destroyed_after_any_failure_between_steps(tmp_path: Path, error: type[BaseException]) -> None:
    stack = PlayedStack()
    steps = [Step("first", lambda _: "seen"), Step("second", lambda _: "seen")]
    raised: list[Result] = []

    def on_result(result: Result) -> None:
        raised.append(result)
        if len(raised) == 1 or issubclass(error, OSError):
            raise error

    results = prove(proof_of(stack, tmp_path), steps=steps, on_result=on_result)
    assert stack.destroyed == 1
    assert len(results) == 2 + len(CLOSING)
    assert is_destroyed(results)


@pytest.mark.usefixtures("no_search")
def test_what_could_not_be_destroyed_is_named_with_what_to_type(tmp_path: Path) -> None:
    stack = PlayedStack(destroys=False)
    results = prove(proof_of(stack, tmp_path))
    assert not is_destroyed(results)
    assert [result.evidence for result in results[-2:]] == [
        "the bucket is not empty",
        "1 resources with the stack's tags are left: a bucket",
    ]
    table = as_markdown(results, stack=STACK, region="eu-west-1", at=datetime.now(UTC), by_hand=stack.by_hand)
    assert table.endswith("\n**Something is left, and it may cost money.** Type `a command`.\n")


def test_the_table_is_dated_and_counts_the_good_steps() -> None:
    at = datetime(2026, 11, 27, 8, 5, tzinfo=UTC)
    results = [Result("mails", False, "2 | 3\nmails", 3), Result("deployed", True, "in eu-west-1", 480.4)]
    results += [Result("destroyed", True, "all", 0)] * len(CLOSING)
    assert as_markdown(results, stack="proof", region="eu-west-1", at=at, by_hand="").splitlines() == [
        "# Proof of 2026-11-27 08:05 UTC: 4/5",
        "",
        "Stack `proof` in eu-west-1, 8 minutes.",
        "",
        "| step | | seen | seconds |",
        "|---|---|---|---|",
        "| mails | **failed** | 2 \\| 3 mails | 3 |",
        "| deployed | good | in eu-west-1 | 480 |",
        *["| destroyed | good | all | 0 |"] * len(CLOSING),
    ]


def test_the_command_prints_the_documented_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.prove.throwaway_stack.PulumiStack", lambda *_: PlayedStack())
    words = ["prove", "--yes", "--json", "--region", "eu-west-1", "--out", str(tmp_path)]
    ended = CliRunner().invoke(app, words)
    shown = checked("prove", json.loads(ended.stdout))
    assert (ended.exit_code, shown["good"] < shown["of"]) == (1, True)
