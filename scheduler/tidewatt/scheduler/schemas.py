"""Records as they travel between the daemon and its clients; also the form of `--json`."""

from pydantic import AwareDatetime, Field

from tidewatt.scheduler.plan_schema import BesideView as BesideView
from tidewatt.scheduler.plan_schema import KindView as KindView
from tidewatt.scheduler.plan_schema import Message as Message
from tidewatt.scheduler.plan_schema import PlanView as PlanView
from tidewatt.scheduler.plan_schema import StintView as StintView


class AttemptView(Message):
    """One try at running a job. Zones by signal, hardware and site are those of its launch, "" not known.

    `cloud` is the provider's name, "" for own hardware, None where that is not known. In a replay a real
    second is `replay_factor` of these times; energy is that of real ones.
    """

    attempt_id: str
    state: str
    region: str
    gpu_uuids: tuple[str, ...]
    launched: AwareDatetime
    started: AwareDatetime | None
    ended: AwareDatetime | None
    exit_code: int | None
    signal: int | None
    reason: str
    zones: dict[str, str] = Field(default_factory=dict)
    gpu_model: str = ""
    cpu_model: str = ""
    site: str = ""
    cloud: str | None = None
    replay_factor: float = 1.0
    backend: str = "local"


class OutputView(Message):
    """What an attempt elsewhere has written: `data` (base64) goes up to the byte `offset`.

    `following` is its job's next attempt elsewhere, "" where there is none.
    """

    attempt_id: str
    offset: int
    data: str
    following: str


class EventView(Message):
    """One line of a job's history."""

    time: AwareDatetime
    kind: str
    reason: str
    detail: dict[str, int | str] = Field(default_factory=dict)


class ComponentView(Message):
    """Energy of one component, PUE not applied. `how`: measured, modelled, missing."""

    component: str
    how: str
    source: str
    energy_j: float | None
    active_j: float | None
    coverage: float


class PhaseView(Message):
    """What a job did for how long, over all attempts, and the energy of it, PUE not applied.

    `label` is the training script's own word. Energy is None where none was metered. `lost` is True for
    running time whose work no later attempt kept.
    """

    phase: str
    label: str = ""
    lost: bool = False
    seconds: float
    energy_j: float | None
    active_j: float | None


class PauseView(Message):
    """What one pause took, see `accounting.pauses.PauseUse`; energy is None where none was metered."""

    attempt_id: str
    by: str
    at: AwareDatetime
    region: str = ""
    next_region: str = ""
    saving_s: float
    saving_j: float | None
    standing_s: float = 0.0
    standing_j: float | None = None
    coming_back_s: float | None = None
    coming_back_j: float | None = None
    lost_s: float = 0.0
    lost_j: float | None = None
    moved_j: float | None = None


class LeversView(Message):
    """A saving taken apart, see `scheduler.accounting.levers.Levers`, in grams."""

    time_feasible_g: float | None
    time_hypothetical_g: float | None
    region_g: float
    efficiency_g: float
    pauses_g: float
    lost_work_g: float
    transfer_g: float
    unverified_efficiency_g: float | None = None


class IntervalView(Message):
    """The 90 % interval of a saving in grams; it covers the errors `quantified`, and none of the others.

    `covered` is the share of what is at stake whose meter has a quantified error: below 0.95 the interval is
    one of known errors alone, and tells little of how far the saving may be off.
    """

    low_g: float
    high_g: float
    draws: int
    quantified: tuple[str, ...]
    not_quantified: tuple[str, ...]
    covered: float


class EmbodiedView(Message):
    """A job's share of what making its hardware emitted, in grams; never used in decisions."""

    low_g: float
    central_g: float
    high_g: float
    sources: tuple[str, ...]


class LedgerView(Message):
    """One signal's account, PUE applied. `g` is all energy; actual and baselines hold the draw above idle.

    Baselines and savings are None where a baseline cannot be known. `forecast_saved_g` is what the plan at
    launch promised against starting at once. `grade`: verified, estimated, inconclusive, "" where no saving
    is known. The interval is that of the saving against the feasible baseline.
    """

    signal: str
    source: str
    kind: str = ""
    g: float
    actual_g: float
    feasible_g: float | None
    hypothetical_g: float | None
    saved_feasible_g: float | None
    saved_hypothetical_g: float | None
    forecast_saved_g: float | None = None
    levers: LeversView | None = None
    interval: IntervalView | None = None
    grade: str = ""


class SettlementView(Message):
    """What a job used and saved; ledgers of different signals are never added.

    `waited_s` counts from submission, `held_back_s` from `feasible_start` (negative: it ran before its turn).
    `signals_disagree`: by one signal carbon was saved, by another lost, and no saving is a headline.
    `counts` are what the training script reported ("tokens": 1000000). `boundary` says what the meters saw.
    """

    state: str
    settled_at: AwareDatetime | None
    energy_j: float | None
    facility_j: float | None
    pue: float
    pue_source: str
    components: tuple[ComponentView, ...]
    ledgers: tuple[LedgerView, ...]
    waited_s: float
    held_back_s: float | None = None
    idle_gpu_s: float
    feasible_start: AwareDatetime | None
    notes: tuple[str, ...]
    phases: tuple[PhaseView, ...] = ()
    pauses: tuple[PauseView, ...] = ()
    counts: dict[str, int] = Field(default_factory=dict)
    embodied: EmbodiedView | None = None
    grade: str = ""
    signals_disagree: bool = False
    boundary: str = ""
    method_version: str = ""


class JobView(Message):
    """A job as clients see it; `events` only where one job was asked for.

    `key` is what it is called: its number, or "12_3" for task 3 of array 12. `tasks` counts the tasks of its
    array by state, where the job stands for all of them. `guard_s` is the duration that the deadline is kept
    with, None for `duration_s`. `postponed` counts how often a plan moved its start later.
    """

    id: int
    name: str
    state: str
    since: AwareDatetime
    reason: str
    user: str
    project: str
    labels: dict[str, str]
    argv: tuple[str, ...]
    cwd: str
    submitted: AwareDatetime
    finish_by: AwareDatetime | None
    start_by: AwareDatetime | None
    duration_s: float
    duration_source: str
    time_limit_s: float | None
    gpus: int
    gpu_kind: str
    cpus: int
    mem_mb: int
    stdout: str
    stderr: str
    plan: PlanView | None
    at_risk: str
    warnings: tuple[str, ...]
    attempts: tuple[AttemptView, ...]
    settlement: SettlementView | None
    commit: str
    events: tuple[EventView, ...] = ()
    key: str = ""
    array: int = 0
    array_task: int = 0
    array_size: int = 0
    array_limit: int = 0
    tasks: dict[str, int] = Field(default_factory=dict)
    after: tuple[str, ...] = ()
    after_any: tuple[str, ...] = ()
    priority: int = 0
    retries: int = 0
    retried: int = 0
    not_before: AwareDatetime | None = None
    kinds: tuple[KindView, ...] = ()
    data_gb: float = 0.0
    postponed: int = 0
    pausable: bool = False
    paused: str = ""  # who paused it, or asked for that: "plan", "owner"
    progress_s: float = 0.0  # of work that its paused attempts have done, as on hardware of speed 1
    guard_s: float | None = None
    also: tuple[str, ...] = ()  # in the answer to `cancel`: the jobs that go with it, as they run after it
    lot: str = ""  # what a lot decided for the comparison of jobs that wait with jobs that run at once


class ArrayView(Message):
    """All tasks of an array, in order. `state` is that of the whole: ended when all of them have.

    `start` and `end` are of the planned windows together; grams are summed over the plans, None where one of
    them does not know.
    """

    id: int
    key: str
    name: str
    state: str
    reason: str
    size: int
    limit: int
    tasks: dict[str, int]
    start: AwareDatetime | None
    end: AwareDatetime | None
    expected_g: float | None
    immediate_g: float | None
    jobs: tuple[JobView, ...]
    also: tuple[str, ...] = ()  # as of a job


class CertificateView(Message):
    """How good the newest plan of the whole queue is, proved, and which planner made it.

    `gap` is how far it can at most be from the best possible, `captured` the share of the provably possible
    saving that it has; None where nothing could be saved.
    """

    planner: str
    jobs: int
    gap: float | None
    captured: float | None


class Problem(Message):
    """A refusal (RFC 9457). `exit_code` is the CLI's: 1 refused, 2 bad input."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    exit_code: int = 1
