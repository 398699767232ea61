"""What travels between the daemon and its clients; also the form of `--json`."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

LONGEST_S = 366 * 86_400.0  # of a duration or a time limit
MOST_RETRIES = 100
MOST_GPUS = MOST_CPUS = 100_000  # of one job
MOST_MEM_MB = 2**30  # of one job: a pebibyte
Priority = Annotated[int, Field(ge=-100, le=100)]
Retries = Annotated[int, Field(ge=0, le=MOST_RETRIES)]


class Message(BaseModel):
    """A frozen message; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Message):
    """The working tree as it was at submit. `method` says what `digest` covers."""

    digest: str
    method: str
    commit: str = ""
    dirty: bool = False
    diff: str = ""


class KindView(Message):
    """A kind of GPU that a job accepts, see `scheduler.plan.GpuKind`."""

    kind: Annotated[str, Field(min_length=1)]
    speed: Annotated[float, Field(gt=0, le=1000)] = 1.0
    power: Annotated[float, Field(gt=0, le=1000)] = 1.0


class PlanRequest(Message):
    """When, where and with what a job may run.

    `after` names jobs that have to be done before, `after_any` those that have to have ended, however: by
    number ("12"), or as a task of an array ("12_3").
    """

    duration_s: Annotated[float, Field(gt=0, le=LONGEST_S)] | None = None
    time_limit_s: Annotated[float, Field(gt=0, le=LONGEST_S)] | None = None
    finish_by: AwareDatetime | None = None
    start_by: AwareDatetime | None = None
    gpus: Annotated[int, Field(ge=0, le=MOST_GPUS)] = 0
    gpu_kind: str = ""
    cpus: Annotated[int, Field(ge=1, le=MOST_CPUS)] = 1
    mem_mb: Annotated[int, Field(ge=0, le=MOST_MEM_MB)] = 0
    regions: tuple[str, ...] = ()
    exclude_regions: tuple[str, ...] = ()
    late: bool = False
    kinds: tuple[KindView, ...] = ()
    priority: Priority = 0
    data_gb: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    after: tuple[str, ...] = ()
    after_any: tuple[str, ...] = ()


class SubmitRequest(PlanRequest):
    """A job. `env` is the environment to keep, None for none; it is kept in the job's folder only.

    With `array` it becomes one job for each of these task numbers, of which at most `array_limit` (0: any
    number) run at a time. `over_budget` is the consent that a budget may ask for.
    """

    argv: Annotated[tuple[str, ...], Field(min_length=1)]
    cwd: str
    env: dict[str, str] | None = None
    name: str = ""
    project: str = ""
    labels: dict[str, str] = {}
    stdout: str = ""
    stderr: str = ""
    hold: bool = False
    snapshot: bool = False
    umask: Annotated[int, Field(ge=0, le=0o777)] = 0o077
    source: Source | None = None
    retries: Retries = 0
    array: tuple[Annotated[int, Field(ge=0)], ...] = ()
    array_limit: Annotated[int, Field(ge=0)] = 0
    over_budget: bool = False


class UpdateRequest(Message):
    """What may change of a job that has not started; None leaves a value as it is."""

    duration_s: Annotated[float, Field(gt=0, le=LONGEST_S)] | None = None
    time_limit_s: Annotated[float, Field(gt=0, le=LONGEST_S)] | None = None
    finish_by: AwareDatetime | None = None
    start_by: AwareDatetime | None = None
    name: str | None = None
    project: str | None = None
    regions: tuple[str, ...] | None = None
    exclude_regions: tuple[str, ...] | None = None
    late: bool = False
    priority: Priority | None = None
    retries: Retries | None = None


class RerunRequest(Message):
    """Runs a job again, in the caller's environment."""

    env: dict[str, str] | None = None


class BesideView(Message):
    """What a plan means by the other signal; never added to the first."""

    signal: str
    expected_g: float
    immediate_g: float


class PlanView(Message):
    """A plan, see `scheduler.plan.Plan`."""

    region: str
    pool: str
    start: AwareDatetime
    end: AwareDatetime
    why: str
    reason: str
    signal: str
    note: str
    mean_gco2_per_kwh: float | None
    immediate_start: AwareDatetime | None
    immediate_gco2_per_kwh: float | None
    expected_g: float | None
    immediate_g: float | None
    sources: tuple[str, ...]
    beside: BesideView | None = None


class SlackOffer(Message):
    """What a given slack would be expected to save against starting at once; None where nothing is known."""

    slack_h: float
    start: AwareDatetime | None
    saving_percent: float | None


class PlanReply(Message):
    """A decision without a job. `empty_queue`: no daemon was asked; `power_source`: how grams were got."""

    plan: PlanView
    offers: tuple[SlackOffer, ...]
    power_w: float
    power_source: str
    duration_s: float
    duration_source: str
    empty_queue: bool = False
    hindsight: bool = False


class AttemptView(Message):
    """One try at running a job. Zones by signal, hardware and site are those of its launch, "" not known.

    `cloud` is the provider's name, "" for own hardware, None where that is not known.
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
    zones: dict[str, str] = {}
    gpu_model: str = ""
    cpu_model: str = ""
    site: str = ""
    cloud: str | None = None


class EventView(Message):
    """One line of a job's history."""

    time: AwareDatetime
    kind: str
    reason: str
    detail: dict[str, int | str] = {}


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
    """The 90 % interval of a saving in grams; it covers the errors `quantified`, and none of the others."""

    low_g: float
    high_g: float
    draws: int
    quantified: tuple[str, ...]
    not_quantified: tuple[str, ...]


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
    counts: dict[str, int] = {}
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
    tasks: dict[str, int] = {}
    after: tuple[str, ...] = ()
    after_any: tuple[str, ...] = ()
    priority: int = 0
    retries: int = 0
    retried: int = 0
    not_before: AwareDatetime | None = None
    kinds: tuple[KindView, ...] = ()
    data_gb: float = 0.0
    postponed: int = 0
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


class SubmitReply(Message):
    """An acknowledged job: durable when this is sent. `power_source` says how expected grams were got.

    Of an array `job` is the first task, and `array` tells of all without listing them.
    """

    job: JobView
    offers: tuple[SlackOffer, ...]
    power_w: float
    power_source: str
    array: ArrayView | None = None


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
