"""Jobs with accounts, and their reports, for tests of exports: one number differs from the next."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from tidewatt.scheduler.accounting.report_schema import HoldOut, OwnUse, Report, ReportGroup, SignalTotal
from tidewatt.scheduler.exports.facts import Facts, facts
from tidewatt.scheduler.schemas import (
    AttemptView,
    ComponentView,
    EmbodiedView,
    IntervalView,
    JobView,
    LedgerView,
    LeversView,
    PhaseView,
    SettlementView,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
AVERAGE, MARGINAL = "average lifecycle CO2eq, production", "marginal direct CO2, production"
GPU = "GPU-11111111-2222-3333-4444-555555555555"
GPU_J, CPU_J, DRAM_J = 7_200_000.0, 1_800_000.0, 360_000.0
PUE = 1.25


def ledger(signal: str = "average", g: float = 800.0, **more: Any) -> LedgerView:
    """An account by one signal: 700 g above idle, 1,000 g in turn."""
    known: dict[str, Any] = {
        "signal": signal,
        "source": "grid.csv, observed",
        "kind": AVERAGE if signal == "average" else MARGINAL,
        "g": g,
        "actual_g": 700.0,
        "feasible_g": 1000.0,
        "hypothetical_g": 900.0,
        "saved_feasible_g": 300.0,
        "saved_hypothetical_g": 200.0,
        "forecast_saved_g": 350.0,
        "levers": LeversView(
            time_feasible_g=280.0, time_hypothetical_g=180.0, region_g=60.0, efficiency_g=0.0, pauses_g=-25.0,
            lost_work_g=-10.0, transfer_g=-5.0,
        ),
        "interval": IntervalView(
            low_g=120.0, high_g=460.0, draws=2000, quantified=("NVML counter", "PUE, assumed"),
            not_quantified=("grid.csv",), covered=0.97,
        ),
        "grade": "verified",
    }  # fmt: skip
    return LedgerView(**(known | more))


def account(*ledgers: LedgerView, **more: Any) -> SettlementView:
    """What a job used: 2.6 kWh at the machine, of three components."""
    energy_j = GPU_J + CPU_J + DRAM_J
    known: dict[str, Any] = {
        "state": "final",
        "settled_at": NOON + timedelta(days=4),
        "energy_j": energy_j,
        "facility_j": energy_j * PUE,
        "pue": PUE,
        "pue_source": "site meter 2025",
        "components": (
            part("cpu", CPU_J, "modelled", "utilisation x 120 W"),
            part("dram", DRAM_J, "measured", "RAPL"),
            part("gpu", GPU_J, "measured", "NVML energy counter", 0.99),
        ),
        "ledgers": ledgers,
        "waited_s": 7200.0,
        "held_back_s": 3600.0,
        "idle_gpu_s": 3600.0,
        "feasible_start": NOON - timedelta(hours=1),
        "notes": (),
        "phases": (
            PhaseView(phase="running", seconds=3400, energy_j=9e6, active_j=8e6),
            PhaseView(phase="pausing", seconds=200, energy_j=3.6e5, active_j=3e5),
        ),
        "embodied": EmbodiedView(low_g=10.0, central_g=20.0, high_g=35.0, sources=("BoaviztAPI 2.5.0",)),
        "grade": "verified",
        "boundary": "components only: node overhead not measured",
        "method_version": "2",
    }
    return SettlementView(**(known | more))


def part(
    name: str, energy_j: float | None, how: str, source: str = "RAPL", coverage: float = 1.0
) -> ComponentView:
    """A component of an account."""
    active = None if energy_j is None else energy_j * 0.8
    return ComponentView(
        component=name, how=how, source=source, energy_j=energy_j, active_j=active, coverage=coverage
    )


def attempt(number: int = 1, job: int = 7, **more: Any) -> AttemptView:
    """An hour of running from noon."""
    known: dict[str, Any] = {
        "attempt_id": f"{job}.{number}",
        "state": "ended",
        "region": "local",
        "gpu_uuids": (GPU,),
        "launched": NOON,
        "started": NOON,
        "ended": NOON + timedelta(hours=1),
        "exit_code": 0,
        "signal": None,
        "reason": "",
        "zones": {"average": "DE", "marginal": "DE"},
        "gpu_model": "NVIDIA A100-SXM4-40GB",
        "cpu_model": "AMD EPYC 7742",
        "site": "Frankfurt",
        "cloud": "",
    }
    return AttemptView(**(known | more))


def job(number: int = 7, settlement: SettlementView | None = None, **more: Any) -> JobView:
    """A done job of one attempt, with an account by both signals where none is given."""
    known: dict[str, Any] = {
        "id": number,
        "name": f"bert-{number}",
        "state": "done",
        "since": NOON + timedelta(hours=1),
        "reason": "",
        "user": "ada",
        "project": "nlp",
        "labels": {},
        "argv": ("python", "train.py"),
        "cwd": "/home/ada",
        "submitted": NOON - timedelta(hours=2),
        "finish_by": None,
        "start_by": None,
        "duration_s": 3600.0,
        "duration_source": "yours",
        "time_limit_s": None,
        "gpus": 1,
        "gpu_kind": "",
        "cpus": 8,
        "mem_mb": 0,
        "stdout": "out",
        "stderr": "out",
        "plan": None,
        "at_risk": "",
        "warnings": (),
        "attempts": (attempt(job=number),),
        "settlement": account(ledger(), ledger("marginal", 640.0)) if settlement is None else settlement,
        "commit": "",
        "key": str(number),
    }
    return JobView(**(known | more))


def receipt(number: int = 7, settlement: SettlementView | None = None, **more: Any) -> Facts:
    """What exports tell of such a job."""
    return facts([job(number, settlement, **more)])[0]


def total(signal: str = "average", **more: Any) -> SignalTotal:
    """The sums by one signal: 300 g of 1,000 g saved, 800 g emitted."""
    one = ledger(signal)
    known: dict[str, Any] = {
        "signal": signal,
        "kind": one.kind,
        "sources": (one.source,),
        "jobs": 1,
        "settled": 1,
        "emissions_g": one.g,
        "forecast_jobs": 1,
        "forecast_realised_g": 300.0,
        **{
            name: getattr(one, name)
            for name in (
                "actual_g", "feasible_g", "hypothetical_g", "saved_feasible_g", "saved_hypothetical_g",
                "forecast_saved_g", "levers", "interval", "grade",
            )
        },
    }  # fmt: skip
    return SignalTotal(**(known | more))


def group(key: str = "total", *signals: SignalTotal, **more: Any) -> ReportGroup:
    """The jobs of a group: one, final."""
    known: dict[str, Any] = {
        "key": key,
        "jobs": 1,
        "provisional": 0,
        "final": 1,
        "unverified": 0,
        "unsettled": 0,
        "unmetered": 0,
        "energy_kwh": 2.6,
        "facility_kwh": 3.25,
        "signals": signals,
        "signals_disagree": False,
        "waited_h": 2.0,
        "held_back_h": 1.0,
        "idle_gpu_h": 1.0,
    }
    return ReportGroup(**(known | more))


def report(whole: ReportGroup | None = None, groups: Iterable[ReportGroup] = (), **more: Any) -> Report:
    """A report of all time; of one job by both signals where no total is given."""
    known: dict[str, Any] = {
        "since": None,
        "by": "none",
        "groups": tuple(groups),
        "total": group("total", total(), total("marginal")) if whole is None else whole,
        "until": NOON + timedelta(days=5),
        "own": OwnUse(energy_kwh=0.002, emissions_g={"average": 0.6}, how="CPU time of daemon and meter"),
    }
    return Report(**(known | more))


def hold_out() -> HoldOut:
    """A hold-out with an effect."""
    return HoldOut(
        share=0.1, held_out=12, shifted=98, signal="average", mean_held_out=410.0, mean_shifted=290.0,
        effect=-120.0, low=-180.0, high=-55.0, note="Held-out jobs take GPUs from shifted ones.",
    )  # fmt: skip
