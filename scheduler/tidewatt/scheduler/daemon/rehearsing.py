"""What a submission would send to the engine of its planned region; nothing of it is stored or sent."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tidewatt.backends.backend import BackendError, Launch, Rehearse
from tidewatt.backends.clock import time_ms
from tidewatt.backends.host_rehearsal import on_this_host
from tidewatt.scheduler.daemon import intake, policing
from tidewatt.scheduler.daemon.admission import admit_all
from tidewatt.scheduler.daemon.drafting import draft
from tidewatt.scheduler.daemon.launching import real_ms
from tidewatt.scheduler.daemon.limiting import check as check_limits
from tidewatt.scheduler.daemon.orders import order
from tidewatt.scheduler.daemon.ownership import hand_over, submitter
from tidewatt.scheduler.daemon.predecessors import too_late
from tidewatt.scheduler.daemon.service import NEW_IDS, Service
from tidewatt.scheduler.daemon.site import HOST
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import AttemptState
from tidewatt.scheduler.paths import Paths, mark
from tidewatt.scheduler.plan import Plan
from tidewatt.scheduler.planning.preview import plan_view
from tidewatt.scheduler.planning.terms import check
from tidewatt.scheduler.request_schema import RehearseReply, SubmitRequest
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

if TYPE_CHECKING:
    from fastapi import FastAPI


class Rehearsals:
    """Goes the way of a submission, up to where it would be stored."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._site, self._store = service.site, service.store

    def rehearse(self, request: SubmitRequest) -> RehearseReply:
        """The plan, and what the backend of its region would send for it.

        Raises:
            BadInput, Refused: as a submission would be.
        """
        site = self._site
        request, told = policing.defaulted(site, request, site.clock.now())
        intake.check(request, site.paths)
        with intake.staged(site, request) as folder:
            plan, job, exceeds = self._planned(request)
            launch = self._launch(job, plan, folder)
            backend = site.backend_of(self._kind(plan))
            try:
                text = _text(backend, launch, self._kind(plan))
            except (BackendError, OSError) as error:
                raise Refused(f"what {plan.region} would be sent cannot be told: {error}") from None
            text = text.replace(str(folder / "home"), str(site.paths.home))
        return RehearseReply(
            job=str(job.id),
            region=plan.region,
            backend=self._kind(plan),
            plan=plan_view(plan),
            text=text,
            notes=(*told, *exceeds, *policing.notes(site, request), *_asides(request, self._kind(plan))),
        )

    def _planned(self, request: SubmitRequest) -> tuple[Plan, JobRecord, tuple[str, ...]]:
        """The plan of the job, or of the first task, its record as it would be, and budgets it exceeds."""
        site, store = self._site, self._store
        with self._service.lock:
            found = self._service.queue()
            check_limits(request, site.board.settings.limits, found.not_ended.values())
            asked = policing.opened(site, draft(site, store, request, found.now), request)
            check(asked, site.regions, found.now)
            if sentence := too_late(asked, found.not_ended, found.ends, found.now, site.regions):
                raise BadInput(sentence)
            newcomer = replace(asked, job_id=NEW_IDS)
            with policing.shut_told(site, asked):
                admitted = admit_all([newcomer], self._service.situation(found, [asked]))
            plan = admitted.plans.get(NEW_IDS)
            if plan is None:
                raise Refused("it would be stored without a plan: what it waits for is held")
            excesses = self._service.budgets.judge(asked, request, [plan], found.now).excesses
            newest = store.jobs(limit=1)
            number = newest[0].id + 1 if newest else 1
        job = intake.record(site, request, asked, number, plan)
        return plan, job, tuple(each.sentence for each in excesses)

    def _launch(self, job: JobRecord, plan: Plan, folder: Path) -> Launch:
        """What the backend would be asked; its files lie below `folder`, in a state folder of their own."""
        there = self._moved(folder, job.id)
        region = next(each for each in self._site.board.stated if each.name == plan.region)
        kind = region.backend
        gpus = self._site.gpus_of(region, plan.pool)[: job.gpus] if kind == HOST else []
        attempt = AttemptRecord(
            id=f"{job.id}.1",
            job_id=job.id,
            state=AttemptState.LAUNCHING,
            since_ms=time_ms(plan.window.start),
            region=plan.region,
            pool=plan.pool,
            gpu_uuids=tuple(gpus),
            launched_ms=time_ms(plan.window.start),
            factors={"zones": dict(region.zones), **({"backend": kind} if kind != HOST else {})},
        )
        begin = None
        if self._site.keeps(kind) and plan.window.start > self._site.clock.now():
            begin = real_ms(self._site.clock, self._service.begin(plan))
        snapshot = folder / "source"
        source = {**job.source, "snapshot": str(snapshot)} if job.snapshot else job.source
        site = replace(self._site, paths=there)
        return order(site, self._store, replace(job, source=source), attempt, begin)

    def _moved(self, folder: Path, number: int) -> Paths:
        """A state folder below what is staged: with our mark, so that names are as they would be."""
        paths, who = self._site.paths, submitter(self._site.paths)
        there = replace(paths, home=folder / "home")
        home = there.job(number)
        home.mkdir(mode=0o755, parents=True)
        hand_over(home, who)
        (there.home / "mark").write_text(mark(paths) + "\n", encoding="utf-8")
        environment = folder / "env.json"
        if environment.exists():
            environment.rename(home / "env.json")
        return there

    def _kind(self, plan: Plan) -> str:
        return next(each.backend for each in self._site.board.stated if each.name == plan.region)


def _text(backend: object, launch: Launch, kind: str) -> str:
    if isinstance(backend, Rehearse):
        return backend.rehearse(launch)
    if kind == HOST:
        return on_this_host(launch)
    raise BackendError(f"the backend {kind!r} cannot show what it would send")


def _asides(request: SubmitRequest, kind: str) -> tuple[str, ...]:
    said = []
    if request.array:
        said.append(f"shown is the first of {len(request.array)} tasks: the others differ in their numbers")
    if request.gpus and kind == HOST:
        said.append("which of the region's GPUs it gets is decided when it starts")
    return tuple(said)


def routes(api: "FastAPI", service: Service) -> None:
    """Adds `rehearse` to the interface."""
    rehearsals = Rehearsals(service)

    @api.post("/api/v1/rehearse")
    def rehearse(request: SubmitRequest) -> RehearseReply:
        return rehearsals.rehearse(request)
