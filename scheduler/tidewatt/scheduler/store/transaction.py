"""What one writing transaction may do to jobs, attempts and events."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, fields
from enum import Enum
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.jobs import ATTEMPT_MOVES, ENDED, JOB_MOVES, AttemptState, JobState, SettlementState
from tidewatt.scheduler.plan import GpuKind, Plan, Why
from tidewatt.scheduler.proof.canonical import check
from tidewatt.scheduler.proof.chain import START, Tip, link, seal
from tidewatt.scheduler.store import schema
from tidewatt.scheduler.store.added import Added
from tidewatt.scheduler.store.database import Database
from tidewatt.scheduler.store.known import Changes
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord, kind_record, plan_of, plan_record

_COLUMNS = [field.name for field in fields(JobRecord)]


class MoveError(SchedulerError):
    """A state was to change in a way that its table of moves does not allow."""


@dataclass(slots=True)
class Last:
    """The newest event and job number; nobody else adds any while a transaction lasts. None: not looked."""

    tip: Tip | None = None
    job: int | None = None


class Transaction:
    """The verbs of a writing transaction."""

    def __init__(
        self,
        connection: sa.Connection,
        database: Database,
        last: Last | None = None,
        before_it: Callable[[], None] | None = None,
    ) -> None:
        self._open, self._database, self._before_it = connection, database, before_it
        self.changes = Changes()
        self.added = Added()
        self.told: list[Mapping[str, Any]] | None = None  # its events, where somebody wants to have them
        self.last = last or Last()

    @property
    def _connection(self) -> sa.Connection:
        """The database, which has been given all that was added so far."""
        if self._before_it is not None:
            before_it, self._before_it = self._before_it, None
            before_it()
        if self.added:
            self.added.send(self._open, self._database)
        return self._open

    def append(
        self,
        time_ms: int,
        kind: str,
        payload: Mapping[str, Any] = MappingProxyType({}),
        *,
        job_id: int | None = None,
        attempt_id: str = "",
        reason: str = "",
    ) -> None:
        """Appends one event; its payload holds integers and strings, and lists and objects of them."""
        told = deepcopy(dict(payload))  # it is written later than it is sealed
        check(told)
        tip = self.tip()
        event = {
            "seq": tip.seq + 1,
            "time_ms": time_ms,
            "kind": kind,
            "job_id": job_id,
            "attempt_id": attempt_id,
            "reason": reason,
            "payload": told,
        }
        self.last.tip = Tip(tip.seq + 1, link(tip.hash, seal(event)))
        self.changes.seq = self.last.tip.seq
        if self.told is not None:
            self.told.append(event)
        self.added.add(schema.event, {**event, "hash": self.last.tip.hash})

    def add_job(self, job: JobRecord) -> int:
        """Stores a new job and returns its number; the caller appends the event that tells of it."""
        values = {name: _plain(getattr(job, name)) for name in _COLUMNS if name != "id"}
        if self.last.job is None:
            self.last.job = self._database.last_job(self._open)
        self.last.job += 1
        number = self.last.job
        self.added.add(schema.job, {"id": number, **values})
        self.changes.jobs.add(number)
        self.changes.counts[job.uid, str(job.state)] += 1
        return number

    def skip_numbers(self, up_to: int) -> None:
        """Gives no number up to this one to any later job."""
        self._database.skip_numbers(self._connection, "job", up_to)
        self.last.job = None

    def change_job(self, job_id: int, **values: Any) -> None:
        """Sets columns of a job that are not its state."""
        if values:
            self.changes.jobs.add(job_id)
            self.changes.ended |= not values.keys().isdisjoint(("ended_ms", "settlement"))
            plain = {name: _plain(value) for name, value in values.items()}
            if not self.added.change_job(job_id, plain):
                self._connection.execute(schema.job.update().where(schema.job.c.id == job_id).values(plain))

    def move_job(self, job_id: int, to: JobState, reason: str, time_ms: int, **values: Any) -> None:
        """Moves a job to a state, with the reason; other columns may be set in the same breath."""
        job = schema.job.c
        row = self._connection.execute(sa.select(job.state, job.uid).where(job.id == job_id)).one()
        state = JobState(row.state)
        if to not in JOB_MOVES[state]:
            raise MoveError(f"job {job_id} is {state}: it cannot become {to}")
        self.append(time_ms, "job." + to, job_id=job_id, reason=reason)
        self.changes.counts[row.uid, str(state)] -= 1
        self.changes.counts[row.uid, str(to)] += 1
        self.changes.ended |= to in ENDED
        self.change_job(job_id, state=to, since_ms=time_ms, reason=reason, **values)

    def check_waiting(self, job_id: int) -> None:
        """Makes sure that another attempt of a job may be launched.

        Raises:
            MoveError: It does not wait any more, or has an attempt that lives: whoever asks has looked at it
                too long ago.
        """
        job, attempt = schema.job.c, schema.attempt.c
        state = JobState(self._scalar(job.state, job.id == job_id))
        over = [str(AttemptState.ENDED), str(AttemptState.POISONED)]
        live = sa.select(attempt.id).where(attempt.job_id == job_id, attempt.state.not_in(over)).limit(1)
        if (other := self._connection.execute(live).scalar()) is not None:
            raise MoveError(f"attempt {other} of job {job_id} lives: another one cannot be launched")
        if state is not JobState.WAITING:
            raise MoveError(f"job {job_id} is {state}: no attempt of it can be launched")

    def add_attempt(self, attempt: AttemptRecord) -> None:
        """Commits that an attempt may be launched."""
        values = {field.name: _plain(getattr(attempt, field.name)) for field in fields(AttemptRecord)}
        self._connection.execute(schema.attempt.insert(), values)
        self.append(
            attempt.since_ms,
            "attempt." + attempt.state,
            {
                **attempt.factors,
                "region": attempt.region,
                "pool": attempt.pool,
                "gpus": list(attempt.gpu_uuids),
            },
            job_id=attempt.job_id,
            attempt_id=attempt.id,
        )

    def move_attempt(
        self, attempt: AttemptRecord, to: AttemptState, reason: str, time_ms: int, **values: Any
    ) -> None:
        """Moves an attempt to a state; times, exit code and signal may be set in the same breath."""
        state = AttemptState(self._scalar(schema.attempt.c.state, schema.attempt.c.id == attempt.id))
        if to not in ATTEMPT_MOVES[state]:
            raise MoveError(f"attempt {attempt.id} is {state}: it cannot become {to}")
        told = {name: value for name, value in values.items() if value is not None}
        self.append(
            time_ms, "attempt." + to, told, job_id=attempt.job_id, attempt_id=attempt.id, reason=reason
        )
        changed = {"state": str(to), "since_ms": time_ms, "reason": reason, **values}
        self._connection.execute(
            schema.attempt.update().where(schema.attempt.c.id == attempt.id).values(changed)
        )

    def tell_attempt(self, attempt: AttemptRecord, reason: str, time_ms: int) -> None:
        """Records why an attempt waits; its state stays."""
        self.append(time_ms, "attempt waits", job_id=attempt.job_id, attempt_id=attempt.id, reason=reason)
        self._connection.execute(
            schema.attempt.update().where(schema.attempt.c.id == attempt.id).values(reason=reason)
        )

    def set_plan(self, job_id: int, plan: Plan, time_ms: int, reason: str) -> None:
        """Records a job's new plan, and counts it where it moves the start later for cleaner electricity."""
        columns = sa.select(schema.job.c.plan, schema.job.c.postponed).where(schema.job.c.id == job_id)
        row = self._connection.execute(columns).one()
        old = None if row.plan is None else plan_of(row.plan)
        later = old is not None and plan.window.start > old.window.start and plan.why is Why.CLEANEST
        self.tell_plan(job_id, plan, time_ms, reason)
        self.change_job(job_id, plan=plan, postponed=row.postponed + later)

    def tell_plan(self, job_id: int, plan: Plan, time_ms: int, reason: str) -> None:
        """Appends the event of a plan, which the caller stores with the job."""
        self.append(time_ms, "plan", plan_record(plan), job_id=job_id, reason=reason)

    def finish(self) -> None:
        """Before it is stored: gives the database what is left, and keeps the number of its last event."""
        if self.added:
            self.added.send(self._open, self._database)
        if self.changes.seq:
            self._database.numbered(self._open, self.changes.seq)

    def set_settlement(
        self, job_id: int, state: SettlementState, record: dict[str, Any], time_ms: int
    ) -> None:
        """Records a job's account; earlier ones stay in the event table."""
        self.append(time_ms, "settlement." + state, record, job_id=job_id)
        self.change_job(job_id, settlement_state=state, settlement=record)

    def put_decision(self, name: str, value: dict[str, Any] | None, time_ms: int, user: str) -> None:
        """Stores what operators decided by this name; None takes it away."""
        self._connection.execute(schema.decision.delete().where(schema.decision.c.name == name))
        if value is not None:
            row = {"name": name, "value": value, "since_ms": time_ms, "user": user}
            self._connection.execute(schema.decision.insert(), row)

    def tip(self) -> Tip:
        """The last number ever given, which a removed event leaves unused, and the hash of what is there."""
        if self.last.tip is None:
            number, newest = self._database.tip(self._open)
            self.last.tip = Tip(number or 0, newest or START)
        return self.last.tip

    def thoroughly(self) -> None:
        """What is changed or deleted from now on is overwritten in the file, where that is one."""
        if self._connection.dialect.name == "sqlite":
            self._connection.exec_driver_sql("pragma secure_delete=on")

    def add(self, table: sa.Table, row: dict[str, Any]) -> None:
        """Adds a row to a table that is no part of the ledger."""
        self.added.add(table, row)

    def execute(self, statement: sa.Executable, rows: Any = None) -> sa.CursorResult[Any]:
        """Changes tables that are no part of the ledger: tokens, sessions, the audit log."""
        return self._connection.execute(statement, rows)

    def _scalar(self, column: sa.Column[Any], where: sa.ColumnElement[bool]) -> Any:
        return self._connection.execute(sa.select(column).where(where)).scalar_one()


def _plain(value: Any) -> Any:
    match value:
        case Plan():
            return plan_record(value)
        case GpuKind():
            return kind_record(value)
        case bool():
            return int(value)
        case Enum():
            return str(value)
        case tuple():
            return [_plain(each) for each in value]
        case _:
            return value
