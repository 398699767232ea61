"""Jobs as the replay of their queue needs them: without what they ran, and without their accounts' cells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tidewatt.scheduler.jobs import JobState, Need
from tidewatt.scheduler.store import schema
from tidewatt.scheduler.store.json_parts import part

Rows = Callable[[sa.Select[Any]], Sequence[sa.Row[Any]]]


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """A job in the queue of its home; `turn_ms` is when it was submitted, of one that was held: let go.

    `phases` are those of its settlement, none where it has none.
    """

    job_id: int
    home: str
    turn_ms: int
    state: JobState
    need: Need
    duration_ms: int
    ended_ms: int | None
    phases: list[dict[str, Any]]


def turns_since(rows: Rows, since_ms: int) -> list[TurnRecord]:
    """Jobs submitted at or after a time, oldest first."""
    job = schema.job.c
    query = sa.select(
        job.id, job.state, job.gpus, job.gpu_kind, job.cpus, job.mem_mb, job.duration_ms, job.ended_ms,
        part(job.frozen, "home", sa.Text()).label("home"),
        part(job.frozen, "submitted_ms", sa.BigInteger()).label("turn_ms"),
        part(job.settlement, "phases", schema.Json()).label("phases"),
    )  # fmt: skip
    return [
        TurnRecord(
            row.id, row.home, row.turn_ms, JobState(row.state),
            Need(row.gpus, row.gpu_kind, row.cpus, row.mem_mb), row.duration_ms, row.ended_ms,
            row.phases or [],
        )
        for row in rows(query.where(job.submitted_ms >= since_ms).order_by(job.id))
    ]  # fmt: skip
