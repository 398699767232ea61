"""What clients ask of the daemon, and what it answers to that."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from tidewatt.scheduler.notices.table import Kind
from tidewatt.scheduler.pausing_schema import PausingRequest
from tidewatt.scheduler.schemas import ArrayView, JobView, KindView, Message, PlanView

LONGEST_S = 366 * 86_400.0  # of a duration or a time limit
MOST_RETRIES = 100
MOST_GPUS = MOST_CPUS = 100_000  # of one job
MOST_MEM_MB = 2**30  # of one job: a pebibyte
Priority = Annotated[int, Field(ge=-100, le=100)]
Retries = Annotated[int, Field(ge=0, le=MOST_RETRIES)]


class Source(Message):
    """The working tree as it was at submit. `method` says what `digest` covers."""

    digest: str
    method: str
    commit: str = ""
    dirty: bool = False
    diff: str = ""


class PlanRequest(Message):
    """When, where and with what a job may run.

    `after` names jobs that have to be done before, `after_any` those that have to have ended, however: by
    number ("12"), or as a task of an array ("12_3"). Without `pausing` it runs in one piece.
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
    pausing: PausingRequest | None = None
    project: str = ""
    labels: dict[str, str] = Field(default_factory=dict)


class SubmitRequest(PlanRequest):
    """A job. `env` is the environment to keep, None for none; it is kept in the job's folder only.

    With `array` it becomes one job for each of these task numbers, of which at most `array_limit` (0: any
    number) run at a time. `over_budget` is the consent that a budget may ask for,
    `notify` what its owner wants to be told of it, None for what their own settings say.
    """

    argv: Annotated[tuple[str, ...], Field(min_length=1)]
    cwd: str
    env: dict[str, str] | None = None
    name: str = ""
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
    notify: tuple[Kind, ...] | None = None


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
    notes: tuple[str, ...] = ()  # defaults of its project, and what the operator's rules say


class RehearseReply(Message):
    """A submission that was not carried out: its plan, and the `text` that its backend would send.

    `job` is the number that it would get now.
    """

    job: str
    region: str
    backend: str
    plan: PlanView
    text: str
    notes: tuple[str, ...] = ()


class SubmitReply(Message):
    """An acknowledged job: durable when this is sent. `power_source` says how expected grams were got.

    Of an array `job` is the first task, and `array` tells of all without listing them.
    """

    job: JobView
    offers: tuple[SlackOffer, ...]
    power_w: float
    power_source: str
    array: ArrayView | None = None
    notes: tuple[str, ...] = ()  # defaults of its project, and what the operator's rules say
