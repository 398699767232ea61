"""Accounts of ended jobs as reports read them: without the cells and phases of each, which are most of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tidewatt.scheduler.jobs import ENDED, AttemptState, JobState
from tidewatt.scheduler.store import schema
from tidewatt.scheduler.store.json_parts import part, without

Rows = Callable[[sa.Select[Any]], Sequence[sa.Row[Any]]]


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """A job that ended; `region` is that of its last attempt, "" where it had none.

    `settlement` lacks `profile` and `phases`; `lot` is empty where none was drawn.
    """

    job_id: int
    user: str
    project: str
    labels: dict[str, str]
    array: int
    ended_ms: int
    region: str
    signal: str
    lot: dict[str, Any]
    settlement: dict[str, Any] | None


def accounts_since(rows: Rows, since_ms: int, uid: int | None = None) -> list[AccountRecord]:
    """Jobs that ended at or after a time, oldest first; with `uid`, those of that user only."""
    job, attempt = schema.job.c, schema.attempt.c
    parts = (job.id, job.user, job.project, job.labels, job.array, job.ended_ms)
    query = sa.select(
        *parts,
        part(job.frozen, "signal", sa.Text()).label("signal"),
        part(job.frozen, "lot", schema.Json()).label("lot"),
        without(job.settlement, "profile", "phases", type_=schema.Json()).label("settlement"),
    )
    places = sa.select(attempt.job_id, attempt.region).join_from(schema.attempt, schema.job)
    places = places.where(job.ended_ms >= since_ms).order_by(attempt.launched_ms)
    regions = {row.job_id: row.region for row in rows(places)}
    if uid is not None:
        query = query.where(job.uid == uid)
    return [
        AccountRecord(
            row.id, row.user, row.project, row.labels, row.array, row.ended_ms,
            regions.get(row.id, ""), row.signal or "", row.lot or {}, row.settlement,
        )
        for row in rows(query.where(job.ended_ms >= since_ms).order_by(job.id))
    ]  # fmt: skip


def not_over(rows: Rows, since_ms: int, uid: int | None = None) -> tuple[int, int]:
    """Jobs that ran at or after a time and have not ended for good, and how many tries of theirs did then.

    With `uid`, those of that user only.
    """
    job, attempt = schema.job.c, schema.attempt.c
    counts: list[Any] = [
        sa.func.count(attempt.job_id.distinct()).label("jobs"),
        sa.func.count(attempt.ended_ms).label("tries"),
    ]
    query = sa.select(*counts).join_from(schema.job, schema.attempt)
    if uid is not None:
        query = query.where(job.uid == uid)
    [found] = rows(
        query.where(
            job.state.in_([str(state) for state in JobState if state not in ENDED]),  # by its index
            attempt.started_ms.is_not(None),
            attempt.state != str(AttemptState.POISONED),
            sa.or_(attempt.ended_ms.is_(None), attempt.ended_ms >= since_ms),
        )
    )
    return found.jobs, found.tries
