"""Whether a failed job is tried again, and when."""

from dataclasses import dataclass

from tidewatt.backends.backend import AttemptStatus, StopReason
from tidewatt.backends.clock import moment
from tidewatt.scheduler.daemon.site import HOST
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

FIRST_PAUSE_MS = 2_000  # a hiccup is over soon
GROWTH = 5
LONGEST_PAUSE_MS = 600_000  # what lasts longer needs its owner
MOST_PREEMPTED = 5  # so often a job whose place was taken away is tried again at no cost


@dataclass(frozen=True, slots=True)
class Retry:
    """The next try of a job that failed: not before a time, in words; `counts` uses up one of its retries."""

    not_before_ms: int
    reason: str
    counts: bool = True
    preempted: bool = False


def retry(
    job: JobRecord,
    attempt: AttemptRecord,
    state: JobState,
    reason: str,
    status: AttemptStatus,
    ended_ms: int,
    margin_ms: int,
    due_ms: int | None = None,
) -> Retry | None:
    """The next try, None where there is none; its pause is cut short where a deadline asks for that.

    `due_ms` is when it has to end for what follows it to be in time, None where nothing follows that has to.
    A job that ran into its time limit is not tried again: it would run into it again. Nor is one that
    somebody cancelled, nor one whose end nobody saw elsewhere: it may have been done, or run still.
    """
    stopped = status.stopped in (StopReason.TIME_LIMIT, StopReason.CANCELLED)
    unseen = status.exit_code is None and status.signal is None and status.stopped is None
    lost = unseen and attempt.backend != HOST
    if state is not JobState.FAILED or job.stopping or stopped or lost or job.retried >= job.retries:
        return None
    pause_ms = min(FIRST_PAUSE_MS * GROWTH**job.retried, LONGEST_PAUSE_MS)
    latest_ms = _latest_start_ms(job, due_ms)
    at_ms = ended_ms + pause_ms
    if latest_ms is not None:
        at_ms = max(ended_ms + FIRST_PAUSE_MS, min(at_ms, latest_ms - margin_ms))
    return Retry(
        at_ms,
        f"failed ({reason}): tried again, {job.retried + 1} of {job.retries},"
        f" not before {moment(at_ms):%H:%M:%S} UTC",
    )


def _latest_start_ms(job: JobRecord, due_ms: int | None) -> int | None:
    limits = [] if job.start_by_ms is None else [job.start_by_ms]
    limits += [] if job.finish_by_ms is None else [job.finish_by_ms - (job.guard_ms or job.duration_ms)]
    limits += [] if due_ms is None else [due_ms - (job.guard_ms or job.duration_ms)]
    return min(limits, default=None)
