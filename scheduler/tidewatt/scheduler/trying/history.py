"""What was submitted here and ran: jobs as they were asked for, and how long they really took."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta

from tidewatt.scheduler.daemon.occupancy import ask
from tidewatt.scheduler.daemon.region_board import facts_of
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.plan import Ask
from tidewatt.scheduler.policies.rule import Facts
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

MOST_JOBS = 500  # the newest: a replay of more takes longer than anybody waits for
AT_ONCE = 500
NEVER_RAN = "never ran, or cannot be told how long"
OVER_MOST = f"come before the newest {MOST_JOBS}"
NOT_ENDED = "have not ended yet"


@dataclass(frozen=True, slots=True)
class Past:
    """A job of the history: as it was submitted, how long it ran, and what rules look at of it."""

    key: str
    ask: Ask
    work: timedelta
    facts: Facts


@dataclass(frozen=True, slots=True)
class History:
    """The jobs, oldest first, and how many were left out for which reason."""

    jobs: tuple[Past, ...]
    left_out: Counter[str]


def history(store: Store, since_ms: int, until_ms: int) -> History:
    """All jobs that were submitted in `[since_ms, until_ms)`, ended, and ran."""
    found: list[Past] = []
    left_out: Counter[str] = Counter()
    for page in store.ended(None, AT_ONCE):
        own = [job for job in page if since_ms <= job.submitted_ms < until_ms]
        attempts = store.attempts([job.id for job in own])
        for job in own:
            past = _past(job, attempts[job.id])
            if past is None:
                left_out[NEVER_RAN] += 1
            elif len(found) < MOST_JOBS:
                found.append(past)
            else:
                left_out[OVER_MOST] += 1
        if page[-1].submitted_ms < since_ms:
            break
    open_jobs = store.jobs([JobState.WAITING, JobState.HELD, JobState.RUNNING, JobState.PAUSED])
    left_out[NOT_ENDED] = sum(since_ms <= job.submitted_ms < until_ms for job in open_jobs)
    return History(tuple(reversed(found)), +left_out)


def _past(job: JobRecord, attempts: list[AttemptRecord]) -> Past | None:
    """None for a job that never ran, or of which nobody knows how long."""
    spans = [
        (each.started_ms, each.ended_ms)
        for each in attempts
        if each.started_ms is not None and each.ended_ms is not None and each.ended_ms > each.started_ms
    ]
    if not spans:
        return None
    # a job that pauses goes on in its next attempt, any other begins anew
    lengths = [end - start for start, end in spans]
    ran_ms = sum(lengths) if job.pausing is not None else lengths[-1]
    asked = replace(
        ask(job),
        duration=timedelta(milliseconds=job.duration_ms),
        guard_duration=None if job.guard_ms is None else timedelta(milliseconds=job.guard_ms),
        release=None,
        at_once=False,
        by_lot=False,
        postponed=0,
        after=tuple(sorted(job.predecessors)),
    )
    return Past(job.key, asked, timedelta(milliseconds=ran_ms), facts_of(job))
