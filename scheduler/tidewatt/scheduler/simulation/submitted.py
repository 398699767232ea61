"""Jobs as a simulation takes them: what was asked for, and what only the simulation knows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.plan import Ask, Pausing
from tidewatt.scheduler.planning.instants import floor_ms, length_ms, moment


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job: what was `ask`ed for with its estimate, and `work_ms`, how long it really runs at speed 1.

    `submitted_ms` and `due_ms` are the ask's times in Unix milliseconds; no `due_ms`: no deadline.
    """

    ask: Ask
    work_ms: int
    submitted_ms: int
    due_ms: int | None

    @property
    def id(self) -> int:
        """The job's number."""
        return self.ask.job_id


def submitted(ask: Ask, work: timedelta | None = None) -> Submitted:
    """The job of an ask, which really takes `work` (None: as estimated)."""
    due = None if ask.finish_by is None else floor_ms(ask.finish_by)
    return Submitted(ask, max(length_ms(work or ask.duration), 1), floor_ms(ask.submitted), due)


def ordered(jobs: Iterable[Submitted]) -> tuple[Submitted, ...]:
    """The jobs in the order in which they come.

    Raises:
        BadInput: two have one number, or one waits for a job that is not there or comes later.
    """
    found = tuple(sorted(jobs, key=lambda job: (job.submitted_ms, job.id)))
    seen: set[int] = set()
    for job in found:
        if job.id in seen:
            raise BadInput(f"job {job.id} is there twice: give each job a number of its own")
        missing = [other for other in job.ask.after if other not in seen]
        if missing:
            raise BadInput(
                f"job {job.id} waits for job {missing[0]}, which was not submitted before it: correct `after`"
            )
        seen.add(job.id)
    return found


def shifted(jobs: Sequence[Submitted], by_ms: int) -> tuple[Submitted, ...]:
    """The same jobs, submitted and due `by_ms` later."""
    return tuple(_at(job, job.submitted_ms + by_ms) for job in jobs)


def compressed(jobs: Sequence[Submitted], gpus: int, use: float) -> tuple[Submitted, ...]:
    """The jobs with their arrivals drawn together (or apart) so that they use a share of all GPUs on average.

    The time from the first arrival to the last is the GPU time of all jobs over `use * gpus`; order, relative
    distances and slacks stay. Jobs without GPUs count as one unit.

    Raises:
        BadInput: `use` is not between 0 and 1, or all jobs come at one moment.
    """
    if not 0 < use < 1:
        raise BadInput(f"a mean use of {use:g} cannot be had: give a share between 0 and 1, for example 0.5")
    first, last = jobs[0].submitted_ms, jobs[-1].submitted_ms
    if last == first:
        raise BadInput("all jobs come at the same moment: their arrivals cannot be drawn together")
    busy_ms = sum(job.work_ms * max(job.ask.need.gpus, 1) for job in jobs)
    factor = busy_ms / (use * gpus) / (last - first)
    return tuple(_at(job, first + round((job.submitted_ms - first) * factor)) for job in jobs)


def pausable(jobs: Sequence[Submitted], cost: timedelta) -> tuple[Submitted, ...]:
    """The jobs, those that cannot be paused made so: a fifth of `cost` to checkpoint, the rest to restart."""
    cheap = Pausing(checkpoint=cost / 5, restart=cost * 4 / 5)
    return tuple(
        job if job.ask.pausing is not None else replace(job, ask=replace(job.ask, pausing=cheap))
        for job in jobs
    )


def _at(job: Submitted, submitted_ms: int) -> Submitted:
    by = timedelta(milliseconds=submitted_ms - job.submitted_ms)
    ask = job.ask
    moved = replace(
        ask,
        submitted=moment(submitted_ms),
        finish_by=None if ask.finish_by is None else ask.finish_by + by,
        start_by=None if ask.start_by is None else ask.start_by + by,
        release=None if ask.release is None else ask.release + by,
    )
    due = None if job.due_ms is None else job.due_ms + submitted_ms - job.submitted_ms
    return replace(job, ask=moved, submitted_ms=submitted_ms, due_ms=due)
