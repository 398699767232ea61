"""Rules as operators look at them: which decides where a job may go; and how changed ones are taken in."""

from typing import TYPE_CHECKING, Any

import structlog

from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.array import parse_key
from tidewatt.scheduler.config import Loaded
from tidewatt.scheduler.daemon import policy_files
from tidewatt.scheduler.daemon.callers import operator_only, user_name
from tidewatt.scheduler.daemon.evicting import evicted
from tidewatt.scheduler.daemon.groups import groups_of
from tidewatt.scheduler.daemon.history import RELOADED, STANDING, STARTED
from tidewatt.scheduler.daemon.naming import named
from tidewatt.scheduler.daemon.occupancy import ask
from tidewatt.scheduler.daemon.region_board import facts_of
from tidewatt.scheduler.daemon.reloading import held_by_restart, taken_over
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.errors import Refused, SchedulerError
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.operator_schema import (
    EvictedView,
    ExplainReply,
    ExplainRequest,
    ReloadReply,
    ReloadRequest,
    VerdictView,
)
from tidewatt.scheduler.plan import Ask
from tidewatt.scheduler.planning.capacity import Timeline
from tidewatt.scheduler.planning.kinds import suitable
from tidewatt.scheduler.planning.preview import ask_of
from tidewatt.scheduler.planning.terms import allowed
from tidewatt.scheduler.policies.rule import Facts, Verdict, Word
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.request_schema import PlanRequest
from tidewatt.scheduler.store import Store

if TYPE_CHECKING:
    from fastapi import FastAPI

log = structlog.get_logger()
MOST_READS = 5


class Policies:
    """What is asked about the rules."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._site, self._store = service.site, service.store

    def of_job(self, key: str) -> ExplainReply:
        """The verdicts on a job, or on the first task of an array.

        Raises:
            BadInput: where there is none.
        """
        job = named(parse_key(key), self._store)[0]
        return self._reply(f"job {job.key}", facts_of(job), ask(job))

    def as_if(self, request: ExplainRequest) -> ExplainReply:
        """The verdicts on a job that nobody has submitted.

        Raises:
            Refused: where it would be somebody else's, and whoever asks is no operator.
        """
        user = request.user or user_name()
        if user != user_name() or request.groups is not None:
            operator_only("ask what others may do")
        groups = groups_of(user) if request.groups is None else frozenset(request.groups)
        home = self._site.home.name if request.data_gb else ""
        facts = Facts(user, groups, request.project, request.labels, home)
        need = Need(request.gpus, request.gpu_kind, request.cpus, request.mem_mb)
        asked = ask_of(
            PlanRequest(gpus=need.gpus, gpu_kind=need.gpu_kind, cpus=need.cpus, mem_mb=need.mem_mb),
            0, self._site.clock.now(), self._site.home.name, self._site.power(need),
            self._site.settings.default_duration,
        )  # fmt: skip
        return self._reply("a job as if", facts, asked)

    def reload(self, request: ReloadRequest, undoes: int = 0) -> ReloadReply:
        """Reads the configuration again: all of it is checked first, and what is wrong changes nothing.

        `undoes` is the decision that this takes back.

        Raises:
            BadInput: for a configuration that cannot be taken.
            Refused: where whoever asks is no operator, or no file is read here.
        """
        operator_only("read the configuration again")
        if self._site.reload is None:
            raise Refused("this daemon cannot read its configuration again: restart it")
        loaded, text = _read(self._site)
        user = user_name()
        told: dict[str, Any] = _told(self._site, loaded, text, user)  # kept before it is in force
        with self._service.lock:
            changed = taken_over(self._site, loaded)
            running = self._now_forbidden(evict=request.evict)
            now_ms = time_ms(self._site.clock.now())
            told |= {"changed": list(changed)} | ({"undoes": undoes} if undoes else {})
            with self._store.transaction() as transaction:
                transaction.append(now_ms, RELOADED, told, reason=_reason(undoes))
        log.info("policy.reloaded", user=user, changed=changed, path=str(loaded.path or ""))
        self._service.wake("the operator's rules were read again")
        return _reloaded(self._service, loaded, changed, running)

    def _now_forbidden(self, *, evict: bool) -> tuple[EvictedView, ...]:
        """Jobs that run where their rules no longer let them start: told, and moved where that was asked."""
        live = self._store.live_attempts()
        jobs = self._store.numbered({each.job_id for each in live})
        found: list[EvictedView] = []
        for each in live:
            verdict = self._site.board.verdicts_of(jobs[each.job_id]).get(each.region)
            if verdict is not None and verdict.word is Word.FORBID:
                found += evicted(self._service, [each], str(verdict), evict=evict)
        return tuple(found)

    def _reply(self, job: str, facts: Facts, asked: Ask) -> ExplainReply:
        found = self._site.board.verdicts(facts)
        return ExplainReply(
            job=job,
            user=facts.user,
            groups=tuple(sorted(facts.groups)),
            project=facts.project,
            labels=dict(facts.labels),
            verdicts=tuple(
                self._view(region, found[region.name], asked) for region in self._site.board.stated
            ),
            planned=self._site.board.wishes(facts).told,
        )

    def _view(self, region: Region, verdict: Verdict, asked: Ask) -> VerdictView:
        holds = suitable(asked, Timeline(region))
        lacks = "" if holds else f"{region.name} can never hold what the job needs"
        if not allowed(asked, region.name):
            lacks = "its owner has left it out (--region, --exclude-region)"
        return VerdictView(
            region=region.name,
            word=verdict.word,
            rule=verdict.rule,
            place=verdict.place,
            because=verdict.because,
            sentence=str(verdict),
            shut=self._site.board.shut(region.name),
            lacks=lacks,
        )


def reread(service: Service) -> None:
    """Reads the configuration again, as SIGHUP asks; what is wrong with it is logged and changes nothing."""
    try:
        Policies(service).reload(ReloadRequest())
    except SchedulerError as error:
        log.error("policy.not_reloaded", error=str(error))


def begun(site: Site, store: Store) -> None:
    """Tells in the ledger which configuration the daemon starts with, where that is another than before.

    Where that cannot be told, as on a full disk, the daemon starts all the same.
    """
    if site.reload is None:
        return
    try:
        loaded, text = _read(site)
        told = _told(site, loaded, text, user_name())
        known = [each for kind in STANDING for each in store.events_of(kind)]
        newest = max(known, key=lambda each: int(each["seq"]), default=None)
        before = "" if newest is None else newest["payload"].get("digest", "")
        if before != told["digest"]:
            with store.transaction() as transaction:
                reason = "the daemon was started with this configuration"
                transaction.append(time_ms(site.clock.now()), STARTED, told, reason=reason)
    except SchedulerError as error:
        log.error("policy.not_told", error=str(error))


def _read(site: Site) -> tuple[Loaded, str]:
    """The configuration, and the text that it was read from; "" where there is no file."""
    assert site.reload is not None  # noqa: S101 - whoever calls has looked
    for _ in range(MOST_READS):  # it may be written just now
        loaded = site.reload()
        if loaded.path is None:
            return loaded, ""
        text = policy_files.whole(loaded.path)
        again = site.reload()
        if again.settings == loaded.settings and again.rules == loaded.rules:
            return again, text
    raise Refused("the configuration changes while it is read: try again")


def _reason(undoes: int) -> str:
    return f"decision {undoes} is undone" if undoes else "the configuration was read again"


def _told(site: Site, loaded: Loaded, text: str, user: str) -> dict[str, Any]:
    try:
        digest = policy_files.keep(site.paths, text) if loaded.path is not None else ""
    except OSError as error:
        raise Refused(f"{loaded.path} cannot be kept in {site.paths.policies}: {error.strerror}") from None
    return {"user": user, "path": str(loaded.path or ""), "digest": digest}


def _reloaded(
    service: Service, loaded: Loaded, changed: tuple[str, ...], running: tuple[EvictedView, ...]
) -> ReloadReply:
    return ReloadReply(
        path=str(loaded.path or ""),
        rules=len(loaded.rules.rules),
        projects=len(loaded.rules.projects),
        changed=changed,
        later=held_by_restart(service.site, loaded),
        running=running,
    )


def routes(api: "FastAPI", service: Service) -> None:
    """Adds `policy` to the interface."""
    policies = Policies(service)

    @api.get("/api/v1/policy/jobs/{key}")
    def of_job(key: str) -> ExplainReply:
        return policies.of_job(key)

    @api.post("/api/v1/policy/explain")
    def as_if(request: ExplainRequest) -> ExplainReply:
        return policies.as_if(request)

    @api.post("/api/v1/policy/reload")
    def reload(request: ReloadRequest) -> ReloadReply:
        return policies.reload(request)
