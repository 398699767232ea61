"""The daemon as its page sees it; every answer is the API's own."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from tidewatt.backends.host import Host
from tidewatt.scheduler.accounting.report_schema import Report
from tidewatt.scheduler.daemon.callers import only_uid
from tidewatt.scheduler.daemon.changing import Changes
from tidewatt.scheduler.daemon.drains import Drains
from tidewatt.scheduler.daemon.interrupting import Interruptions
from tidewatt.scheduler.daemon.keeping import backups
from tidewatt.scheduler.daemon.live import Live
from tidewatt.scheduler.daemon.observing import observed
from tidewatt.scheduler.daemon.overview import Overview
from tidewatt.scheduler.daemon.policy_views import Policies
from tidewatt.scheduler.daemon.region_views import Places
from tidewatt.scheduler.daemon.ruling import Ruling
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.sessions import signed_in
from tidewatt.scheduler.daemon.shifting import switch
from tidewatt.scheduler.daemon.trying_views import Trying
from tidewatt.scheduler.daemon.undoing import Decisions
from tidewatt.scheduler.decision_schema import BackupView, DecisionView, UndoRequest
from tidewatt.scheduler.operator_schema import (
    DrainRequest,
    ExplainReply,
    ExplainRequest,
    RegionsView,
    ShiftingRequest,
)
from tidewatt.scheduler.page import views
from tidewatt.scheduler.page.desk import Checked, Health, Power, Rules, Source, Tail, Visitor
from tidewatt.scheduler.pausing_schema import PauseRequest
from tidewatt.scheduler.request_schema import PlanReply, PlanRequest, SubmitReply, SubmitRequest
from tidewatt.scheduler.schemas import ArrayView, JobView
from tidewatt.scheduler.status_schema import ForecastView, StatusView
from tidewatt.scheduler.try_schema import TryReply, TryRequest

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

REPORT_KEPT_S = 60.0  # a report is shown again for so long, or until a job's account changes
MOST_REPORTS = 64
SHOWN_DECISIONS = 50


class FrontDesk:
    """Serves one page; the checks are those of the verbs themselves."""

    def __init__(self, service: Service, overview: Overview, changes: Changes) -> None:
        self._service, self._overview, self._changes = service, overview, changes
        self._interruptions = Interruptions(service, changes)
        self._drains, self._places = Drains(service), Places(service)
        self._policies, self._ruling = Policies(service), Ruling(service)
        self._decisions = Decisions(service)
        self._live, self._trying = Live(service), Trying(service)
        self._reports: dict[tuple[object, ...], tuple[float, int, Report]] = {}

    def now(self) -> datetime:
        """The daemon's own time."""
        return self._service.site.clock.now()

    def status(self) -> StatusView:
        """The daemon now."""
        return self._overview.status()

    def jobs(self, states: tuple[str, ...], before: int | None, limit: int) -> list[JobView]:
        """Jobs, newest first."""
        return self._overview.jobs(states, before, limit)

    def job(self, key: str) -> JobView | ArrayView:
        """One job, or an array."""
        return self._service.view(key)

    def act(self, key: str, verb: str) -> None:
        """Does one of the verbs."""
        match verb:
            case "pause":
                self._interruptions.pause(key, PauseRequest())
            case "resume":
                self._interruptions.resume(key)
            case _:
                verbs = self._changes
                {"cancel": verbs.cancel, "hold": verbs.hold, "release": verbs.release, "start": verbs.start}[
                    verb
                ](key)

    def plan(self, request: PlanRequest) -> PlanReply:
        """The decision that `submit` would make."""
        return self._service.plan(request)

    def submit(self, request: SubmitRequest) -> SubmitReply:
        """Takes a job in."""
        return self._service.submit(request)

    def forecast(self, zone: str, signal: str, hours: float) -> ForecastView:
        """Intensity ahead."""
        return self._overview.forecast(zone, signal, hours)

    def observed(self, zone: str, signal: str, start: datetime, end: datetime) -> Sequence[tuple[int, float]]:
        """What was observed by the hour."""
        steps: Sequence[tuple[int, float]] = observed(self._service.site, zone, signal, start, end)["steps"]
        return steps

    def report(self, since_s: float | None, by: str, baseline: str) -> Report:
        """What ended jobs used and saved; read again only after something was settled, or a minute."""
        key = only_uid(), since_s, by, baseline
        kept = self._reports.get(key)
        store = self._service.store
        if kept is not None:
            made_s, seq, report = kept
            if time.monotonic() - made_s < REPORT_KEPT_S and not store.settled_after(seq):
                return report
        seq = store.tip().seq
        made = self._overview.report(since_s, by, baseline)
        if len(self._reports) >= MOST_REPORTS:
            self._reports = {}
        self._reports[key] = (time.monotonic(), seq, made)
        return made

    def regions(self) -> RegionsView:
        """All regions."""
        return self._places.now()

    def explain(self, request: ExplainRequest) -> ExplainReply:
        """Which rule decides."""
        return self._policies.as_if(request)

    def drain(self, what: str, request: DrainRequest) -> None:
        """Nothing new starts there."""
        self._drains.drain(what, request)

    def undrain(self, what: str) -> None:
        """New starts are let in again."""
        self._drains.undrain(what)

    def shift(self, request: ShiftingRequest) -> None:
        """Switches shifting."""
        switch(self._service, request)

    def rules(self) -> Rules:
        """The rules as they stand."""
        return self._ruling.shown()

    def check_rules(self, text: str) -> Checked:
        """What other rules would change."""
        return self._ruling.checked(text)

    def try_rules(self, text: str) -> TryReply:
        """What other rules would have changed."""
        return self._trying.tried(TryRequest(text=text, rules=True))

    def put_rules(self, text: str, digest: str) -> None:
        """Puts them in force."""
        self._ruling.put(text, digest)

    def decisions(self) -> tuple[DecisionView, ...]:
        """What operators decided, newest first."""
        return self._decisions.page(None, SHOWN_DECISIONS).decisions

    def undo(self, number: int) -> None:
        """Has hold again what held before a decision."""
        self._decisions.undo(UndoRequest(number=number))

    def backups(self) -> BackupView:
        """The newest backup."""
        return backups(self._service)

    def tail(self, job: JobView) -> Tail:
        """The end of what a job wrote."""
        return self._live.tail(job)

    def power(self, job: JobView) -> Power:
        """What a job that runs draws."""
        return self._live.power(job)

    def health(self) -> Health:
        """What the daemon runs on."""
        service = self._service
        return Health(
            sources=tuple(
                Source(each.source, each.zone, each.what, each.ok, each.at, each.text)
                for each in self._overview.sources()
            ),
            meters=_meters(service.site.host),
            ledger=() if service.ledger is None else service.ledger.troubles(),
            database=service.store.name,
        )


def visitor_of(request: "Request") -> Visitor:
    """Who looks, and what makes sense to show them."""
    looker = signed_in(request)
    return Visitor(looker.name, looker.may("operate"), looker.csrf, looker.session, looker.may("submit"))


def _meters(host: Host) -> tuple[tuple[str, str], ...]:
    """What is metered here, and how each number is got."""
    gpus = tuple((f"{each.name} {each.uuid}", "energy counter or power, by NVML") for each in host.gpus)
    cpu = f"counter where this kernel lets it be read, else of {host.tdp_w:g} W by load ({host.tdp_source})"
    note = (("GPUs", host.gpu_note),) if host.gpu_note else ()
    return (*gpus, *note, (host.cpu_name or "CPU", cpu))


def routes(api: "FastAPI", service: Service, overview: Overview, changes: Changes) -> None:
    """Adds the page to the application."""
    views.routes(api, FrontDesk(service, overview, changes), visitor_of)
