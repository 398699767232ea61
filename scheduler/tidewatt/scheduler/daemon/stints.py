"""The ends of stints: how a job is paused there, and whether it still is in time then."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from tidewatt.backends.backend import PauseMode
from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.daemon.resuming import rest_ms
from tidewatt.scheduler.jobs import AttemptState
from tidewatt.scheduler.store.records import JobRecord

LONGEST_STOP = timedelta(hours=1)  # a job that stands still keeps its GPUs from everybody
_RUNS = f"attempt.{AttemptState.RUNNING}"


def cheaper(job: JobRecord, gap: timedelta, *, here: bool) -> PauseMode:
    """How to pause for so long: standing still where that draws less than checkpoint and restart do.

    What it draws meanwhile has to be known, and it goes on `here`.
    """
    record = job.pausing or {}
    if record.get("by") == "stop":
        return PauseMode.STOP
    suspended_mw = record.get("suspended_mw", 0)
    if not here or not suspended_mw or gap > LONGEST_STOP:
        return PauseMode.CHECKPOINT
    stands_mwh = suspended_mw * (gap / timedelta(hours=1))
    usual = job.power_mw / 3_600_000  # milliwatt hours in a millisecond
    saves_mwh = record.get("checkpoint_mwh", usual * record["checkpoint_ms"])
    starts_mwh = record.get("restart_mwh", usual * record["restart_ms"])
    return PauseMode.STOP if stands_mwh < saves_mwh + starts_mwh else PauseMode.CHECKPOINT


def short(job: JobRecord, lasts: timedelta | None) -> bool:
    """A pause shorter than what a checkpoint and a restart take."""
    record = job.pausing or {}
    costs_ms = record.get("checkpoint_ms", 0) + record.get("restart_ms", 0)
    return lasts is not None and lasts < timedelta(milliseconds=costs_ms)


def in_time(job: JobRecord, ran_ms: int, start: datetime, margin: timedelta) -> bool:
    """Whether a job whose attempt ran so long is done by its deadline if it goes on at `start`.

    As far as its estimate says, with the longer one that its deadline is kept with.
    """
    if job.finish_by_ms is None or job.late:
        return True
    left_ms = max(rest_ms(job, max(job.duration_ms, job.guard_ms or 0)) - ran_ms, 0)
    restart_ms = int((job.pausing or {}).get("restart_ms", 0))
    margin_ms = margin // timedelta(milliseconds=1)
    return time_ms(start) + left_ms + restart_ms + margin_ms <= job.finish_by_ms


def stint_end(job: JobRecord, region: str, pool: str) -> datetime | None:
    """When an attempt that runs there is planned to pause; None for one that is to run to its end."""
    plan = job.plan
    if plan is None or len(plan.stints) < 2 or job.paused:
        return None
    first = plan.stints[0]
    return first.window.end if (first.region, first.pool) == (region, pool) else None


def running_ms(events: Iterable[Mapping[str, Any]], attempt_id: str, now_ms: int) -> int:
    """How long an attempt has been running by now, pauses left out, as its job's events tell."""
    ran_ms, since_ms = 0, None
    for event in events:
        if event["attempt_id"] != attempt_id or not str(event["kind"]).startswith("attempt."):
            continue
        at_ms = event["payload"].get("started_ms", event["time_ms"])
        if event["kind"] == _RUNS:
            since_ms = at_ms if since_ms is None else since_ms
        elif since_ms is not None:
            ran_ms, since_ms = ran_ms + event["time_ms"] - since_ms, None
    return ran_ms if since_ms is None else ran_ms + now_ms - since_ms
