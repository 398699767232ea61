"""What the daemon tells of itself, its regions and the grid; also the form of `--json`."""

from pydantic import AwareDatetime, Field

from tidewatt.scheduler.operator_schema import DrainView, ShiftingView
from tidewatt.scheduler.schemas import CertificateView, JobView, Message


class ForeignView(Message):
    """Somebody else's process on one of our GPUs."""

    gpu_uuid: str
    pid: int
    command: str
    user: str
    since: AwareDatetime


class RegionView(Message):
    """A region now."""

    name: str
    zone: str
    signal: str
    gco2_per_kwh: float | None
    intensity_source: str
    gpus: int
    gpus_free: int
    cpus: int
    cpus_free: int
    pue: float
    pue_source: str
    home: bool
    backend: str = "local"
    experimental: bool = False
    shut: str = ""  # why nothing new starts there now


class StatusView(Message):
    """The daemon now.

    On a shared server `group` is whom it serves and `you` who asks; `jobs` are then your own, and `others`
    those of everybody else that have not ended, `others_gpus` what these use now.
    """

    version: str
    pid: int
    home: str
    socket: str
    listen: str
    now: AwareDatetime
    replay_factor: float
    replaying: bool
    hindsight: bool
    zone: str
    signal: str
    regions: tuple[RegionView, ...]
    foreign: tuple[ForeignView, ...]
    jobs: dict[str, int]
    running: tuple[JobView, ...]
    next: JobView | None
    at_risk: tuple[JobView, ...]
    warnings: tuple[str, ...]
    certificate: CertificateView | None = None
    group: str = ""
    you: str = ""
    others: dict[str, int] = Field(default_factory=dict)
    others_gpus: int = 0
    shifting: ShiftingView = ShiftingView(on=True)
    drains: tuple[DrainView, ...] = ()


class StepView(Message):
    """One step `[start, end)` of an outlook."""

    start: AwareDatetime
    end: AwareDatetime
    gco2_per_kwh: float
    p10: float | None
    p90: float | None


class SegmentView(Message):
    """One stretch of an outlook from one source; borders are the seams."""

    start: AwareDatetime
    end: AwareDatetime
    rung: str
    source: str
    issued_at: AwareDatetime | None


class ForecastView(Message):
    """Carbon intensity ahead of one zone, as known `now`."""

    zone: str
    zone_name: str
    signal: str
    kind: str
    now: AwareDatetime
    steps: tuple[StepView, ...]
    segments: tuple[SegmentView, ...]
    note: str


class LimitView(Message):
    """What a user or a project may have at a time; None: any number."""

    running: int | None
    waiting: int | None
    gpus: int | None
    priority: int | None


class ShareView(Message):
    """What a user or a project had of the GPUs lately, and has now.

    Of those who wait, the one with the fewest `weighted_gpu_hours` comes first, where weights are configured.
    """

    name: str
    project: bool
    weight: float
    gpu_hours: float
    weighted_gpu_hours: float
    running: int
    waiting: int
    gpus: int
    limit: LimitView


class SharesView(Message):
    """Fair shares of the last `days`; `gpu_hours` are everybody's. `weighed`: the planner goes by them."""

    days: int
    weighed: bool
    gpu_hours: float
    shares: tuple[ShareView, ...]
