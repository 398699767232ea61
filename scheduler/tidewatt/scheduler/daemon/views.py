"""Records as clients see them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tidewatt.backends.clock import moment
from tidewatt.scheduler.accounting.receipt import Settlement
from tidewatt.scheduler.planning.preview import plan_view
from tidewatt.scheduler.schemas import AttemptView, EventView, JobView
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord


def job_view(
    job: JobRecord,
    attempts: Iterable[AttemptRecord],
    events: Iterable[Mapping[str, Any]] = (),
) -> JobView:
    """A job with its attempts, its account and, where given, its history."""
    return JobView(
        id=job.id,
        name=job.name,
        state=job.state,
        since=moment(job.since_ms),
        reason=job.reason,
        user=job.user,
        project=job.project,
        labels=job.labels,
        argv=job.argv,
        cwd=job.cwd,
        submitted=moment(job.submitted_ms),
        finish_by=_moment(job.finish_by_ms),
        start_by=_moment(job.start_by_ms),
        duration_s=job.duration_ms / 1000,
        duration_source=job.duration_source,
        time_limit_s=None if job.time_limit_ms is None else job.time_limit_ms / 1000,
        gpus=job.gpus,
        gpu_kind=job.gpu_kind,
        cpus=job.cpus,
        mem_mb=job.mem_mb,
        stdout=job.stdout,
        stderr=job.stderr,
        plan=None if job.plan is None else plan_view(job.plan),
        at_risk=job.at_risk,
        warnings=job.warnings,
        attempts=tuple(attempt_view(attempt) for attempt in attempts),
        settlement=None if job.settlement is None else Settlement.restored(job.settlement).view(),
        commit=str(job.source.get("commit", "")),
        events=tuple(event_view(event) for event in events),
    )


def job_views(store: Store, jobs: Sequence[JobRecord]) -> list[JobView]:
    """Jobs without their histories."""
    attempts = store.attempts([job.id for job in jobs])
    return [job_view(job, attempts[job.id]) for job in jobs]


def whole_view(store: Store, job: JobRecord) -> JobView:
    """A job with its history."""
    return job_view(job, store.attempts([job.id])[job.id], store.events(job.id))


def attempt_view(attempt: AttemptRecord) -> AttemptView:
    """One try at running a job."""
    return AttemptView(
        attempt_id=attempt.id,
        state=attempt.state,
        region=attempt.region,
        gpu_uuids=attempt.gpu_uuids,
        launched=moment(attempt.launched_ms),
        started=_moment(attempt.started_ms),
        ended=_moment(attempt.ended_ms),
        exit_code=attempt.exit_code,
        signal=attempt.signal,
        reason=attempt.reason,
    )


def event_view(event: Mapping[str, Any]) -> EventView:
    """One line of a job's history; lists and objects of its payload are left to the ledger."""
    flat = {key: value for key, value in event["payload"].items() if isinstance(value, int | str)}
    return EventView(time=moment(event["time_ms"]), kind=event["kind"], reason=event["reason"], detail=flat)


def _moment(time_ms: int | None) -> Any:
    return None if time_ms is None else moment(time_ms)
