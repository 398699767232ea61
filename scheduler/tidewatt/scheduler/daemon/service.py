"""What clients may ask of the daemon; every decision is stored before it is answered."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from tidewatt.backends import environment, source
from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.accounting.receipt import Settlement
from tidewatt.scheduler.daemon import intake
from tidewatt.scheduler.daemon.launching import environment_file
from tidewatt.scheduler.daemon.occupancy import ask
from tidewatt.scheduler.daemon.replanning import Queue, queue
from tidewatt.scheduler.daemon.site import Foreign, Site
from tidewatt.scheduler.daemon.views import whole_view
from tidewatt.scheduler.daemon.watching import Watcher
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import ENDED, JobState
from tidewatt.scheduler.plan import Ask, Plan
from tidewatt.scheduler.planning.estimate import Estimate
from tidewatt.scheduler.planning.preview import ask_of, offer_views, preview
from tidewatt.scheduler.planning.queue import Admission, admit, offers
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import check
from tidewatt.scheduler.schemas import (
    JobView,
    PlanReply,
    PlanRequest,
    RerunRequest,
    Source,
    SubmitReply,
    SubmitRequest,
    UpdateRequest,
)
from tidewatt.scheduler.store import Store, Transaction
from tidewatt.scheduler.store.records import JobRecord

log = structlog.get_logger()


class Service:
    """The verbs of the daemon's clients; one at a time, under the same lock as the daemon's rounds."""

    def __init__(self, site: Site, store: Store, watcher: Watcher, lock: threading.RLock) -> None:
        self.site = site
        self.store = store
        self._watcher = watcher
        self._lock = lock
        self.foreign: tuple[Foreign, ...] = ()  # kept up to date by the rounds
        self.wake: Callable[[str], None] = lambda cause: None  # asks for a round at once

    def known(self, job_id: int) -> JobRecord:
        """The job of that number.

        Raises:
            BadInput: where there is none.
        """
        job = self.store.job(job_id)
        if job is None:
            raise BadInput(f"there is no job {job_id}: `tidewatt queue --all` lists them")
        return job

    def submit(self, request: SubmitRequest) -> SubmitReply:
        """Takes a job in. When this returns, the job is durable and will run."""
        intake.check(request)
        with intake.staged(self.site, request) as folder, self._lock:
            found, asked = self._asked(request, request.name)
            check(asked, self.site.regions, found.now)
            situation = self._situation(found, asked)
            admission = None if request.hold else admit(asked, situation)
            offered = offer_views(offers(asked, situation))
            with self.store.transaction() as transaction:
                plan = None if admission is None else admission.plan
                job_id = intake.store_job(transaction, self.site, request, asked, plan, folder)
                self._move_others(transaction, admission, found.now, f"job {job_id} was submitted")
        log.info("job.submitted", job=job_id, held=request.hold)
        self.wake(f"job {job_id} was submitted")
        job = self._view(job_id)
        return SubmitReply(job=job, offers=offered, power_w=asked.power_w, power_source=asked.power_source)

    def plan(self, request: PlanRequest) -> PlanReply:
        """The decision that `submit` would make now."""
        with self._lock:
            found, asked = self._asked(request, "")
            return preview(
                request,
                self._situation(found, asked),
                Estimate(asked.power_w, asked.power_source),
                self.site.settings.default_duration,
                hindsight=self.site.hindsight,
            )

    def update(self, job_id: int, request: UpdateRequest) -> JobView:
        """Changes what a job that has not started asks for, and plans it again."""
        with self._lock:
            job = self._movable(job_id, "changed")
            intake.check_names(request.name, request.project)
            changed = _changed(job, request)
            asked, found = ask(replace(job, **changed)), self._queue(without=job_id)
            check(asked, self.site.regions, found.now)
            admission = None if job.state is JobState.HELD else admit(asked, self._situation(found, asked))
            now_ms = time_ms(found.now)
            with self.store.transaction() as transaction:
                told = {key: int(value) if value is True else value for key, value in changed.items()}
                transaction.append(now_ms, "updated", told, job_id=job_id, reason=", ".join(sorted(changed)))
                transaction.change_job(job_id, **changed)
                if admission is not None:
                    transaction.set_plan(job_id, admission.plan, now_ms, "updated")
                    transaction.change_job(job_id, at_risk="")
                self._move_others(transaction, admission, found.now, f"job {job_id} was changed")
        self.wake(f"job {job_id} was changed")
        return self._view(job_id)

    def cancel(self, job_id: int) -> JobView:
        """Ends a job: at once while it waits, with its stop signal and grace period while it runs."""
        with self._lock:
            job = self.known(job_id)
            now_ms = self._now_ms()
            if job.state in ENDED:
                raise Refused(f"job {job_id} is {job.state} already: there is nothing to cancel")
            if job.state in (JobState.RUNNING, JobState.PAUSED):
                with self.store.transaction() as transaction:
                    transaction.append(now_ms, "cancel asked", job_id=job_id)
                    transaction.change_job(job_id, stopping=True)
                self._watcher.stop(job)
            else:
                with self.store.transaction() as transaction:
                    reason = "cancelled before it started"
                    transaction.move_job(
                        job_id, JobState.CANCELLED, reason, now_ms, keeps_env=False, at_risk=""
                    )
                environment.delete(environment_file(self.site.paths, job_id))
        self.wake(f"job {job_id} was cancelled")
        return self._view(job_id)

    def hold(self, job_id: int) -> JobView:
        """Keeps a waiting job from starting until it is released; its place is given to others."""
        with self._lock:
            job = self._movable(job_id, "held")
            if job.state is JobState.WAITING:
                with self.store.transaction() as transaction:
                    transaction.move_job(
                        job_id,
                        JobState.HELD,
                        "held by its owner",
                        self._now_ms(),
                        plan=None,
                        at_risk="",
                        asked=False,
                    )
        self.wake(f"job {job_id} was held")
        return self._view(job_id)

    def release(self, job_id: int) -> JobView:
        """Lets a held job go: planned among all that wait now, in turn from now on.

        Raises:
            Refused: where its deadline cannot be met any more and `late` was not accepted.
        """
        with self._lock:
            job = self.known(job_id)
            if job.state is not JobState.HELD:
                raise Refused(f"job {job_id} is {job.state}, not held: there is nothing to release")
            found = self._queue()
            # one that may be late is planned by the next round, whatever became of its deadline
            admission = None if job.late else admit(ask(job), self._situation(found, ask(job)))
            now_ms = time_ms(found.now)
            # its owner made it wait until now: neither our saving nor our delay
            frozen = {**job.frozen, "submitted_ms": now_ms}
            with self.store.transaction() as transaction:
                transaction.append(now_ms, "released", {"frozen": frozen}, job_id=job_id)
                transaction.move_job(job_id, JobState.WAITING, "released", now_ms, frozen=frozen)
                if admission is not None:
                    transaction.set_plan(job_id, admission.plan, now_ms, "released")
                self._move_others(transaction, admission, found.now, f"job {job_id} was released")
        self.wake(f"job {job_id} was released")
        return self._view(job_id)

    def start(self, job_id: int) -> JobView:
        """Starts a job as soon as it fits, whatever the grid does."""
        with self._lock:
            job = self._movable(job_id, "started")
            with self.store.transaction() as transaction:
                if job.state is JobState.HELD:
                    transaction.move_job(job_id, JobState.WAITING, "released by `start`", self._now_ms())
                transaction.append(self._now_ms(), "start asked", job_id=job_id)
                transaction.change_job(job_id, asked=True)
        self.wake(f"job {job_id} was asked to start")
        return self._view(job_id)

    def rerun(self, job_id: int, request: RerunRequest) -> SubmitReply:
        """Submits an ended job again: same command and slack, the caller's environment, today's code."""
        job = self.known(job_id)
        if job.state not in ENDED:
            raise Refused(f"job {job_id} is {job.state}: it can be run again when it has ended")
        shift = timedelta(milliseconds=self._now_ms() - job.submitted_ms)
        old = ask(job)
        return self.submit(
            SubmitRequest(
                argv=job.argv,
                cwd=job.cwd,
                env=request.env,
                name=job.name,
                project=job.project,
                labels=job.labels,
                duration_s=job.duration_ms / 1000 if job.duration_source == "yours" else None,
                time_limit_s=None if job.time_limit_ms is None else job.time_limit_ms / 1000,
                finish_by=None if old.finish_by is None else old.finish_by + shift,
                start_by=None if old.start_by is None else old.start_by + shift,
                gpus=job.gpus,
                gpu_kind=job.gpu_kind,
                cpus=job.cpus,
                mem_mb=job.mem_mb,
                regions=job.regions,
                exclude_regions=job.exclude_regions,
                late=job.late,
                stdout=job.outputs["stdout"],
                stderr=job.outputs["stderr"],
                snapshot=job.snapshot,
                umask=job.umask,
                source=_source_now(job),
            )
        )

    def _asked(self, request: PlanRequest, name: str) -> tuple[Queue, Ask]:
        found = self._queue()
        draw = self._power(request, name)
        home = self.site.home.name
        return found, ask_of(request, 0, found.now, home, draw, self.site.settings.default_duration)

    def _power(self, request: PlanRequest, name: str) -> Estimate:
        need = ask_of(request, 0, self.site.clock.now(), "", Estimate(0, ""), timedelta(hours=1)).need
        earlier = self.store.last_measured(intake.user_name(), name) if name else None
        if earlier is None or earlier.settlement is None or earlier.need != need:
            return self.site.power(need)
        active = [part.active_uj for part in Settlement.restored(earlier.settlement).components]
        ran = [
            each
            for each in self.store.attempts([earlier.id])[earlier.id]
            if each.started_ms and each.ended_ms
        ]
        ran_ms = sum((each.ended_ms or 0) - (each.started_ms or 0) for each in ran)
        if not ran_ms or not active or None in active:
            return self.site.power(need)
        watts = sum(each or 0 for each in active) / 1000 / ran_ms
        return self.site.power(need, watts, f"job {earlier.id}, {earlier.name}")

    def _situation(self, found: Queue, asked: Ask) -> Situation:
        # offers look at a day of slack beyond whatever else there is
        horizon = found.horizon(self.site.settings.default_slack, [asked]) + timedelta(hours=25)
        return found.situation(self.site, self.site.outlooks(found.now, horizon))

    def _move_others(
        self, transaction: Transaction, admission: Admission | None, now: datetime, cause: str
    ) -> None:
        for job_id, plan in (admission.moved if admission is not None else _NONE).items():
            transaction.set_plan(job_id, plan, time_ms(now), cause)

    def _queue(self, without: int = 0) -> Queue:
        found = queue(self.site, self.store, self.foreign, self.site.clock.now())
        return replace(found, waiting=tuple(job for job in found.waiting if job.id != without))

    def _view(self, job_id: int) -> JobView:
        return whole_view(self.store, self.known(job_id))

    def _movable(self, job_id: int, verb: str) -> JobRecord:
        job = self.known(job_id)
        if job.state not in (JobState.WAITING, JobState.HELD):
            raise Refused(f"job {job_id} is {job.state}: only a job that has not started can be {verb}")
        return job

    def _now_ms(self) -> int:
        return time_ms(self.site.clock.now())


_NONE: Mapping[int, Plan] = {}


def _source_now(job: JobRecord) -> Source:
    now = source.record(Path(job.cwd))
    return Source(digest=now.digest, method=now.method, commit=now.commit, dirty=now.dirty, diff=now.diff)


def _changed(job: JobRecord, request: UpdateRequest) -> dict[str, Any]:
    """The columns that an update changes."""
    changed: dict[str, Any] = {}
    for name in ("name", "project", "regions", "exclude_regions"):
        if getattr(request, name) is not None:
            changed[name] = getattr(request, name)
    for name in ("finish_by", "start_by"):
        if (moment := getattr(request, name)) is not None:
            changed[f"{name}_ms"] = time_ms(moment)
    if request.late:
        changed["late"] = True
    if request.time_limit_s is not None:
        changed["time_limit_ms"] = round(request.time_limit_s * 1000)
        if job.duration_source != "yours":
            changed |= {"duration_ms": changed["time_limit_ms"], "duration_source": "time limit"}
    if request.duration_s is not None:
        changed |= {"duration_ms": round(request.duration_s * 1000), "duration_source": "yours"}
    if not changed:
        raise BadInput("there is nothing to change: name for example --finish-by")
    return changed
