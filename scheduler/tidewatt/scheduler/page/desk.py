"""What the page asks of the daemon; the same answers and the same checks as of the API."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tidewatt.scheduler.accounting.report_schema import Report
from tidewatt.scheduler.decision_schema import BackupView, DecisionView
from tidewatt.scheduler.operator_schema import (
    DrainRequest,
    ExplainReply,
    ExplainRequest,
    RegionsView,
    ShiftingRequest,
)
from tidewatt.scheduler.request_schema import PlanReply, PlanRequest, SubmitReply, SubmitRequest
from tidewatt.scheduler.schemas import ArrayView, JobView
from tidewatt.scheduler.status_schema import ForecastView, StatusView
from tidewatt.scheduler.try_schema import TryReply


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks: `name` "" for nobody in particular. `csrf` goes with every form that changes something."""

    name: str = ""
    operator: bool = True
    csrf: str = ""
    leaves: bool = False  # signed in by a session that can be ended
    submits: bool = True


@dataclass(frozen=True, slots=True)
class Tail:
    """The last lines that a job wrote; `trouble` says why there are none."""

    text: str
    cut: bool = False  # there is more before
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Power:
    """Mean watts over steps of `[start_ms, end_ms)`, None where nothing was read; `how` for people."""

    start_ms: tuple[int, ...] = ()
    end_ms: tuple[int, ...] = ()
    watts: tuple[float | None, ...] = ()
    how: str = ""

    @property
    def latest_w(self) -> float | None:
        """Of the newest step that is known."""
        return next((each for each in reversed(self.watts) if each is not None), None)


@dataclass(frozen=True, slots=True)
class Rules:
    """The operator's rules as they stand in the file at `path`; `digest` is that of the whole file."""

    path: str
    text: str
    digest: str
    trouble: str = ""  # why they cannot be edited here


@dataclass(frozen=True, slots=True)
class Change:
    """A job that other rules would treat otherwise in a region; both in words."""

    job: str
    region: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Checked:
    """Rules that can be taken: how many there are, and which of `looked_at` jobs they concern."""

    rules: int
    looked_at: int
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """How a live source answered last; `at` is when it last did, None where it never did."""

    name: str
    zone: str
    what: str
    ok: bool
    at: datetime | None
    text: str


@dataclass(frozen=True, slots=True)
class Health:
    """What a daemon runs on: its sources, how each device is metered, and what is wrong with the ledger."""

    sources: tuple[Source, ...]
    meters: tuple[tuple[str, str], ...]
    ledger: tuple[str, ...]
    database: str


class Desk(Protocol):
    """The daemon as the page sees it. Every verb raises SchedulerError or BackendError, for people."""

    def now(self) -> datetime:
        """The daemon's own time, which a replay moves."""

    def status(self) -> StatusView:
        """The daemon now."""

    def jobs(self, states: tuple[str, ...], before: int | None, limit: int) -> list[JobView]:
        """Jobs in these states, newest first, an array as one of them."""

    def job(self, key: str) -> JobView | ArrayView:
        """One job with its history, or an array."""

    def act(self, key: str, verb: str) -> None:
        """Does `cancel`, `hold`, `release`, `start`, `pause` or `resume`."""

    def plan(self, request: PlanRequest) -> PlanReply:
        """The decision that `submit` would make."""

    def submit(self, request: SubmitRequest) -> SubmitReply:
        """Takes a job in."""

    def forecast(self, zone: str, signal: str, hours: float) -> ForecastView:
        """Intensity ahead."""

    def observed(self, zone: str, signal: str, start: datetime, end: datetime) -> Sequence[tuple[int, float]]:
        """What was observed by the hour, as milliseconds and gCO2/kWh."""

    def report(self, since_s: float | None, by: str, baseline: str) -> Report:
        """What ended jobs used and saved."""

    def regions(self) -> RegionsView:
        """All regions; engines are asked."""

    def explain(self, request: ExplainRequest) -> ExplainReply:
        """Which rule decides where a job may go."""

    def drain(self, what: str, request: DrainRequest) -> None:
        """Nothing new starts there."""

    def undrain(self, what: str) -> None:
        """New starts are let in again."""

    def shift(self, request: ShiftingRequest) -> None:
        """Switches shifting."""

    def rules(self) -> Rules:
        """The rules as they stand."""

    def check_rules(self, text: str) -> Checked:
        """What other rules would change."""

    def try_rules(self, text: str) -> TryReply:
        """What other rules would have changed for the jobs of the last 30 days."""

    def put_rules(self, text: str, digest: str) -> None:
        """Puts them in force, where the file still has that digest."""

    def decisions(self) -> tuple[DecisionView, ...]:
        """What operators decided, newest first."""

    def undo(self, number: int) -> None:
        """Has hold again what held before a decision."""

    def backups(self) -> BackupView:
        """The newest backup."""

    def tail(self, job: JobView) -> Tail:
        """The end of what a job wrote."""

    def power(self, job: JobView) -> Power:
        """What a job that runs draws."""

    def health(self) -> Health:
        """Sources, meters, ledger."""
