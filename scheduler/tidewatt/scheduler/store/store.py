"""The store: each move is appended once to the event table; the state derived from it is kept beside it."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.jobs import (
    ATTEMPT_MOVES,
    JOB_MOVES,
    AttemptState,
    JobState,
    SettlementState,
)
from tidewatt.scheduler.plan import Plan
from tidewatt.scheduler.store import database, schema
from tidewatt.scheduler.store.database import StoreError
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord, plan_of, plan_record

FOREVER_MS = 253_402_300_799_000  # the end of the year 9999
_COLUMNS = [field.name for field in fields(JobRecord)]


class MoveError(SchedulerError):
    """A state was to change in a way that its table of moves does not allow."""


class Store:
    """Jobs, attempts and events in one database; writing is serialised, reading sees what is committed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writing = threading.RLock()
        self._engine = database.opened(path)

    def close(self) -> None:
        """Closes every connection; the write-ahead log is folded in."""
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """One writing transaction: durable when the block ends, undone when it raises."""
        with self._writing:
            try:
                with self._engine.connect() as connection:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                    try:
                        yield Transaction(connection)
                    except BaseException:
                        with suppress(sa.exc.DBAPIError):  # after a full disk SQLite has done it already
                            connection.exec_driver_sql("ROLLBACK")
                        raise
                    connection.exec_driver_sql("COMMIT")
            except sa.exc.DBAPIError as error:
                raise StoreError(f"cannot write to the store {self.path}: {database.cause(error)}") from error

    def job(self, job_id: int) -> JobRecord | None:
        """The job of that number; None where there is none."""
        rows = self._rows(sa.select(schema.job).where(schema.job.c.id == job_id))
        return _job(rows[0]) if rows else None

    def jobs(
        self, states: Iterable[JobState] | None = None, *, before: int | None = None, limit: int | None = None
    ) -> list[JobRecord]:
        """Jobs in the given states (None: all), newest first where `limit` is given, else oldest first."""
        query = sa.select(schema.job)
        if states is not None:
            query = query.where(schema.job.c.state.in_([str(state) for state in states]))
        if before is not None:
            query = query.where(schema.job.c.id < before)
        order = schema.job.c.id if limit is None else schema.job.c.id.desc()
        return [_job(row) for row in self._rows(query.order_by(order).limit(limit))]

    def jobs_ended_since(self, since_ms: int) -> list[JobRecord]:
        """Jobs that ended at or after a time, oldest first."""
        query = sa.select(schema.job).where(schema.job.c.ended_ms >= since_ms).order_by(schema.job.c.id)
        return [_job(row) for row in self._rows(query)]

    def submitted_since(self, since_ms: int) -> list[JobRecord]:
        """Jobs submitted at or after a time, oldest first."""
        query = sa.select(schema.job).where(schema.job.c.submitted_ms >= since_ms).order_by(schema.job.c.id)
        return [_job(row) for row in self._rows(query)]

    def cited(self, before_ms: int) -> set[tuple[str, int, int]]:
        """What accounts say of the grid: zone, submission and end of each job submitted before a time.

        A job that has not ended cites everything since its submission.
        """
        query = sa.select(
            schema.job.c.submitted_ms, schema.job.c.ended_ms, schema.job.c.frozen, schema.attempt.c.factors
        ).join_from(schema.job, schema.attempt, isouter=True)
        cited = set()
        for row in self._rows(query.where(schema.job.c.submitted_ms < before_ms)):
            end_ms = FOREVER_MS if row.ended_ms is None else row.ended_ms
            zones = row.frozen.get("home_zones", {}), (row.factors or {}).get("zones", {})
            cited |= {(zone, row.submitted_ms, end_ms) for by_signal in zones for zone in by_signal.values()}
        return cited

    def last_measured(self, user: str, name: str) -> JobRecord | None:
        """The newest ended job of that name and user that has an account; None where there is none."""
        query = sa.select(schema.job).where(
            schema.job.c.user == user,
            schema.job.c.name == name,
            schema.job.c.settlement.is_not(None),
            schema.job.c.state == str(JobState.DONE),
        )
        rows = self._rows(query.order_by(schema.job.c.id.desc()).limit(1))
        return _job(rows[0]) if rows else None

    def skip_numbers(self, up_to: int) -> None:
        """Gives no number up to this one to any later job."""
        with self.transaction() as transaction:
            transaction.skip_numbers(up_to)

    def open_accounts(self) -> dict[int, int]:
        """When each job ended whose account is not closed yet, by its number, oldest first."""
        open_states = [str(SettlementState.NONE), str(SettlementState.PROVISIONAL)]
        query = sa.select(schema.job.c.id, schema.job.c.ended_ms).where(
            schema.job.c.ended_ms.is_not(None), schema.job.c.settlement_state.in_(open_states)
        )
        return {row.id: row.ended_ms for row in self._rows(query.order_by(schema.job.c.id))}

    def count(self) -> dict[str, int]:
        """Number of jobs by state."""
        query = sa.select(schema.job.c.state, sa.func.count().label("jobs")).group_by(schema.job.c.state)
        return {row.state: row.jobs for row in self._rows(query)}

    def attempts(self, job_ids: Iterable[int]) -> dict[int, list[AttemptRecord]]:
        """Attempts of each of the jobs, oldest first."""
        wanted = list(job_ids)
        found: dict[int, list[AttemptRecord]] = {job_id: [] for job_id in wanted}
        query = sa.select(schema.attempt).where(schema.attempt.c.job_id.in_(wanted))
        for attempt in sorted((_attempt(row) for row in self._rows(query)), key=lambda each: each.number):
            found[attempt.job_id].append(attempt)
        return found

    def live_attempts(self) -> list[AttemptRecord]:
        """Attempts that occupy a region now."""
        over = [str(AttemptState.ENDED), str(AttemptState.POISONED)]
        query = sa.select(schema.attempt).where(schema.attempt.c.state.not_in(over))
        return [_attempt(row) for row in self._rows(query)]

    def events(self, job_id: int | None = None) -> list[dict[str, Any]]:
        """Events in the order in which they were appended, of one job or of all."""
        query = sa.select(schema.event).order_by(schema.event.c.seq)
        if job_id is not None:
            query = query.where(schema.event.c.job_id == job_id)
        return [dict(row._mapping) for row in self._rows(query)]

    def _rows(self, query: sa.Select[Any]) -> list[sa.Row[Any]]:
        try:
            with self._engine.connect() as connection:
                return list(connection.execute(query))
        except sa.exc.DBAPIError as error:
            raise StoreError(f"cannot read the store {self.path}: {database.cause(error)}") from error


class Transaction:
    """The verbs of a writing transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

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
        told = dict(payload)
        _check_integers(told)
        self._connection.execute(
            schema.event.insert().values(
                time_ms=time_ms, kind=kind, job_id=job_id, attempt_id=attempt_id, reason=reason, payload=told
            )
        )

    def add_job(self, job: JobRecord) -> int:
        """Stores a new job and returns its number; the caller appends the event that tells of it."""
        values = {name: _plain(getattr(job, name)) for name in _COLUMNS if name != "id"}
        result = self._connection.execute(schema.job.insert().values(values))
        key = result.inserted_primary_key
        assert key is not None  # noqa: S101 - SQLAlchemy gives it for every single insert
        return int(key[0])

    def skip_numbers(self, up_to: int) -> None:
        """Gives no number up to this one to any later job (SQLite keeps the last one of each table)."""
        last = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
        key = last.c.name == "job"
        found = self._connection.execute(sa.select(last.c.seq).where(key)).scalar()
        if found is None:
            self._connection.execute(last.insert().values(name="job", seq=up_to))
        elif found < up_to:
            self._connection.execute(last.update().where(key).values(seq=up_to))

    def change_job(self, job_id: int, **values: Any) -> None:
        """Sets columns of a job that are not its state."""
        if values:
            plain = {name: _plain(value) for name, value in values.items()}
            self._connection.execute(schema.job.update().where(schema.job.c.id == job_id).values(plain))

    def move_job(self, job_id: int, to: JobState, reason: str, time_ms: int, **values: Any) -> None:
        """Moves a job to a state, with the reason; other columns may be set in the same breath."""
        state = JobState(self._scalar(schema.job.c.state, schema.job.c.id == job_id))
        if to not in JOB_MOVES[state]:
            raise MoveError(f"job {job_id} is {state}: it cannot become {to}")
        self.append(time_ms, "job." + to, job_id=job_id, reason=reason)
        self.change_job(job_id, state=to, since_ms=time_ms, reason=reason, **values)

    def add_attempt(self, attempt: AttemptRecord) -> None:
        """Commits that an attempt may be launched."""
        values = {field.name: _plain(getattr(attempt, field.name)) for field in fields(AttemptRecord)}
        self._connection.execute(schema.attempt.insert().values(values))
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

    def set_plan(self, job_id: int, plan: Plan, time_ms: int, reason: str) -> None:
        """Records a job's new plan."""
        self.append(time_ms, "plan", plan_record(plan), job_id=job_id, reason=reason)
        self.change_job(job_id, plan=plan)

    def set_settlement(
        self, job_id: int, state: SettlementState, record: dict[str, Any], time_ms: int
    ) -> None:
        """Records a job's account; earlier ones stay in the event table."""
        self.append(time_ms, "settlement." + state, record, job_id=job_id)
        self.change_job(job_id, settlement_state=state, settlement=record)

    def _scalar(self, column: sa.Column[Any], where: sa.ColumnElement[bool]) -> Any:
        return self._connection.execute(sa.select(column).where(where)).scalar_one()


def _plain(value: Any) -> Any:
    match value:
        case Plan():
            return plan_record(value)
        case bool():
            return int(value)
        case Enum():
            return str(value)
        case tuple():
            return list(value)
        case _:
            return value


def _check_integers(value: Any) -> None:
    match value:
        case bool() | float() | None:
            raise TypeError(f"events hold integers and strings only, not {value!r}")
        case dict():
            for each in value.values():
                _check_integers(each)
        case list() | tuple():
            for each in value:
                _check_integers(each)


def _job(row: sa.Row[Any]) -> JobRecord:
    values = dict(row._mapping)
    for name in ("argv", "regions", "exclude_regions", "warnings"):
        values[name] = tuple(values[name])
    for name in ("late", "asked", "stopping", "snapshot", "keeps_env"):
        values[name] = bool(values[name])
    plan = values["plan"]
    return JobRecord(
        **values
        | {
            "state": JobState(values["state"]),
            "settlement_state": SettlementState(values["settlement_state"]),
            "plan": None if plan is None else plan_of(plan),
        }
    )


def _attempt(row: sa.Row[Any]) -> AttemptRecord:
    values = dict(row._mapping)
    changed = {"state": AttemptState(values["state"]), "gpu_uuids": tuple(values["gpu_uuids"])}
    return AttemptRecord(**values | changed)
