"""A desk without a daemon: what the screens show is made up here, and what they ask for is written down."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tidewatt.scheduler.accounting.report import report
from tidewatt.scheduler.accounting.report_schema import Report
from tidewatt.scheduler.decision_schema import BackupView, DecisionView
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.operator_schema import (
    DrainRequest,
    ExplainReply,
    ExplainRequest,
    PlaceView,
    RegionsView,
    ShiftingRequest,
    ShiftingView,
)
from tidewatt.scheduler.page.desk import Checked, Health, Power, Rules, Tail
from tidewatt.scheduler.request_schema import PlanReply, PlanRequest, SubmitReply, SubmitRequest
from tidewatt.scheduler.schemas import ArrayView, JobView, LedgerView, PlanView, SettlementView
from tidewatt.scheduler.status_schema import ForecastView, RegionView, SegmentView, StatusView, StepView
from tidewatt.scheduler.try_schema import ChangedView, SideView, TryReply, WaitsView

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def tried() -> TryReply:
    """A replay of two jobs, of which one would wait longer."""
    side = SideView(
        emissions_g={"average": 300.0}, energy_kwh=1.0, cost=0.3, late=0, moved=0, pauses=0, mean_wait_h=1.0,
        median_wait_h=1.0, refused=0,
    )  # fmt: skip
    change = ChangedView(
        job="7", user="ada", project="nlp", region_before="local", region_after="local", start_before=NOW,
        start_after=NOW + timedelta(hours=3), late_before=False, late_after=False, saved_g={"average": 100.0},
        saved_cost=0.1, refused="",
    )  # fmt: skip
    waits = WaitsView(
        name="ada", jobs=2, before_h=1.0, after_h=2.5, longest_before_h=2.0, longest_after_h=5.0
    )
    return TryReply(
        name="rules", since=NOW - timedelta(days=30), until=NOW, jobs=2, left_out=(), differs=("policy",),
        decided_by="average", in_force=side, tried=side, saved_g={"average": 100.0}, saved_cost=0.1,
        currency="EUR", elsewhere=0, later=1, sooner=0, late_only_tried=0, late_only_in_force=0,
        refused_only_tried=0, refused_only_in_force=0, changes=(change,), by_user=(waits,), by_project=(),
        unobserved=0.0, unknowable=("What people would have done.",),
    )  # fmt: skip


def job(number: int = 1, state: str = "waiting", **more: Any) -> JobView:
    """A job that is planned three hours from now."""
    made: dict[str, Any] = {
        "id": number,
        "key": str(number),
        "name": f"job {number}",
        "state": state,
        "since": NOW,
        "reason": "",
        "user": "ada",
        "project": "nlp",
        "labels": {},
        "argv": ("python", "train.py"),
        "cwd": "/home/ada",
        "submitted": NOW,
        "finish_by": NOW + timedelta(hours=12),
        "start_by": None,
        "duration_s": 3600.0,
        "duration_source": "yours",
        "time_limit_s": None,
        "gpus": 0,
        "gpu_kind": "",
        "cpus": 1,
        "mem_mb": 0,
        "stdout": "/tmp/out",
        "stderr": "/tmp/out",
        "plan": plan(),
        "at_risk": "",
        "warnings": (),
        "attempts": (),
        "settlement": None,
        "commit": "",
    }
    return JobView(**(made | more))


def plan(**more: Any) -> PlanView:
    """Of an hour, three hours from now."""
    made: dict[str, Any] = {
        "region": "here",
        "pool": "",
        "start": NOW + timedelta(hours=3),
        "end": NOW + timedelta(hours=4),
        "why": "carbon",
        "reason": "waits 3h for cleaner electricity",
        "signal": "average",
        "note": "",
        "mean_gco2_per_kwh": 200.0,
        "immediate_start": NOW,
        "immediate_gco2_per_kwh": 300.0,
        "expected_g": 20.0,
        "immediate_g": 30.0,
        "sources": ("a file",),
    }
    return PlanView(**(made | more))


def settlement(saved_g: float | None, state: str = "final") -> SettlementView:
    """An account by the average signal."""
    ledger = LedgerView(
        signal="average",
        source="a file",
        g=5.0,
        actual_g=4.0,
        feasible_g=None if saved_g is None else 4 + saved_g,
        hypothetical_g=None,
        saved_feasible_g=saved_g,
        saved_hypothetical_g=None,
    )
    return SettlementView(
        state=state,
        settled_at=NOW,
        energy_j=3600.0,
        facility_j=3600.0,
        pue=1.0,
        pue_source="assumed",
        components=(),
        ledgers=(ledger,),
        waited_s=60.0,
        idle_gpu_s=0.0,
        feasible_start=NOW,
        notes=(),
    )


@dataclass
class FakeDesk:
    """Shows `all_jobs`; `done` lists what was asked of it."""

    all_jobs: Sequence[JobView] = ()
    output: str = ""
    intensity: float | None = 250.0
    done: list[tuple[Any, ...]] = field(default_factory=list)
    decided: tuple[DecisionView, ...] = ()
    backup: BackupView = field(default_factory=BackupView)

    def now(self) -> datetime:
        return NOW

    def status(self) -> StatusView:
        counts: dict[str, int] = {}
        for each in self.all_jobs:
            counts[each.state] = counts.get(each.state, 0) + 1
        region = RegionView(
            name="here",
            zone="DE" if self.intensity is not None else "",
            signal="average",
            gco2_per_kwh=self.intensity,
            intensity_source="a file",
            gpus=2,
            gpus_free=1,
            cpus=4,
            cpus_free=4,
            pue=1.0,
            pue_source="assumed",
            home=True,
        )
        return StatusView(
            version="0",
            pid=1,
            home="/h",
            socket="/s",
            listen="",
            now=NOW,
            replay_factor=1.0,
            replaying=False,
            hindsight=False,
            zone="DE",
            signal="average",
            regions=(region,),
            foreign=(),
            jobs=counts,
            running=(),
            next=None,
            at_risk=(),
            warnings=(),
        )

    def jobs(self, states: tuple[str, ...], before: int | None, limit: int) -> list[JobView]:
        found = [each for each in self.all_jobs if not states or each.state in states]
        found = [each for each in found if before is None or each.id < before]
        return sorted(found, key=lambda each: -each.id)[:limit]

    def job(self, key: str) -> JobView | ArrayView:
        for each in self.all_jobs:
            if each.key == key:
                return each
        raise BadInput(f"there is no job {key}")

    def act(self, key: str, verb: str) -> None:
        self.done.append((verb, key))

    def plan(self, request: PlanRequest) -> PlanReply:
        return PlanReply(
            plan=plan(),
            offers=(),
            power_w=100.0,
            power_source="assumed",
            duration_s=request.duration_s or 3600,
            duration_source="yours",
        )

    def submit(self, request: SubmitRequest) -> SubmitReply:
        self.done.append(("submit", request))
        return SubmitReply(job=job(9), offers=(), power_w=100.0, power_source="assumed")

    def forecast(self, zone: str, signal: str, hours: float) -> ForecastView:
        hour = timedelta(hours=1)
        steps = tuple(
            StepView(start=NOW + hour * n, end=NOW + hour * (n + 1), gco2_per_kwh=200 + n, p10=150, p90=300)
            for n in range(int(hours))
        )
        segment = SegmentView(start=NOW, end=NOW + hour * hours, rung="live", source="a file", issued_at=NOW)
        return ForecastView(
            zone=zone,
            zone_name="Germany",
            signal=signal,
            kind="",
            now=NOW,
            steps=steps,
            segments=(segment,),
            note="",
        )

    def observed(self, zone: str, signal: str, start: datetime, end: datetime) -> Sequence[tuple[int, float]]:
        return [(int((NOW - timedelta(hours=2)).timestamp() * 1000), 240.0)]

    def report(self, since_s: float | None, by: str, baseline: str) -> Report:
        return report([], None, by, baseline=baseline, until=NOW)

    def regions(self) -> RegionsView:
        place = PlaceView(
            name="here",
            backend="local",
            experimental=False,
            home=True,
            zones={"average": "DE"},
            zone_source="",
            signal="average",
            gco2_per_kwh=self.intensity,
            intensity_source="a file",
            gpus={"a100": 2},
            gpus_free={"a100": 1},
            cpus=4,
            cpus_free=4,
            counted="this host",
            note="",
            queue_wait_s=None,
            queue_wait_source="",
            open="open",
            sentence="",
            hours=(),
            time_zone="",
            drained_gpus=(),
            health="answers",
            trouble="",
            answered=None,
            pue=1.0,
            pue_source="assumed",
            price_per_kwh=0.0,
            data=(),
            running=0,
        )
        return RegionsView(now=NOW, regions=(place,), shifting=ShiftingView(on=True))

    def explain(self, request: ExplainRequest) -> ExplainReply:
        return ExplainReply(
            job="a job",
            user=request.user or "ada",
            groups=(),
            project=request.project,
            labels={},
            verdicts=(),
        )

    def drain(self, what: str, request: DrainRequest) -> None:
        self.done.append(("drain", what, request))

    def undrain(self, what: str) -> None:
        self.done.append(("undrain", what))

    def shift(self, request: ShiftingRequest) -> None:
        self.done.append(("shift", request.on))

    def rules(self) -> Rules:
        return Rules("/etc/tidewatt.toml", '[[policy]]\nname = "</textarea><script>"', "abc")

    def check_rules(self, text: str) -> Checked:
        if "broken" in text:
            raise BadInput("line 1 is broken")
        return Checked(1, 0, ())

    def try_rules(self, text: str) -> TryReply:
        self.check_rules(text)
        return tried()

    def put_rules(self, text: str, digest: str) -> None:
        self.done.append(("rules", text, digest))

    def decisions(self) -> tuple[DecisionView, ...]:
        return self.decided

    def undo(self, number: int) -> None:
        self.done.append(("undo", number))

    def backups(self) -> BackupView:
        return self.backup

    def tail(self, job: JobView) -> Tail:
        return Tail(self.output)

    def power(self, job: JobView) -> Power:
        return Power()

    def health(self) -> Health:
        return Health((), (), (), "a file")
