"""Jobs and attempts as the store keeps them, and plans in the integers of the event table."""

from dataclasses import dataclass
from typing import Any

from tidewatt.backends.clock import moment, time_ms
from tidewatt.scheduler.jobs import AttemptState, JobState, Need, SettlementState
from tidewatt.scheduler.plan import Beside, GpuKind, Plan, Stint, Why, Window


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A row of the `job` table; `id` is 0 until it is stored."""

    id: int
    state: JobState
    since_ms: int
    reason: str
    user: str
    name: str
    project: str
    labels: dict[str, str]
    argv: tuple[str, ...]
    cwd: str
    stdout: str
    stderr: str
    outputs: dict[str, str]  # as they were asked for, `%j` not yet replaced
    submitted_ms: int
    finish_by_ms: int | None
    start_by_ms: int | None
    duration_ms: int
    duration_source: str
    time_limit_ms: int | None
    gpus: int
    gpu_kind: str
    cpus: int
    mem_mb: int
    regions: tuple[str, ...]
    exclude_regions: tuple[str, ...]
    late: bool
    asked: bool
    stopping: bool
    power_mw: int
    power_source: str
    source: dict[str, Any]
    snapshot: bool
    umask: int
    keeps_env: bool
    frozen: dict[str, Any]
    plan: Plan | None
    at_risk: str
    warnings: tuple[str, ...]
    ended_ms: int | None
    settlement_state: SettlementState
    settlement: dict[str, Any] | None
    array: int = 0  # the number of its array, which is that of the first task; 0: none
    array_task: int = 0
    array_size: int = 0
    array_limit: int = 0  # at most so many at a time; 0: any number
    after: tuple[int, ...] = ()  # jobs that have to be done before
    after_any: tuple[int, ...] = ()  # jobs that have to have ended before, however
    priority: int = 0
    retries: int = 0  # allowed after failures
    retried: int = 0  # used
    not_before_ms: int | None = None  # the pause after a failure
    kinds: tuple[GpuKind, ...] = ()
    data_mb: int = 0
    postponed: int = 0  # how often a plan moved its start later
    guard_ms: int | None = None  # the duration that its deadline is kept with; None: `duration_ms`
    estimate_ms: int | None = None  # the owner's own, where there is one
    pausing: dict[str, Any] | None = None  # how it may be interrupted; None: it may not
    progress_ms: int = 0  # work of its paused attempts that was kept, as on hardware of speed 1
    paused: str = ""  # who paused it: "plan" or "owner"
    uid: int | None = None  # the system user it runs as; None: the daemon's own

    @property
    def key(self) -> str:
        """What it is called: its number, for a task of an array that of the array and its own."""
        return f"{self.array}_{self.array_task}" if self.array else str(self.id)

    @property
    def predecessors(self) -> frozenset[int]:
        """Jobs that have to end before it starts."""
        return frozenset((*self.after, *self.after_any))

    @property
    def need(self) -> Need:
        """What the job occupies while it runs."""
        return Need(self.gpus, self.gpu_kind, self.cpus, self.mem_mb)


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """A row of the `attempt` table; `factors` are zones by signal, `pue_micro` and `pue_source`."""

    id: str
    job_id: int
    state: AttemptState
    since_ms: int
    region: str
    pool: str
    gpu_uuids: tuple[str, ...]
    launched_ms: int
    factors: dict[str, Any]
    started_ms: int | None = None
    ended_ms: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""

    @property
    def backend(self) -> str:
        """The kind of backend that runs it."""
        return str(self.factors.get("backend", "local"))

    @property
    def number(self) -> int:
        """1 for the job's first attempt."""
        return int(self.id.partition(".")[2])


def plan_record(plan: Plan) -> dict[str, Any]:
    """The plan in integers and strings; what is not known is left out."""
    known = {
        "immediate_start_ms": plan.immediate_start and time_ms(plan.immediate_start),
        "mean_mg_per_kwh": _thousandths(plan.mean_gco2_per_kwh),
        "immediate_mg_per_kwh": _thousandths(plan.immediate_gco2_per_kwh),
        "expected_ug": _millionths(plan.expected_g),
        "immediate_ug": _millionths(plan.immediate_g),
    }
    return {
        "job_id": plan.job_id,
        "region": plan.region,
        "pool": plan.pool,
        "start_ms": time_ms(plan.window.start),
        "end_ms": time_ms(plan.window.end),
        "why": str(plan.why),
        "reason": plan.reason,
        "signal": plan.signal,
        "note": plan.note,
        "sources": list(plan.sources),
        **{key: value for key, value in known.items() if value is not None},
        **({} if plan.beside is None else {"beside": _beside_record(plan.beside)}),
        **({"stints": [_stint_record(stint) for stint in plan.stints]} if plan.stints else {}),
    }


def plan_of(record: dict[str, Any]) -> Plan:
    """The plan that `plan_record` wrote down."""
    immediate_ms = record.get("immediate_start_ms")
    beside = record.get("beside")
    return Plan(
        job_id=record["job_id"],
        region=record["region"],
        pool=record["pool"],
        window=Window(moment(record["start_ms"]), moment(record["end_ms"])),
        why=Why(record["why"]),
        reason=record["reason"],
        signal=record["signal"],
        note=record["note"],
        mean_gco2_per_kwh=_scaled(record.get("mean_mg_per_kwh"), 1e-3),
        immediate_start=None if immediate_ms is None else moment(immediate_ms),
        immediate_gco2_per_kwh=_scaled(record.get("immediate_mg_per_kwh"), 1e-3),
        expected_g=_scaled(record.get("expected_ug"), 1e-6),
        immediate_g=_scaled(record.get("immediate_ug"), 1e-6),
        sources=tuple(record["sources"]),
        beside=None if beside is None else _beside_of(beside),
        stints=tuple(_stint_of(stint) for stint in record.get("stints", ())),
    )


def kind_record(kind: GpuKind) -> dict[str, Any]:
    """A kind of GPU in integers and strings."""
    return {
        "kind": kind.kind,
        "speed_thousandths": round(kind.speed * 1e3),
        "power_thousandths": round(kind.power * 1e3),
    }


def kind_of(record: dict[str, Any]) -> GpuKind:
    """The kind that `kind_record` wrote down."""
    return GpuKind(record["kind"], record["speed_thousandths"] / 1e3, record["power_thousandths"] / 1e3)


def _beside_record(beside: Beside) -> dict[str, Any]:
    return {
        "signal": beside.signal,
        "expected_ug": round(beside.expected_g * 1e6),
        "immediate_ug": round(beside.immediate_g * 1e6),
    }


def _beside_of(record: dict[str, Any]) -> Beside:
    return Beside(record["signal"], record["expected_ug"] * 1e-6, record["immediate_ug"] * 1e-6)


def _stint_record(stint: Stint) -> dict[str, Any]:
    start_ms, end_ms = time_ms(stint.window.start), time_ms(stint.window.end)
    return {"region": stint.region, "pool": stint.pool, "start_ms": start_ms, "end_ms": end_ms}


def _stint_of(record: dict[str, Any]) -> Stint:
    window = Window(moment(record["start_ms"]), moment(record["end_ms"]))
    return Stint(record["region"], record["pool"], window)


def _thousandths(value: float | None) -> int | None:
    return None if value is None else round(value * 1e3)


def _millionths(value: float | None) -> int | None:
    return None if value is None else round(value * 1e6)


def _scaled(value: int | None, factor: float) -> float | None:
    return None if value is None else value * factor
