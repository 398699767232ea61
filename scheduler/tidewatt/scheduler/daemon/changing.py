"""What clients may change of jobs; of an array, of all its tasks that allow it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.array import parse_key
from tidewatt.scheduler.daemon import intake, limiting, policing
from tidewatt.scheduler.daemon.admission import Admitted, admit_all
from tidewatt.scheduler.daemon.asking import let_go
from tidewatt.scheduler.daemon.budgeting import HELD
from tidewatt.scheduler.daemon.callers import operator_only
from tidewatt.scheduler.daemon.environments import forget
from tidewatt.scheduler.daemon.naming import named
from tidewatt.scheduler.daemon.predecessors import lost_with, settle_followers, too_late
from tidewatt.scheduler.daemon.refusing import without
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import ENDED, JobState
from tidewatt.scheduler.planning.terms import check
from tidewatt.scheduler.request_schema import UpdateRequest
from tidewatt.scheduler.schemas import ArrayView, JobView
from tidewatt.scheduler.store.records import JobRecord

NOT_STARTED = (JobState.WAITING, JobState.HELD)


class Changes:
    """The verbs by which jobs are changed, under the service's lock."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._site, self._store = service.site, service.store

    def update(self, key: str, request: UpdateRequest) -> JobView | ArrayView:
        """Changes what jobs that have not started ask for, and plans them again."""
        with self._service.lock:
            jobs = self._movable(key, "changed", (*NOT_STARTED, JobState.PAUSED))
            intake.check_names(request.name, request.project)
            for job in jobs if request.priority is not None else ():
                limiting.check_priority(request.priority or 0, job, self._site.board.settings.limits)
            changes = {job.id: _changed(job, request) for job in jobs}
            found = self._service.queue(without=changes)
            later = [replace(job, **changes[job.id]) for job in jobs]
            asks = [policing.asked(self._site, job, found.not_ended) for job in later]
            for each in asks:
                check(each, self._site.regions, found.now)
                if sentence := too_late(each, found.not_ended, found.ends, found.now, self._site.regions):
                    raise BadInput(sentence)
            free = [
                each
                for job, each in zip(jobs, asks, strict=True)
                if job.state is JobState.WAITING and job.id not in found.stuck
            ]
            for job in jobs:
                self._site.refusals.forget(job.id)
            admitted = admit_all(free, self._service.situation(found, free)) if free else Admitted()
            now_ms = time_ms(found.now)
            with self._store.transaction() as transaction:
                for job in jobs:
                    changed = changes[job.id]
                    told = {name: _plain(value) for name, value in changed.items() if value is not None}
                    reason = ", ".join(sorted(changed))
                    transaction.append(now_ms, "updated", told, job_id=job.id, reason=reason)
                    transaction.change_job(job.id, **changed, warnings=without(job.warnings))
                for job_id, plan in admitted.plans.items():
                    transaction.set_plan(job_id, plan, now_ms, "updated")
                    transaction.change_job(job_id, at_risk="")
                self._service.move_others(transaction, admitted, found.now, f"job {key} was changed")
        return self._done(key, "changed")

    def cancel(self, key: str) -> JobView | ArrayView:
        """Ends jobs: at once while they wait, with stop signal and grace period while they run."""
        with self._service.lock:
            jobs = self._named(key)
            going = [job for job in jobs if job.state not in ENDED]
            if not going:
                raise Refused(f"job {key} is {jobs[0].state} already: there is nothing to cancel")
            live = {each.job_id for each in self._store.live_attempts()}
            running = [job for job in going if job.id in live]
            waiting = {job.id: job for job in going if job.id not in live}  # or paused without an attempt
            also = lost_with(self._store, [job.id for job in going])
            now_ms, over = self._now_ms(), list(waiting)
            tries = self._store.attempts(waiting)
            with self._store.transaction() as transaction:
                for job in running:
                    transaction.append(now_ms, "cancel asked", job_id=job.id)
                    transaction.change_job(job.id, stopping=True)
                for number in waiting:
                    # what an earlier attempt of it used is accounted for, as of a job that ran and ended
                    ran = any(each.started_ms is not None for each in tries[number])
                    reason = f"cancelled before it started{' again' if ran else ''}"
                    told: dict[str, Any] = {"ended_ms": now_ms} if ran else {}
                    transaction.move_job(
                        number, JobState.CANCELLED, reason, now_ms, keeps_env=False, at_risk="", **told
                    )
                ended = {number: (job.key, JobState.CANCELLED) for number, job in waiting.items()}
                over += settle_followers(transaction, self._store, ended, now_ms)
            for job in running:
                self._service.watcher.stop(job)
            for job in waiting.values():
                let_go(self._site, self._store, self._service.watcher.polls, job)
            forget(self._store, self._site.paths, over)
        done = self._done(key, "cancelled")
        return done.model_copy(update={"also": tuple(job.key for job in also)})

    def hold(self, key: str) -> JobView | ArrayView:
        """Keeps waiting jobs from starting until they are released; their place is given to others."""
        with self._service.lock:
            jobs = self._movable(key, "held")
            with self._store.transaction() as transaction:
                for job in jobs:
                    if job.state is JobState.WAITING:
                        transaction.move_job(
                            job.id, JobState.HELD, "held by its owner", self._now_ms(),
                            plan=None, at_risk="", asked=False,
                        )  # fmt: skip
        return self._done(key, "held")

    def release(self, key: str) -> JobView | ArrayView:
        """Lets held jobs go: planned among all that wait now, in turn from now on.

        Raises:
            Refused: where a deadline cannot be met any more and `late` was not accepted.
        """
        with self._service.lock:
            jobs = self._named(key)
            held = [job for job in jobs if job.state is JobState.HELD]
            if any(job.reason == HELD for job in held):
                operator_only("release what is held for its budget")
            if not held:
                raise Refused(f"job {key} is {jobs[0].state}, not held: there is nothing to release")
            found = self._service.queue()
            # one that may be late is planned by the next round, whatever became of its deadline, and so is
            # one that waits for other jobs
            asks = [policing.asked(self._site, job, found.not_ended) for job in held if not job.late]
            free = [each for each in asks if not each.after]
            admitted = admit_all(free, self._service.situation(found, free)) if free else Admitted()
            now_ms = time_ms(found.now)
            with self._store.transaction() as transaction:
                for job in held:
                    # its owner made it wait until now: neither our saving nor our delay
                    frozen = {**job.frozen, "submitted_ms": now_ms}
                    transaction.append(now_ms, "released", {"frozen": frozen}, job_id=job.id)
                    transaction.move_job(job.id, JobState.WAITING, "released", now_ms, frozen=frozen)
                for job_id, plan in admitted.plans.items():
                    transaction.set_plan(job_id, plan, now_ms, "released")
                self._service.move_others(transaction, admitted, found.now, f"job {key} was released")
        return self._done(key, "released")

    def start(self, key: str) -> JobView | ArrayView:
        """Starts jobs as soon as they fit, whatever the grid does."""
        with self._service.lock:
            jobs = self._movable(key, "started")
            with self._store.transaction() as transaction:
                for job in jobs:
                    if job.state is JobState.HELD:
                        transaction.move_job(job.id, JobState.WAITING, "released by `start`", self._now_ms())
                    transaction.append(self._now_ms(), "start asked", job_id=job.id)
                    self._site.refusals.forget(job.id)
                    warnings = without(job.warnings)
                    transaction.change_job(job.id, asked=True, not_before_ms=None, warnings=warnings)
        return self._done(key, "asked to start")

    def _named(self, key: str) -> list[JobRecord]:
        return named(parse_key(key), self._store)

    def _movable(self, key: str, verb: str, states: Sequence[JobState] = NOT_STARTED) -> Sequence[JobRecord]:
        """The jobs that have not started, or stand still."""
        jobs = self._named(key)
        movable = [job for job in jobs if job.state in states]
        if not movable:
            raise Refused(f"job {key} is {jobs[0].state}: only a job that has not started can be {verb}")
        return movable

    def _done(self, key: str, verb: str) -> JobView | ArrayView:
        self._service.wake(f"job {key} was {verb}")
        return self._service.view(key)

    def _now_ms(self) -> int:
        return time_ms(self._site.clock.now())


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else list(value) if isinstance(value, tuple) else value


def _changed(job: JobRecord, request: UpdateRequest) -> dict[str, Any]:
    """The columns that an update changes."""
    changed: dict[str, Any] = {}
    for name in ("name", "project", "regions", "exclude_regions"):
        if getattr(request, name) is not None:
            changed[name] = getattr(request, name)
    for name in ("finish_by", "start_by"):
        if (moment := getattr(request, name)) is not None:
            changed[f"{name}_ms"] = time_ms(moment)
    for name in ("priority", "retries"):
        if getattr(request, name) is not None:
            changed[name] = getattr(request, name)
    if request.late:
        changed["late"] = True
    if request.time_limit_s is not None:
        changed["time_limit_ms"] = round(request.time_limit_s * 1000)
        if job.estimate_ms is None and job.duration_source != "yours":
            changed |= {"duration_ms": changed["time_limit_ms"], "duration_source": "time limit"}
    if request.duration_s is not None:
        duration_ms = round(request.duration_s * 1000)
        changed |= {"duration_ms": duration_ms, "estimate_ms": duration_ms, "duration_source": "yours"}
    if "duration_ms" in changed:
        changed["guard_ms"] = None  # what was learnt was about the old estimate
    if not changed:
        raise BadInput("there is nothing to change: name for example --finish-by")
    return changed
