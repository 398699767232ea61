"""Records as clients see them."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tidewatt.backends.clock import moment
from tidewatt.scheduler.accounting.holdout import Lot
from tidewatt.scheduler.accounting.receipt import Settlement
from tidewatt.scheduler.daemon.premises import embodied_view
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.planning.preview import plan_view
from tidewatt.scheduler.schemas import ArrayView, AttemptView, EventView, JobView, KindView, SettlementView
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

_NO_JOBS: Mapping[int, JobRecord] = MappingProxyType({})
_NO_TASKS: Mapping[str, int] = MappingProxyType({})
_NO_COUNTS: Mapping[int, Mapping[str, int]] = MappingProxyType({})


def job_view(
    job: JobRecord,
    attempts: Iterable[AttemptRecord],
    events: Iterable[Mapping[str, Any]] = (),
    known: Mapping[int, JobRecord] = _NO_JOBS,
    tasks: Mapping[str, int] = _NO_TASKS,
) -> JobView:
    """A job with its attempts, its account and, where given, its history.

    `known` are its predecessors, `tasks` counts those of the array that it stands for.
    """
    lot, attempts = Lot.of(job.frozen), list(attempts)
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
        settlement=_account(job, attempts),
        commit=str(job.source.get("commit", "")),
        events=tuple(event_view(event) for event in events),
        key=job.key,
        array=job.array,
        array_task=job.array_task,
        array_size=job.array_size,
        array_limit=job.array_limit,
        tasks=dict(tasks),
        after=_called(job.after, known),
        after_any=_called(job.after_any, known),
        priority=job.priority,
        retries=job.retries,
        retried=job.retried,
        not_before=_moment(job.not_before_ms),
        kinds=tuple(KindView(kind=each.kind, speed=each.speed, power=each.power) for each in job.kinds),
        data_gb=job.data_mb / 1000,
        postponed=job.postponed,
        pausable=bool(job.pausing and job.pausing.get("by")),
        paused=job.paused,
        progress_s=job.progress_ms / 1000,
        guard_s=None if job.guard_ms is None else job.guard_ms / 1000,
        lot="" if lot is None else lot.arm.told,
    )


def _account(job: JobRecord, attempts: list[AttemptRecord]) -> SettlementView | None:
    """The account, and beside it the job's share of what making its hardware emitted."""
    if job.settlement is None:
        return None
    account = Settlement.restored(job.settlement, cells=False).view()
    return account.model_copy(update={"embodied": embodied_view(job, attempts)})


def job_views(
    store: Store, jobs: Sequence[JobRecord], tasks: Mapping[int, Mapping[str, int]] = _NO_COUNTS
) -> list[JobView]:
    """Jobs without their histories; `tasks` counts, by their numbers, those of arrays that they stand for."""
    attempts = store.attempts([job.id for job in jobs])
    known = _predecessors(store, jobs)
    return [job_view(job, attempts[job.id], (), known, tasks.get(job.id, {})) for job in jobs]


def whole_view(store: Store, job: JobRecord) -> JobView:
    """A job with its history."""
    return job_view(job, store.attempts([job.id])[job.id], store.events(job.id), _predecessors(store, [job]))


def array_view(jobs: Sequence[JobRecord], views: Iterable[JobView]) -> ArrayView:
    """An array of these tasks."""
    first = jobs[0]
    states = [job.state for job in jobs]
    plans = [job.plan for job in jobs if job.plan is not None and job.state is not JobState.CANCELLED]
    return ArrayView(
        id=first.array,
        key=str(first.array),
        name=first.name,
        state=_state_of_all(states),
        reason="",
        size=first.array_size,
        limit=first.array_limit,
        tasks={state: states.count(state) for state in JobState if state in states},
        start=min((plan.window.start for plan in plans), default=None),
        end=max((plan.window.end for plan in plans), default=None),
        expected_g=_sum(plan.expected_g for plan in plans),
        immediate_g=_sum(plan.immediate_g for plan in plans),
        jobs=tuple(views),
    )


def _state_of_all(states: Sequence[JobState]) -> JobState:
    """The state of the whole: what still goes on comes first, then what did not go well."""
    order = (
        JobState.RUNNING, JobState.PAUSED, JobState.WAITING, JobState.HELD,
        JobState.FAILED, JobState.CANCELLED, JobState.DONE,
    )  # fmt: skip
    return next(state for state in order if state in states)


def _sum(grams: Iterable[float | None]) -> float | None:
    found = list(grams)
    known = [each for each in found if each is not None]
    return sum(known) if known and len(known) == len(found) else None


def _predecessors(store: Store, jobs: Iterable[JobRecord]) -> Mapping[int, JobRecord]:
    wanted = {number for job in jobs for number in job.predecessors}
    return store.numbered(wanted) if wanted else _NO_JOBS


def _called(numbers: Sequence[int], known: Mapping[int, JobRecord]) -> tuple[str, ...]:
    """What jobs are called; all tasks of an array by its number."""
    found: dict[str, list[str]] = {}
    for number in numbers:
        job = known.get(number)
        key = str(number) if job is None else job.key
        whole = str(job.array) if job is not None and job.array else key
        found.setdefault(whole, []).append(key)
    sizes = {str(job.array): job.array_size for job in known.values() if job.array}
    return tuple(
        key for whole, keys in found.items() for key in ([whole] if len(keys) == sizes.get(whole) else keys)
    )


def attempt_view(attempt: AttemptRecord) -> AttemptView:
    """One try at running a job, with what was frozen when it was launched."""
    factors = attempt.factors
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
        zones=factors.get("zones", {}),
        gpu_model=factors.get("gpu_model", ""),
        cpu_model=factors.get("cpu_model", ""),
        site=factors.get("site", ""),
        cloud=factors.get("cloud"),
        replay_factor=factors.get("replay_factor_milli", 1000) / 1000,
        backend=attempt.backend,
    )


def event_view(event: Mapping[str, Any]) -> EventView:
    """One line of a job's history; lists and objects of its payload are left to the ledger."""
    flat = {key: value for key, value in event["payload"].items() if isinstance(value, int | str)}
    return EventView(time=moment(event["time_ms"]), kind=event["kind"], reason=event["reason"], detail=flat)


def _moment(time_ms: int | None) -> Any:
    return None if time_ms is None else moment(time_ms)
