"""Jobs that were paused: what is left of them, how they stand, and what their next attempt is given."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from tidewatt.backends.backend import AttemptStatus, Launch, PauseMode, StopReason
from tidewatt.backends.ending import span
from tidewatt.scheduler.daemon.progressing import Kept, kept
from tidewatt.scheduler.jobs import AttemptState, JobState
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.pausing_schema import Record, pausing_of, terms_of
from tidewatt.scheduler.plan import Ask, Plan, Window
from tidewatt.scheduler.store import Transaction
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

OWNER, PLAN = "owner", "plan"
LEAST_REST_MS = 60_000  # a job that needs longer than it said is given a little more
_OF_ONE_PAUSE = ("wanted", "attempt", "until_ms", "stays", "carried")


def has_run(job: JobRecord) -> bool:
    """True where an attempt of it was paused and another one is to go on."""
    return bool(job.pausing and job.pausing.get("last"))


def rest_ms(job: JobRecord, length_ms: int | None = None) -> int:
    """How long the job still takes on hardware of speed 1, its restart included.

    `length_ms` is what the whole job takes, else its estimate.
    """
    length_ms = job.duration_ms if length_ms is None else length_ms
    if not has_run(job):
        return length_ms
    assert job.pausing is not None  # noqa: S101 - it has run
    left_ms = max(length_ms - job.progress_ms, length_ms // 20, LEAST_REST_MS)
    return min(left_ms, length_ms) + int(job.pausing.get("restart_ms", 0))


def rest(job: JobRecord, asked: Ask) -> Ask:
    """What a job that may pause asks of the planner: of a paused one what is left of it.

    One that may not move goes on where it was, unless its owner has named other regions since.
    """
    asked = replace(asked, pausing=pausing_of(job.pausing))
    if not has_run(job) or job.pausing is None:
        return asked
    guard = asked.guard_duration
    longer = None if guard is None else _length(rest_ms(job, guard // timedelta(milliseconds=1)))
    here, moves = str(job.pausing["region"]), bool(job.pausing.get("moves"))
    named = bool(asked.regions) and here not in asked.regions
    stays = (not moves and not named) or bool(job.pausing.get("stays"))
    return replace(
        asked,
        home=here,  # its data are there
        data_gb=asked.data_gb + job.pausing.get("bytes", 0) / 1e9,
        duration=_length(rest_ms(job)),
        guard_duration=longer,
        regions=(here,) if stays else asked.regions,
        start_by=None,  # it has started
    )


def prepared(
    launch: Launch, job: JobRecord, earlier: Sequence[AttemptRecord], paths: Paths, place: str = ""
) -> Launch:
    """The launch with how it is paused, what it goes on from, and what is left of its time limit.

    `place` is where its region keeps checkpoints, "" for the job's own folder.
    """
    record, limit_s = job.pausing, launch.time_limit_s
    last = str((record or {}).get("last", ""))
    terms = terms_of(record)
    if terms is not None and place and "://" not in place:
        host, sign, folder = place.partition(":")
        there = folder if sign and "/" not in host else place  # as that host calls it
        terms = replace(terms, folder=str(Path(there) / checkpoint_name(job)))
    if limit_s is not None:
        limit_s = max(1.0, limit_s - used_ms(earlier, last) / 1000)
    resumes = paths.job(job.id) / last.rpartition(".")[2] if last else None
    return replace(launch, pausing=terms, resumes=resumes, time_limit_s=limit_s)


def origin_factors(job: JobRecord) -> dict[str, str]:
    """For the factors of an attempt: which earlier one it goes on from; nothing for a fresh start."""
    last = str((job.pausing or {}).get("last", ""))
    return {"resumes": last} if last else {}


def checkpoint_name(job: JobRecord) -> str:
    """What the folder of its checkpoints is called where a region keeps those of all jobs."""
    return f"job-{job.id}"


def used_ms(earlier: Sequence[AttemptRecord], last: str) -> int:
    """How long attempts have taken of the time limit of the one that goes on from `last`, each from another.

    Those that failed, or were taken away with all their work, have taken nothing: it is done anew.
    """
    by_id, used = {each.id: each for each in earlier}, 0
    while (attempt := by_id.pop(last, None)) is not None:
        if attempt.started_ms is not None and attempt.ended_ms is not None:
            used += attempt.ended_ms - attempt.started_ms
        last = str(attempt.factors.get("resumes", ""))
    return used


def owner_waits(job: JobRecord) -> bool:
    """Whether its owner wants it paused: so it stays, whatever becomes of its attempt meanwhile."""
    return job.paused == OWNER and (job.pausing or {}).get("wanted") != "resume"


def follow(transaction: Transaction, job: JobRecord, state: AttemptState, now_ms: int) -> None:
    """Moves the job with its attempt: paused while that stands still, running when it goes on."""
    if state is AttemptState.SUSPENDED and job.state is JobState.RUNNING:
        by = job.paused or PLAN
        transaction.move_job(job.id, JobState.PAUSED, f"stopped, by its {by}", now_ms, paused=by)
    elif state in (AttemptState.RUNNING, AttemptState.RESUMING) and job.state is JobState.PAUSED:
        awake(transaction, job, now_ms)


def awake(transaction: Transaction, job: JobRecord, now_ms: int) -> None:
    """A job whose attempt stood still has gone on, or ended: it is running, or was until now."""
    if job.state is JobState.PAUSED:
        record = settled(job.pausing)
        transaction.move_job(job.id, JobState.RUNNING, "goes on", now_ms, paused="", pausing=record)


def after(
    transaction: Transaction,
    job: JobRecord,
    attempt: AttemptRecord,
    status: AttemptStatus,
    marks: Mapping[str, Any],
    left: Mapping[str, Any] | None,
    *,
    speed: float,
    now_ms: int,
) -> Kept:
    """After an attempt that was paused or preempted: the job waits for its next one, or for its owner.

    Its progress is what was kept; where that is less than was done, the loss is told. `left` is what
    `progressing.read` found of its checkpoint.
    """
    record = dict(job.pausing or {})
    started_ms = attempt.started_ms or status.started_ms or now_ms
    ended_ms = status.ended_ms or now_ms
    restart_ms = int(record.get("restart_ms", 0)) if has_run(job) else 0
    found = kept(status, started_ms, ended_ms, marks, left, speed=speed, restart_ms=restart_ms)
    paused = status.stopped is StopReason.PAUSED
    progress_ms = job.progress_ms + found.ms
    transaction.append(
        now_ms, "progress", {**found.record(), "progress_ms": progress_ms},
        job_id=job.id, attempt_id=attempt.id, reason=_in_words(found),
    )  # fmt: skip
    new = settled(record) or {}
    new["region"] = attempt.region
    if found.whole or found.ms or (paused and record.get("last")):
        new["last"] = attempt.id
    if found.bytes is not None:
        new["bytes"] = found.bytes  # of what moves with it
    if paused:
        new["pauses"] = int(record.get("pauses", 0)) + 1
    if paused and not found.whole:
        _warn(transaction, job, attempt, status, found, now_ms)
    by = job.paused or PLAN
    _stand(transaction, job, status, by if paused or owner_waits(job) else PLAN, now_ms, progress_ms, new)
    return found


def settled(record: Mapping[str, Any] | None) -> Record | None:
    """The record when a pause is over, or was given up."""
    if record is None:
        return None
    return {name: value for name, value in record.items() if name not in _OF_ONE_PAUSE}


def later(plan: Plan | None) -> Plan | None:
    """What is left of a plan with stints when the first of them is over; None where nothing is."""
    if plan is None or len(plan.stints) < 2:
        return None
    stints = plan.stints[1:]
    window = Window(stints[0].window.start, plan.window.end)
    whole = () if len(stints) == 1 else stints
    return replace(plan, region=stints[0].region, pool=stints[0].pool, window=window, stints=whole)


def _stand(
    transaction: Transaction,
    job: JobRecord,
    status: AttemptStatus,
    by: str,
    now_ms: int,
    progress_ms: int,
    record: Record,
) -> None:
    """The job's state after it: paused for its owner, else waiting for what the plan says next."""
    values: dict[str, Any] = {"progress_ms": progress_ms, "pausing": record, "at_risk": ""}
    if by == OWNER:
        until_ms = (job.pausing or {}).get("until_ms")
        values["pausing"] = record if until_ms is None else {**record, "until_ms": until_ms}
        reason = status.reason or "paused by its owner: `tidewatt resume` lets it go on"
        transaction.move_job(job.id, JobState.PAUSED, reason, now_ms, plan=None, paused=OWNER, **values)
        return
    reason = status.reason or str(status.stopped or "paused")
    transaction.move_job(job.id, JobState.PAUSED, reason, now_ms)
    words = "its work is kept: another attempt goes on with it"
    rest_plan = later(job.plan)
    transaction.move_job(job.id, JobState.WAITING, words, now_ms, plan=None, paused=PLAN, **values)
    if rest_plan is not None:
        transaction.set_plan(job.id, rest_plan, now_ms, "what is left of its plan")


def _warn(
    transaction: Transaction,
    job: JobRecord,
    attempt: AttemptRecord,
    status: AttemptStatus,
    found: Kept,
    now_ms: int,
) -> None:
    sentence = f"attempt {attempt.id}: {status.reason or 'no whole checkpoint'}; {_in_words(found)}"
    transaction.append(now_ms, "warning", job_id=job.id, attempt_id=attempt.id, reason=sentence)
    transaction.change_job(job.id, warnings=(*job.warnings, sentence))


def _in_words(found: Kept) -> str:
    lost = f", {span(round(found.lost_ms / 1000))} lost" if found.lost_ms else ""
    return f"{span(round(found.ms / 1000))} of work kept{lost}"


def _length(ms: int) -> timedelta:
    return timedelta(milliseconds=ms)


def mode_of(text: str) -> PauseMode:
    """The mode that a record or a request names."""
    return PauseMode(text)
