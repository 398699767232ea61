"""Limits of users and projects: what is refused at submit, and what has to wait until others have ended."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tidewatt.scheduler.daemon.callers import current, user_name
from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.request_schema import SubmitRequest
from tidewatt.scheduler.server_tables import LimitsTable, LimitTable
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

WAITING = (JobState.WAITING, JobState.HELD, JobState.PAUSED)


@dataclass(frozen=True, slots=True)
class _Holder:
    """Whose limits they are, as a sentence names them."""

    name: str
    project: bool
    limit: LimitTable

    def has(self, job: JobRecord) -> bool:
        return (job.project if self.project else job.user) == self.name

    def __str__(self) -> str:
        return f"the project {self.name}" if self.project else self.name


def check(request: SubmitRequest, limits: LimitsTable, jobs: Iterable[JobRecord]) -> None:
    """Refuses a submission beyond the limits; `jobs` are all that have not ended.

    Raises:
        Refused: The text says which limit, how much of it is in use, and what to do.
    """
    present = list(jobs)
    for holder in _holders(user_name(), request.project, limits):
        _check_gpus(request, holder)
        _check_waiting(request, holder, present)
        _check_priority(request.priority, holder)
    if request.priority > 0 and limits.of_user(user_name()).priority is None:
        _check_raised(request.priority)


def check_priority(priority: int, job: JobRecord, limits: LimitsTable) -> None:
    """Raises Refused where a job may not have that priority."""
    for holder in _holders(job.user, job.project, limits):
        _check_priority(priority, holder)
    if priority > 0 and limits.of_user(job.user).priority is None:
        _check_raised(priority)


def limited(job: JobRecord, limits: LimitsTable) -> bool:
    """Whether only so much of its user's or project's may run at a time: then its start is looked at anew."""
    found = [holder.limit for holder in _holders(job.user, job.project, limits)]
    return any(limit.running is not None or limit.gpus is not None for limit in found)


def blocked(
    job: JobRecord, limits: LimitsTable, live: Iterable[AttemptRecord], jobs: Mapping[int, JobRecord]
) -> str:
    """Why a job may not start now, by the limits of its user and project; "" where it may."""
    running = [jobs[each.job_id] for each in live if each.job_id in jobs]
    for holder in _holders(job.user, job.project, limits):
        theirs = [each for each in running if holder.has(each)]
        limit = holder.limit
        if limit.running is not None and len(theirs) >= limit.running:
            return f"{holder} has {_counted(len(theirs), 'job')} running, and may have {limit.running}"
        gpus = sum(each.gpus for each in theirs)
        if limit.gpus is not None and job.gpus and gpus + job.gpus > limit.gpus:
            return f"{holder} uses {gpus} of {_counted(limit.gpus, 'GPU')}, and it needs {job.gpus}"
    return ""


def _holders(user: str, project: str, limits: LimitsTable) -> Iterator[_Holder]:
    yield _Holder(user, False, limits.of_user(user))
    if project:
        yield _Holder(project, True, limits.of_project(project))


def _check_gpus(request: SubmitRequest, holder: _Holder) -> None:
    most = holder.limit.gpus
    if most is not None and request.gpus > most:
        raise Refused(
            f"it asks for {_counted(request.gpus, 'GPU')}, and {holder} may use {most} at a time: ask for"
            " fewer, or an operator for more"
        )


def _check_waiting(request: SubmitRequest, holder: _Holder, jobs: list[JobRecord]) -> None:
    most = holder.limit.waiting
    there = sum(holder.has(job) and job.state in WAITING for job in jobs)
    new = len(request.array) or 1
    if most is not None and there + new > most:
        more = f"with {new} more it would be {there + new}" if new > 1 else "that is the limit"
        raise Refused(
            f"{holder} has {_counted(there, 'job')} waiting, may have {most}, and {more}: cancel some"
            " (`tidewatt queue` lists them), or submit when some have started"
        )


def _check_priority(priority: int, holder: _Holder) -> None:
    most = holder.limit.priority
    if most is not None and priority > most:
        raise Refused(
            f"a priority of {priority} is above {most}, which is the highest that {holder} may ask for"
        )


def _check_raised(priority: int) -> None:
    """On a shared server nobody goes before others by their own word, unless a limit says that they may."""
    caller = current()
    if caller is not None and not caller.operator:
        raise Refused(
            f"a priority of {priority} is above 0, which only operators give: leave it out, or ask one"
        )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
