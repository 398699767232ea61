"""What clients may ask of the daemon: new jobs and plans; every decision is stored before it is answered."""

import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from tidewatt.backends.clock import time_ms
from tidewatt.backends.source import SourceRecord
from tidewatt.scheduler.array import parse_key
from tidewatt.scheduler.daemon import idempotency, intake, limiting, policing
from tidewatt.scheduler.daemon.admission import Admitted, admit_all
from tidewatt.scheduler.daemon.budgeting import Budgets
from tidewatt.scheduler.daemon.callers import own_only
from tidewatt.scheduler.daemon.drafting import draft
from tidewatt.scheduler.daemon.experience import Experience
from tidewatt.scheduler.daemon.express import Express
from tidewatt.scheduler.daemon.holding_out import HoldingOut, by_lot
from tidewatt.scheduler.daemon.ledger import Ledger
from tidewatt.scheduler.daemon.naming import is_array, named
from tidewatt.scheduler.daemon.occupancy import ask
from tidewatt.scheduler.daemon.ownership import recorded, submitter
from tidewatt.scheduler.daemon.predecessors import predecessors, too_late
from tidewatt.scheduler.daemon.replanning import Queue, queue
from tidewatt.scheduler.daemon.site import Foreign, Site
from tidewatt.scheduler.daemon.turnstile import Taken
from tidewatt.scheduler.daemon.vacancy import Vacancy
from tidewatt.scheduler.daemon.views import array_view, job_view, job_views, whole_view
from tidewatt.scheduler.daemon.watching import Watcher
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import ENDED, JobState
from tidewatt.scheduler.pausing_schema import request_of
from tidewatt.scheduler.plan import Ask, Plan
from tidewatt.scheduler.planning import ladder
from tidewatt.scheduler.planning.learnt import Learnt
from tidewatt.scheduler.planning.preview import answer, offer_views
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import check
from tidewatt.scheduler.request_schema import (
    PlanReply,
    PlanRequest,
    RerunRequest,
    SlackOffer,
    Source,
    SubmitReply,
    SubmitRequest,
)
from tidewatt.scheduler.schemas import ArrayView, CertificateView, JobView, KindView
from tidewatt.scheduler.store import Store, Transaction
from tidewatt.scheduler.store.records import JobRecord

log = structlog.get_logger()
NEW_IDS = 10**15  # of tasks that have no number yet: above all that a store will ever give


class Service:
    """Takes jobs in; one request at a time, under the same lock as the daemon's rounds."""

    def __init__(self, site: Site, store: Store, watcher: Watcher, lock: threading.RLock) -> None:
        self.site = site
        self.store = store
        self.watcher = watcher
        self.lock = lock
        self._experience = Experience(site, store)
        self._holding_out = HoldingOut(site, store)
        self.budgets = Budgets(site, store)
        self.foreign: tuple[Foreign, ...] = ()  # kept up to date by the rounds
        site.board.decided(store.decisions())
        self.certificate: CertificateView | None = None  # of the newest plan of the queue, by the rounds
        self.ledger: Ledger | None = None  # where the daemon keeps one
        self.begin: Callable[[Plan], datetime] = lambda plan: plan.window.start  # in engines that keep jobs
        self.wake: Callable[[str], None] = lambda cause: None  # asks for a round at once
        self.later: Callable[[str], None] = lambda cause: None  # asks for one when it is quiet
        self.express = Express(site, store, Vacancy(site, store, lambda: self.foreign), lock)

    def view(self, key: str) -> JobView | ArrayView:
        """The job with its history, or the array with its tasks.

        Raises:
            BadInput: where there is none.
        """
        parsed = parse_key(key)
        jobs = named(parsed, self.store)
        if not is_array(parsed, jobs):
            return whole_view(self.store, jobs[0])
        return array_view(jobs, job_views(self.store, jobs))

    def submit(self, request: SubmitRequest) -> SubmitReply:
        """Takes a job in, or all tasks of an array. When this returns, they are durable and will run."""
        request, told = policing.defaulted(self.site, request, self.site.clock.now())
        intake.check(request, self.site.paths)
        learnt = self._experience.of(request)  # before others have to wait for us
        with intake.staged(self.site, request) as folder:
            if (taken := self.express.take(request, told, learnt, folder)) is not None:
                return self._answer(request, taken)
            return self._submitted(request, told, learnt, folder)

    def _submitted(
        self, request: SubmitRequest, told: tuple[str, ...], learnt: Learnt | None, folder: Path
    ) -> SubmitReply:
        """Takes it in with the whole queue in view."""
        with self.lock:
            found = self.queue()
            limiting.check(request, self.site.board.settings.limits, found.not_ended.values())
            asked = draft(self.site, self.store, request, found.now, learnt)
            asked = policing.opened(self.site, asked, request)
            check(asked, self.site.regions, found.now)
            if sentence := too_late(asked, found.not_ended, found.ends, found.now, self.site.regions):
                raise BadInput(sentence)
            lots = self._holding_out.draw(asked, request, found.now)
            newcomers = [by_lot(*each) for each in zip(_tasks(asked, request), lots, strict=True)]
            # one that starts after held jobs is planned when those are let go
            planned = not request.hold and not _after_held(asked, found)
            situation = self.situation(found, [asked]) if planned else None
            with policing.shut_told(self.site, asked):
                admitted = admit_all(newcomers, situation) if situation is not None else Admitted()
            verdict = self.budgets.judge(asked, request, list(admitted.plans.values()), found.now)
            if verdict.holds:
                request, admitted = request.model_copy(update={"hold": True}), Admitted()
                lots = [None] * len(newcomers)
            offered = _offered(newcomers[0], situation) if situation is not None else ()
            with self.store.transaction() as transaction:
                predecessor_ids = predecessors(request, self.store)
                plans = [admitted.plans.get(each.job_id) for each in newcomers]
                numbers = intake.store_jobs(
                    transaction, self.site, request, asked, predecessor_ids, plans, lots, folder
                )
                verdict.tell(transaction, numbers, time_ms(found.now))
                notes = (*told, *policing.notes(self.site, request))
                idempotency.note(transaction, numbers, _told(asked, offered, notes))
                self.move_others(transaction, admitted, found.now, f"job {numbers[0]} was submitted")
            self._holding_out.taken(lots)
        log.info("job.submitted", job=numbers[0], tasks=len(numbers), held=request.hold)
        if planned:
            self.wake(f"job {numbers[0]} was submitted")
        jobs = list(self.store.numbered(numbers).values())
        return SubmitReply(
            job=whole_view(self.store, jobs[0]),
            offers=offered,
            power_w=asked.power_w,
            power_source=asked.power_source,
            array=array_view(jobs, ()) if request.array else None,
            notes=notes,
        )

    def _answer(self, request: SubmitRequest, taken: Taken) -> SubmitReply:
        """What is told of a job that was let in by the plans as they stand."""
        log.info("job.submitted", job=taken.number, tasks=1, held=False)
        (self.wake if taken.due else self.later)(f"job {taken.number} was submitted")
        job = self.store.open_job(taken.number)
        if job is None or job.state is not JobState.WAITING:  # it was started meanwhile, or cancelled
            view = whole_view(self.store, self.store.numbered([taken.number])[taken.number])
        else:
            view = job_view(job, (), taken.events)
        return SubmitReply(
            job=view,
            offers=taken.offers,
            power_w=taken.power_w,
            power_source=taken.power_source,
            notes=taken.notes,
        )

    def plan(self, request: PlanRequest) -> PlanReply:
        """The decision that `submit` would make now."""
        request, told = policing.defaulted(self.site, request, self.site.clock.now())
        with self.lock:
            found = self.queue()
            asked = policing.opened(self.site, draft(self.site, self.store, request, found.now), request)
            if sentence := too_late(asked, found.not_ended, found.ends, found.now, self.site.regions):
                raise BadInput(sentence)
            with policing.shut_told(self.site, asked):
                made = answer(asked, self.situation(found, [asked]), hindsight=self.site.hindsight)
        return made.model_copy(update={"notes": (*told, *policing.notes(self.site, request))})

    def rerun(self, key: str, request: RerunRequest) -> SubmitReply:
        """Submits ended jobs again: same command and slack, the caller's environment, today's code.

        A task of an array keeps its number; nothing is waited for again.
        """
        parsed = parse_key(key)
        jobs = named(parsed, self.store)
        for job in jobs:
            if job.state not in ENDED:
                raise Refused(f"job {job.key} is {job.state}: it can be run again when it has ended")
            if not job.argv or not job.cwd:
                raise Refused(f"what job {job.key} ran was purged: submit it anew")
        own_only(jobs, "run again")
        now = self.site.clock.now()
        tree = recorded(Path(jobs[0].cwd), submitter(self.site.paths))
        return self.submit(_again(jobs, request, now, tree))

    def queue(self, without: Collection[int] = ()) -> Queue:
        """The queue now, without some of the jobs that wait."""
        found = queue(self.site, self.store, self.foreign, self.site.clock.now())
        return replace(found, waiting=tuple(job for job in found.waiting if job.id not in without))

    def situation(self, found: Queue, newcomers: Collection[Ask]) -> Situation:
        """What the planner makes their plans from."""
        # offers look at a day of slack beyond whatever else there is
        horizon = found.horizon(self.site.settings.default_slack, newcomers) + timedelta(hours=25)
        outlooks, beside = (ahead(found.now, horizon) for ahead in (self.site.outlooks, self.site.beside))
        return found.situation(self.site, outlooks, beside)

    def move_others(self, transaction: Transaction, admitted: Admitted, now: datetime, cause: str) -> None:
        """Stores the plans of jobs that move for newcomers."""
        for job_id, plan in admitted.moved.items():
            transaction.set_plan(job_id, plan, time_ms(now), cause)


def _offered(asked: Ask, situation: Situation) -> tuple[SlackOffer, ...]:
    """What more slack would give; nothing where the planner fails, which is no reason to refuse a job."""
    if asked.by_lot:
        return ()
    try:
        return offer_views(ladder.offers(asked, situation))
    except Exception:
        log.exception("offers.failed")
        return ()


def _told(asked: Ask, offered: tuple[SlackOffer, ...], notes: tuple[str, ...]) -> dict[str, Any]:
    """What an answer says beside its jobs, as it is kept for those who ask again."""
    return {
        "offers": [each.model_dump(mode="json") for each in offered],
        "power_w": asked.power_w,
        "power_source": asked.power_source,
        "notes": list(notes),
    }


def _tasks(asked: Ask, request: SubmitRequest) -> list[Ask]:
    """The tasks of an array, as jobs without numbers; the job itself where it is none."""
    if not request.array:
        return [asked]
    return [
        replace(asked, job_id=NEW_IDS + place, array="new", array_limit=request.array_limit)
        for place, _ in enumerate(request.array)
    ]


def _after_held(asked: Ask, found: Queue) -> bool:
    """True where it starts after jobs that are held, or wait for held ones."""
    waiting = {job.id for job in found.planned} | found.jobs.keys()
    return any(number not in waiting for number in asked.after)


def _estimate_s(job: JobRecord) -> float | None:
    """The owner's own estimate."""
    if job.estimate_ms is not None:
        return job.estimate_ms / 1000
    return job.duration_ms / 1000 if job.duration_source == "yours" else None


def _again(jobs: list[JobRecord], request: RerunRequest, now: datetime, tree: SourceRecord) -> SubmitRequest:
    """The request that these jobs came from, from now on."""
    job = jobs[0]
    shift = timedelta(milliseconds=time_ms(now) - job.submitted_ms)
    old = ask(job)
    return SubmitRequest(
        argv=job.argv,
        cwd=job.cwd,
        env=request.env,
        name=job.name,
        project=job.project,
        labels=job.labels,
        duration_s=_estimate_s(job),
        time_limit_s=None if job.time_limit_ms is None else job.time_limit_ms / 1000,
        finish_by=None if old.finish_by is None else old.finish_by + shift,
        start_by=None if old.start_by is None else old.start_by + shift,
        gpus=job.gpus,
        gpu_kind=job.gpu_kind,
        kinds=tuple(KindView(kind=each.kind, speed=each.speed, power=each.power) for each in job.kinds),
        cpus=job.cpus,
        mem_mb=job.mem_mb,
        data_gb=job.data_mb / 1000,
        regions=job.regions,
        exclude_regions=job.exclude_regions,
        late=job.late,
        priority=job.priority,
        retries=job.retries,
        pausing=request_of(job.pausing),
        array=tuple(each.array_task for each in jobs) if job.array else (),
        array_limit=job.array_limit,
        stdout=job.outputs["stdout"],
        stderr=job.outputs["stderr"],
        snapshot=job.snapshot,
        umask=job.umask,
        source=Source(
            digest=tree.digest, method=tree.method, commit=tree.commit, dirty=tree.dirty, diff=tree.diff
        ),
    )
