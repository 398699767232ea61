"""What operators ask and are told of regions, drains, shifting and rules; also the form of `--json`."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from tidewatt.scheduler.policies.rule import Word
from tidewatt.scheduler.schemas import Message


class DrainView(Message):
    """A region or GPU that takes no new starts; `until` is None where that lasts until `undrain`."""

    what: str
    since: AwareDatetime
    until: AwareDatetime | None
    reason: str
    user: str


class ShiftingView(Message):
    """Whether jobs wait and move for cleaner electricity, and who decided otherwise."""

    on: bool
    since: AwareDatetime | None = None
    user: str = ""
    reason: str = ""


class PlaceView(Message):
    """A region with all that decides whether jobs go there; None and "" where something is not known.

    `open` is what holds now: "open", "closed" or "drained", and `sentence` says until when. `gpus` and
    `gpus_free` are by kind. `counted` says who counted what is free: us, or the engine. `health` is
    "answers", "silent", "not asked yet" or "cannot be used", and `trouble` says more. `price_per_kwh` is what
    holds now, 0 with "" as `price_source` where nobody states one; `frozen` says what does not start there.
    """

    name: str
    backend: str
    experimental: bool
    home: bool
    zones: dict[str, str]
    zone_source: str
    signal: str
    gco2_per_kwh: float | None
    intensity_source: str
    gpus: dict[str, int]
    gpus_free: dict[str, int]
    cpus: int
    cpus_free: int
    counted: str
    note: str
    queue_wait_s: float | None
    queue_wait_source: str
    open: Literal["open", "closed", "drained"]
    sentence: str
    hours: tuple[str, ...]
    time_zone: str
    drained_gpus: tuple[DrainView, ...]
    health: Literal["answers", "silent", "not asked yet", "cannot be used"]
    trouble: str
    answered: AwareDatetime | None
    pue: float
    pue_source: str
    price_per_kwh: float
    currency: str = ""
    price_source: str = ""
    max_price_per_kwh: float | None = None
    frozen: str = ""
    data: tuple[str, ...]
    running: int


class RegionsView(Message):
    """All regions now, and whether jobs are shifted at all."""

    now: AwareDatetime
    regions: tuple[PlaceView, ...]
    shifting: ShiftingView


class DrainRequest(Message):
    """Takes a region or a GPU (its UUID, or how that begins) out of use for new starts.

    With `evict`, jobs there that can save their work are paused, and go on where they may.
    """

    until: AwareDatetime | None = None
    reason: Annotated[str, Field(max_length=300)] = ""
    evict: bool = False


class EvictedView(Message):
    """A job that runs where nothing new starts: what was done about it, and why not more."""

    job: str
    evicted: bool
    sentence: str


class DrainReply(Message):
    """The drain as it holds now, and the jobs that run there."""

    drain: DrainView
    running: tuple[EvictedView, ...]


class ShiftingRequest(Message):
    """Switches shifting on or off."""

    on: bool
    reason: Annotated[str, Field(max_length=300)] = ""


class ExplainRequest(Message):
    """A job that nobody has submitted: whose it would be, and what it would need."""

    user: str = ""
    groups: tuple[str, ...] | None = None  # None: those of the user on this host
    project: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    gpus: Annotated[int, Field(ge=0, le=100_000)] = 0  # bounds as of a submission
    gpu_kind: str = ""
    cpus: Annotated[int, Field(ge=1, le=100_000)] = 1
    mem_mb: Annotated[int, Field(ge=0, le=2**30)] = 0
    data_gb: Annotated[float, Field(ge=0, le=1e9)] = 0.0


class VerdictView(Message):
    """What holds for a job in a region. `place` is the rule's `FILE:LINE`.

    `shut` says why nothing starts there now; `lacks` what it could never hold; both are "" where that is not
    so.
    """

    region: str
    word: Word
    rule: str
    place: str
    because: str
    sentence: str
    shut: str
    lacks: str


class ExplainReply(Message):
    """The verdicts by region, and whose job they are about; `planned` says how the rules have it planned."""

    job: str
    user: str
    groups: tuple[str, ...]
    project: str
    labels: dict[str, str]
    verdicts: tuple[VerdictView, ...]
    planned: tuple[str, ...] = ()


class ReloadRequest(Message):
    """Reads the configuration again; with `evict`, running jobs leave regions that are forbidden now."""

    evict: bool = False


class ReloadReply(Message):
    """What holds now, what needs a restart to hold, and jobs that run where they no longer may start."""

    path: str
    rules: int
    projects: int
    changed: tuple[str, ...]
    later: tuple[str, ...]
    running: tuple[EvictedView, ...]


class RulesView(Message):
    """What operators decide in the configuration file at `path`, as text; `digest` is of the whole file."""

    path: str
    text: str
    digest: str


class RulesText(Message):
    """Other rules to look at."""

    text: Annotated[str, Field(max_length=1_000_000)]


class RulesRequest(RulesText):
    """Rules to put in force, in place of those that the file with this digest has."""

    digest: Annotated[str, Field(max_length=100)]


class RuleChangeView(Message):
    """A job that other rules would treat otherwise in a region; both in words."""

    job: str
    region: str
    before: str
    after: str


class RulesCheckView(Message):
    """Rules that can be taken: how many verdicts there are, and which of `looked_at` jobs they change."""

    rules: int
    looked_at: int
    changes: tuple[RuleChangeView, ...]
