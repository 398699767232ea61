"""Jobs that start after others: whom they wait for, and what becomes of them when those have ended."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from tidewatt.backends.clock import moment
from tidewatt.scheduler.array import parse_key
from tidewatt.scheduler.daemon.naming import named
from tidewatt.scheduler.daemon.occupancy import ask
from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.jobs import ENDED, JobState
from tidewatt.scheduler.plan import Ask
from tidewatt.scheduler.planning.speeds import Speeds
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.request_schema import PlanRequest
from tidewatt.scheduler.store import Store, Transaction
from tidewatt.scheduler.store.records import JobRecord
from tidewatt.scheduler.when import short

WAITING = (JobState.WAITING, JobState.HELD)


def predecessors(request: PlanRequest, store: Store) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Numbers of the jobs that have to be done before, and of those that have to have ended, however.

    Raises:
        BadInput: where one of them does not exist.
        Refused: where one that has to be done before never will be.
    """
    done = [job for key in request.after for job in named(parse_key(key), store)]
    ended = [job for key in request.after_any for job in named(parse_key(key), store)]
    for job in done:
        if job.state in (JobState.FAILED, JobState.CANCELLED):
            raise Refused(
                f"{_became(job.key, job.state)}: run that again first, or give --after any:{job.key}"
            )
    return _numbers(done), _numbers(ended)


def waits(job: JobRecord, store: Store) -> str:
    """Why the job may not start yet, by what is stored now; "" where it may."""
    if not job.predecessors:
        return ""
    found = store.numbered(job.predecessors)
    for number in sorted(job.predecessors):
        other = found.get(number)
        if other is None:  # lost with an older store: it will never come back
            continue
        if other.state not in ENDED:
            return f"it waits for job {other.key}, which is {other.state}"
        if other.state is not JobState.DONE and number in job.after:
            return _became(other.key, other.state)
    return ""


def held_back(waiting: Sequence[JobRecord], held: Iterable[int]) -> set[int]:
    """Waiting jobs that cannot be planned: jobs before them are held, or wait for held ones themselves."""
    stuck, found = set(held), set[int]()
    while more := {job.id for job in waiting if job.id not in found and job.predecessors & stuck}:
        found |= more
        stuck = more
    return found


def too_late(
    asked: Ask,
    not_ended: Mapping[int, JobRecord],
    ends: Mapping[int, datetime],
    now: datetime,
    regions: Sequence[Region],
) -> str:
    """Why the deadline cannot be kept after the jobs before it, even if nothing else ran; "" where it can.

    `ends` are when running jobs are expected to end; what is held might be released at once. All of them get
    the fastest GPUs of these regions that suit them.
    """
    if asked.late or not any(number in not_ended for number in asked.after):
        return ""
    speeds = Speeds(regions)
    soonest = _soonest(now, not_ended, ends, speeds)
    last = max((number for number in asked.after if number in soonest), key=lambda number: soonest[number])
    end = soonest[last]
    name = f"job {not_ended[last].key}, after which it is to run, cannot end before {_utc(end)}"
    if asked.start_by is not None and end > asked.start_by:
        return f"{name}, which is later than --start-by {_utc(asked.start_by)}: give a later --start-by"
    takes = asked.duration / speeds.fastest(asked)
    if asked.finish_by is not None and end + takes > asked.finish_by:
        return (
            f"{name}, and then {short(takes)} do not fit before --finish-by"
            f" {_utc(asked.finish_by)}: give a later --finish-by, or --late"
        )
    return ""


def settle_followers(
    transaction: Transaction, store: Store, ended: Mapping[int, tuple[str, JobState]], now_ms: int
) -> list[int]:
    """Cancels jobs that can never run since these ended as they did, and lets others take their turn.

    `ended` maps the number of a job that ends in this transaction to its key and state. Returns the numbers
    of the cancelled ones, whose environments are to be deleted when all of it is durable.
    """
    followers = [job for job in store.jobs(WAITING) if job.predecessors and job.id not in ended]
    news, cancelled = dict(ended), list[int]()
    while news:
        lost = {job.id: job for job in followers if _needs(job, news) and job.id not in cancelled}
        for job in lost.values():
            transaction.move_job(
                job.id, JobState.CANCELLED, _lost(job, news), now_ms, keeps_env=False, at_risk="", plan=None
            )
        cancelled += lost
        news = {number: (job.key, JobState.CANCELLED) for number, job in lost.items()}
        ended = {**ended, **news}
    _free(transaction, store, [job for job in followers if job.id not in cancelled], ended, now_ms)
    return cancelled


def lost_with(store: Store, ending: Iterable[int]) -> list[JobRecord]:
    """The waiting jobs that can never run once these end without being done, one behind another too."""
    gone, found = set(ending), list[JobRecord]()
    followers = [job for job in store.jobs(WAITING) if job.after and job.id not in gone]
    for job in sorted(followers, key=lambda each: each.id):  # a job's predecessors have lower numbers
        if gone.intersection(job.after):
            gone.add(job.id)
            found.append(job)
    return found


def _needs(job: JobRecord, ended: Mapping[int, tuple[str, JobState]]) -> bool:
    """True where one of the jobs that it needs done ended otherwise."""
    return any(number in ended and ended[number][1] is not JobState.DONE for number in job.after)


def _lost(job: JobRecord, ended: Mapping[int, tuple[str, JobState]]) -> str:
    number = next(each for each in job.after if each in ended and ended[each][1] is not JobState.DONE)
    return _became(*ended[number])


def _became(key: str, state: JobState) -> str:
    """What became of a job that was needed."""
    became = "failed" if state is JobState.FAILED else "was cancelled"
    return f"job {key}, after which it was to run, {became}"


def _free(
    transaction: Transaction,
    store: Store,
    followers: Sequence[JobRecord],
    ended: Mapping[int, tuple[str, JobState]],
    now_ms: int,
) -> None:
    """Has the turn of those that wait for nobody any more begin now: what came before is not their delay."""
    asked = [job for job in followers if job.predecessors & ended.keys()]
    unfinished = store.not_ended(number for job in asked for number in job.predecessors) - ended.keys()
    for job in asked:
        if not job.predecessors & unfinished:
            frozen = {**job.frozen, "submitted_ms": now_ms}
            transaction.append(now_ms, "may start", {"frozen": frozen}, job_id=job.id, reason=_freed(ended))
            transaction.change_job(job.id, frozen=frozen)


def _freed(ended: Mapping[int, tuple[str, JobState]]) -> str:
    key, state = next(iter(ended.values()))
    return f"job {key} is {state}, and it waits for no other"


def _soonest(
    now: datetime, not_ended: Mapping[int, JobRecord], ends: Mapping[int, datetime], speeds: Speeds
) -> dict[int, datetime]:
    """When each job can have ended at the soonest: after those before it, on its fastest GPUs."""
    found: dict[int, datetime] = {}
    for number in sorted(not_ended):  # a job's predecessors have lower numbers
        job = not_ended[number]
        again = now if job.not_before_ms is None else moment(job.not_before_ms)
        start = max([now, again, *(found[each] for each in job.predecessors if each in found)])
        end = start + timedelta(milliseconds=job.duration_ms) / speeds.fastest(ask(job))
        found[number] = ends.get(number, end)
    return found


def _numbers(jobs: Iterable[JobRecord]) -> tuple[int, ...]:
    return tuple(sorted({job.id for job in jobs}))


def _utc(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
