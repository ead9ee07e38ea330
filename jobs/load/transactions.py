"""The changes of `fact_transactions` by an attempt: load a drop, load its waiting rows, or retract it.

Each is one transaction. The fact is the maximum, by precedence, of every row of every load that counts. A load is
taken out in two steps: its rows are withdrawn from the fact, and the history restores the next row of each of their
ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from decimal import Decimal

from jobs.errors import TerminalError, TransientError, Unbalanced
from jobs.load.changed_transactions import largest_changes, note_before
from jobs.load.ledger import REPLAY, AmountChange, KeyLedger, read_changes, to_changes, total, write_entry
from jobs.load.protocol import Outcomes, Staged, locked, merge, weigh
from jobs.load.session import Connection, WarehouseSession, execute, fetch_row, fetch_rows
from schemas.counts import Counts
from schemas.drops import Drop
from schemas.reports import ChangedTransaction, ReusedIds
from schemas.runs import FLOW_IN, LOAD, REPLACE, RETRACT
from schemas.statuses import counts_as_sale
from schemas.warehouse import sql
from schemas.warehouse.tables import (
    RESTORED_TRANSACTIONS,
    STAGED_TRANSACTIONS,
    STAGED_WAITING,
    WITHDRAWN_TRANSACTIONS,
    Table,
)
from schemas.warehouse.upsert import RESTORE, TRANSACTIONS_UPSERT

NOTHING_STAGED = Staged(0)


@dataclass(frozen=True)
class Rules:
    """The settings of the stack that decide which rows count."""

    keep_history: bool
    same_key: str
    """One of schemas.runs.SAME_KEY."""
    waiting_since: datetime
    """UTC, no zone: rows that have waited since an earlier instant stop waiting."""
    is_plan: bool = False
    """True: nothing is committed, and the largest changes are reported."""


@dataclass(frozen=True)
class Batch:
    """The staged and counted rows of a drop."""

    staged: Staged
    """The winners of the drop."""
    waiting: Staged
    """Rows that are rejected only because a dimension lacks their customer or product."""
    rows_read: int
    duplicate: int
    rejected: int

    @property
    def tables(self) -> list[tuple[Table, Staged]]:
        """The temp tables of its rows."""
        return [(STAGED_TRANSACTIONS, self.staged), (STAGED_WAITING, self.waiting)]


@dataclass(frozen=True)
class Committed:
    """The result of a commit, with the figures for its mail."""

    event: str
    """load, replay, flow_in or retract."""
    counts: Counts
    changes: list[AmountChange] = field(default_factory=list)
    removed: int = 0
    """Rows that left the fact."""
    restored: int = 0
    """Rows of the fact that a row of another load replaced again."""
    reused: ReusedIds = field(default_factory=ReusedIds)
    """Its ids that another file had used for another sale."""
    first_commit: Counts | None = None
    """The counts of the load's first commit, where this was not the first."""
    first_changes: list[AmountChange] = field(default_factory=list)
    waiting: int = 0
    """Rows of this drop that wait for a dimension."""
    stopped_waiting: int = 0
    """Rows of any drop that had waited too long and stopped waiting."""
    awaited_by: list[Drop] = field(default_factory=list)
    """The drop itself, if a missing customer or product arrived while it was being read."""
    day_sales: Decimal = Decimal(0)
    """Net sales of the drop's day, this commit included."""
    largest_changes: list[ChangedTransaction] = field(default_factory=list)
    """Only for a plan."""


@dataclass(frozen=True)
class _Work:
    """One attempt inside its transaction."""

    connection: Connection
    ledger: Mapping[str, object]
    """The ledger's columns that come from the drop and the attempt."""
    rules: Rules
    past: KeyLedger

    @property
    def load_id(self) -> str:
        return str(self.ledger["load_id"])

    @property
    def is_superseded(self) -> bool:
        """True when a newer upload of the same key is loaded and only the newest counts."""
        upload = self.ledger["uploaded_at"], self.load_id
        standing = self.past.standing(but=self.load_id)
        return self.rules.same_key == REPLACE and bool(standing) and standing[-1] > upload

    def older_loads(self) -> list[str]:
        """The loads that this one replaces."""
        if self.rules.same_key != REPLACE or self.is_superseded:
            return []
        return [load_id for _, load_id in self.past.standing(but=self.load_id)]


@dataclass(frozen=True)
class _Effect:
    """The changes of the fact."""

    outcomes: Outcomes = field(default_factory=Outcomes)
    changes: Sequence[AmountChange] = ()
    removed: int = 0
    restored: int = 0
    reused: ReusedIds = field(default_factory=ReusedIds)
    """Staged ids that another file had used for another sale."""

    def __add__(self, other: _Effect) -> _Effect:
        return _Effect(
            Outcomes(
                self.outcomes.inserted + other.outcomes.inserted,
                self.outcomes.updated + other.outcomes.updated,
                self.outcomes.unchanged + other.outcomes.unchanged,
                self.outcomes.stale + other.outcomes.stale,
            ),
            [*self.changes, *other.changes],
            self.removed + other.removed,
            self.restored + other.restored,
            self.reused or other.reused,
        )

    @property
    def is_a_change(self) -> bool:
        return bool(self.outcomes.inserted or self.outcomes.updated or self.removed or self.restored)


def load(session: WarehouseSession, batch: Batch, ledger: Mapping[str, object], rules: Rules) -> Committed:
    """Upsert a drop's rows, for the first time or again, and book the change in the ledger.

    Raises Unbalanced, with nothing committed, if the counts do not add up; TransientError if the warehouse stayed busy
    or unreachable through every retry. A plan commits nothing.
    """

    def send(connection: Connection) -> Committed:
        with locked(connection, batch.tables, session.warehouse, is_plan=rules.is_plan):
            work = _work(connection, ledger, rules)
            expired = _expire(work)
            own = work.past.of(work.load_id)
            if own and rules.keep_history:
                execute(connection, sql.delete_history(), [work.load_id])
            if rules.is_plan:
                note_before(connection, work.older_loads())
            effect = _apply(work, batch.staged.rows, replaced=[work.load_id] if own else [])
            execute(connection, sql.delete_waiting(), [work.load_id])
            if batch.waiting.rows:
                execute(connection, sql.insert_waiting())
            outcomes = effect.outcomes
            counts = Counts(
                batch.rows_read,
                outcomes.inserted,
                outcomes.updated,
                outcomes.unchanged,
                outcomes.stale,
                batch.duplicate,
                batch.rejected,
            )
            is_booked = not own or effect.is_a_change or work.past.is_retracted(work.load_id)
            committed = _book(work, REPLAY if own else LOAD, counts, effect, is_booked=is_booked)
            if rules.is_plan:
                committed = replace(committed, largest_changes=largest_changes(connection))
            return _with_waiting(work, committed, batch.waiting.rows, expired)

    return session.run(send)


def await_dimensions(session: WarehouseSession, waiting: Staged, drop: Drop, *, is_plan: bool = False) -> bool:
    """Store the rows of a refused drop that wait for a dimension, replacing those stored before. The load of that
    dimension requests another attempt at the drop. False for a drop that was loaded before: its waiting rows stay as
    they are. Raises TransientError if a missing customer or product arrived while the drop was being read.
    """

    def send(connection: Connection) -> bool:
        with locked(connection, [(STAGED_WAITING, waiting)], session.warehouse, is_plan=is_plan):
            if KeyLedger.read(connection, drop.uri).of(drop.load_id):
                return False
            execute(connection, sql.delete_waiting(), [drop.load_id])
            if not waiting.rows:
                return False
            execute(connection, sql.insert_waiting())
            has_come = fetch_rows(connection, sql.select_arrived_meanwhile(), [drop.load_id])
        if has_come:
            raise TransientError(
                f"customers or products that {drop.uri} names were loaded while it was being read; it is tried again"
            )
        return True

    return session.run(send)


def waiting_lines(session: WarehouseSession, load_id: str, rules: Rules) -> list[int]:
    """The source lines of a load's rows that still wait for a dimension."""

    def send(connection: Connection) -> list[int]:
        rows = fetch_rows(connection, sql.select_waiting(), [load_id, rules.waiting_since])
        connection.commit()
        return [int(line) for (line,) in rows]

    return session.run(send)


def flow_in(
    session: WarehouseSession, batch: Batch, waited: Sequence[int], ledger: Mapping[str, object], rules: Rules
) -> Committed:
    """Load the rows of a loaded drop that waited for a dimension. `waited` are their lines. `batch.staged` has the
    winners among them, `batch.waiting` those that still wait. The ledger moves them from rejected to their new
    outcome, so the sums over the load's entries still balance.
    """

    def send(connection: Connection) -> Committed:
        with locked(connection, batch.tables, session.warehouse):
            work = _work(connection, ledger, rules)
            expired = _expire(work)
            now = fetch_rows(connection, sql.select_waiting(), [work.load_id, rules.waiting_since])
            if [int(line) for (line,) in now] != list(waited):
                raise TransientError(
                    f"another attempt has loaded waiting rows of load {work.load_id} meanwhile; this attempt is retried"
                )
            effect = _apply(work, batch.staged.rows, replaced=[])
            execute(connection, sql.delete_settled(), [work.load_id])
            outcomes = effect.outcomes
            arrived = outcomes.rows + batch.duplicate
            counts = Counts(
                0, outcomes.inserted, outcomes.updated, outcomes.unchanged, outcomes.stale, batch.duplicate, -arrived
            )
            committed = _book(work, FLOW_IN, counts, effect, is_booked=arrived > 0)
            return _with_waiting(work, committed, batch.waiting.rows, expired)

    return session.run(send)


def retract(session: WarehouseSession, ledger: Mapping[str, object], rules: Rules) -> Committed:
    """Take a load back, so that the fact is as if it had never been loaded. With same_key `replace`, the upload before
    it counts again. A load that was never committed, or is already taken back, changes nothing. Raises TerminalError
    where no history is kept.
    """
    if not rules.keep_history:
        raise TerminalError(
            "a load can be taken back only where keepHistory is true, because only the history shows which rows "
            "it replaced; set it, run `pulumi up` and replay the loads of the same transactions"
        )

    def send(connection: Connection) -> Committed:
        with locked(connection, [(STAGED_TRANSACTIONS, NOTHING_STAGED)], session.warehouse):
            # A refused load may have waiting rows too.
            execute(connection, sql.delete_waiting(), [ledger["load_id"]])
            past = KeyLedger.read(connection, str(ledger["source_uri"]))
            own = past.of(str(ledger["load_id"]))
            if not own or past.is_retracted(own[0].load_id):
                return Committed(RETRACT, Counts())
            # The drop may no longer exist: the ledger has its columns.
            work = _Work(connection, {**own[0].columns, **ledger}, rules, past)
            execute(connection, sql.delete_history(), [work.load_id])
            effect = _withdraw(work, [work.load_id])
            earlier = past.standing(but=work.load_id)
            if rules.same_key == REPLACE and earlier and not work.is_superseded:
                execute(connection, sql.supersede_history(is_superseded=False), [earlier[-1][1]])
                execute(connection, sql.stage_from_history(), [earlier[-1][1]])
                (staged,) = fetch_row(connection, sql.count_rows(STAGED_TRANSACTIONS))
                effect += _upsert(connection, int(staged))
            outcomes = effect.outcomes
            counts = Counts(outcomes.rows, outcomes.inserted, outcomes.updated, outcomes.unchanged, outcomes.stale)
            return _book(work, RETRACT, counts, effect, is_booked=True)

    return session.run(send)


def _work(connection: Connection, ledger: Mapping[str, object], rules: Rules) -> _Work:
    return _Work(connection, ledger, rules, KeyLedger.read(connection, str(ledger["source_uri"])))


def _apply(work: _Work, staged_rows: int, *, replaced: list[str]) -> _Effect:
    """Write the staged rows into history and fact; `replaced` names the load itself if it is loaded again."""
    connection, keeps = work.connection, work.rules.keep_history
    older = work.older_loads()
    if keeps:
        for load_id in older:
            execute(connection, sql.supersede_history(is_superseded=True), [load_id])
        execute(connection, sql.insert_history(is_superseded=work.is_superseded))
    if work.is_superseded:
        execute(connection, sql.delete_rows(STAGED_TRANSACTIONS))
    effect = _Effect()
    if keeps and (replaced or older):
        effect = _withdraw(work, [*replaced, *older])
    if work.is_superseded:
        return effect + _Effect(Outcomes(stale=staged_rows))
    return effect + _upsert(connection, staged_rows)


def _withdraw(work: _Work, load_ids: Sequence[str]) -> _Effect:
    """Take the loads' rows out of the fact, except staged ids, and restore the rows that they had replaced."""
    connection = work.connection
    for table in (WITHDRAWN_TRANSACTIONS, RESTORED_TRANSACTIONS):
        execute(connection, sql.create_temporary(table))
    for load_id in load_ids:
        execute(connection, sql.insert_withdrawn(), [load_id])
    (withdrawn,) = fetch_row(connection, sql.count_rows(WITHDRAWN_TRANSACTIONS))
    if not withdrawn:
        return _Effect()
    execute(connection, sql.insert_restored(), [work.load_id])
    (restored,) = fetch_row(connection, sql.count_rows(RESTORED_TRANSACTIONS))
    changes = fetch_rows(connection, sql.select_change(RESTORED_TRANSACTIONS, WITHDRAWN_TRANSACTIONS))
    execute(connection, sql.delete_withdrawn())
    merge(connection, RESTORE, int(restored))
    return _Effect(changes=to_changes(changes), removed=int(withdrawn) - int(restored), restored=int(restored))


def _upsert(connection: Connection, staged_rows: int) -> _Effect:
    # Before stale rows are deleted: one of them may be another sale, too.
    reused = fetch_rows(connection, sql.select_reused())
    outcomes = weigh(connection, TRANSACTIONS_UPSERT, staged_rows)
    changes = to_changes(fetch_rows(connection, sql.select_change(STAGED_TRANSACTIONS, STAGED_TRANSACTIONS)))
    merge(connection, TRANSACTIONS_UPSERT, outcomes.rows - outcomes.stale)
    (difference,) = fetch_row(connection, sql.sum_difference(STAGED_TRANSACTIONS))
    rows = sum(change.rows for change in changes)
    if difference or rows != outcomes.inserted:
        raise Unbalanced(
            f"{outcomes.inserted} rows were inserted, but the amounts of {rows} rows were booked, and the fact "
            f"differs from the staged rows by {difference}; nothing was loaded; this is a defect of the job: report it"
        )
    number = int(reused[0][0]) if reused else 0
    known = ReusedIds(known_ids=number, known_samples=[str(transaction_id) for _, transaction_id in reused])
    return _Effect(outcomes, changes, reused=known)


def _book(work: _Work, event: str, counts: Counts, effect: _Effect, *, is_booked: bool) -> Committed:
    """Write the ledger's entry, unless nothing changed since the last one."""
    changes = total(effect.changes)
    first = next(iter(work.past.of(work.load_id)), None)
    if is_booked:
        extra = {"event": event, "removed": effect.removed, "restored": effect.restored}
        write_entry(work.connection, {**work.ledger, **extra}, counts, changes)
    return Committed(
        event,
        counts,
        changes,
        effect.removed,
        effect.restored,
        reused=effect.reused if event != RETRACT else ReusedIds(),
        first_commit=first.counts if first else None,
        first_changes=read_changes(work.connection, work.load_id, first.attempt) if first else [],
        day_sales=_day_sales(work),
    )


def _expire(work: _Work) -> int:
    """Delete rows of any load that have waited too long; returns their number."""
    since = [work.rules.waiting_since]
    (expired,) = fetch_row(work.connection, sql.count_expired(), since)
    if expired:
        execute(work.connection, sql.delete_expired(), since)
    return int(expired)


def _with_waiting(work: _Work, committed: Committed, waiting: int, expired: int) -> Committed:
    rows = fetch_rows(work.connection, sql.select_arrived_meanwhile(), [work.load_id]) if waiting else []
    return replace(committed, waiting=waiting, stopped_waiting=expired, awaited_by=[Drop(*row) for row in rows])


def _day_sales(work: _Work) -> Decimal:
    day = work.ledger["partition_day"]
    assert isinstance(day, date)
    first, last = datetime.combine(day, time.min), datetime.combine(day, time.max)
    rows = fetch_rows(work.connection, sql.select_sales_of_day(), [first, last])
    return sum((Decimal(str(amount)) for status, amount in rows if counts_as_sale(status)), Decimal(0))
