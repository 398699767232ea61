"""What is asked of the planner, and what it answers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tidewatt.scheduler.jobs import Need


@dataclass(frozen=True, slots=True)
class GpuKind:
    """A kind of GPU that a job accepts, and how it fares there against the kind that its estimates are of.

    `kind` is a word of the GPU's name. `speed` 2.0: done in half the time; `power` 1.5: draws half as much
    again.
    """

    kind: str
    speed: float = 1.0
    power: float = 1.0


@dataclass(frozen=True, slots=True)
class Milestone:
    """By `by`, this `share` of the work has to be done."""

    share: float
    by: datetime


@dataclass(frozen=True, slots=True)
class Pausing:
    """What it costs a job to be interrupted.

    `checkpoint` and `restart` are times in which it occupies its GPUs and makes no progress, before and after
    each pause; None as their energy (watt hours) means that it draws its usual power meanwhile. `suspended_w`
    is drawn while it is paused. `min_stint` is the least useful stretch of running between two pauses.
    `moves` allows another region after a pause.
    """

    checkpoint: timedelta = timedelta(0)
    restart: timedelta = timedelta(0)
    checkpoint_wh: float | None = None
    restart_wh: float | None = None
    suspended_w: float = 0.0
    min_stint: timedelta = timedelta(0)
    max_pauses: int | None = None
    milestones: tuple[Milestone, ...] = ()
    moves: bool = False


@dataclass(frozen=True, slots=True)
class PowerStep:
    """From this `share` of its run on, a job draws `ratio` times its mean power.

    A share of progress: on faster GPUs all steps get shorter alike.
    """

    share: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Weights:
    """What a job is weighed by instead of the operator's general policy; None: by that."""

    min_saving: float | None = None
    g_per_price: float | None = None
    g_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """The planner's view of one job: what it needs and when it may run.

    `duration` is the estimate to plan with (`duration_source` says whose: "yours", "time limit", "assumed",
    "learnt: ..."); `guard_duration` is the longer one that the deadline is kept with, None for the same.
    `finish_by` and `start_by` are None where no deadline was given. `late` accepts a later finish. `power_w`
    is the expected draw above idle, for showing grams (`power_source` says how it was got); where it changes
    while the job runs, it is the mean, and `power_steps` say how: the first at share 0, ascending, with a
    mean ratio of 1. Without steps it is constant. `at_once` asks to start as soon as it fits, whatever the
    deadline would allow, `by_lot` where a lot decided that. `release` is the first moment at which it may
    start (when those `after` which it runs are expected to end); `after` names waiting or running jobs that
    must end before. Of one `array` at most `array_limit` run at a time (0: any number). A higher `priority`
    is placed first. `kinds` are the kinds of GPU that it accepts, none: any kind that `need` allows, as fast
    as any. `pausing` is None for a job that runs in one piece. `data_gb` moves with it to another region.
    `postponed` counts how often its start was moved later.
    """

    job_id: int
    submitted: datetime
    need: Need
    duration: timedelta
    duration_source: str
    power_w: float
    power_source: str
    finish_by: datetime | None = None
    start_by: datetime | None = None
    regions: tuple[str, ...] = ()  # allowed ones; empty: all
    exclude_regions: tuple[str, ...] = ()
    home: str = "local"
    late: bool = False
    at_once: bool = False
    guard_duration: timedelta | None = None
    release: datetime | None = None
    after: tuple[int, ...] = ()
    array: str = ""
    array_limit: int = 0
    priority: int = 0
    kinds: tuple[GpuKind, ...] = ()
    pausing: Pausing | None = None
    data_gb: float = 0.0
    postponed: int = 0
    user: str = ""
    project: str = ""
    power_steps: tuple[PowerStep, ...] = ()
    by_lot: bool = False
    prefer: tuple[str, ...] = ()  # regions that come first: others only where none of these is in time
    unshifted: bool = False  # the operator has switched shifting off
    fixed: bool = False  # the operator has opted it out of shifting
    weights: Weights | None = None
    ceilings: tuple[tuple[str, float], ...] = ()  # by region the price per kWh above which it does not run
    dear: bool = False  # it would be late otherwise: no ceiling of a price holds for it

    @property
    def peak_w(self) -> float:
        """The draw of its highest step, which power limits count."""
        if not self.power_steps:
            return self.power_w
        return self.power_w * max(step.ratio for step in self.power_steps)


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open stretch of time `[start, end)`."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Stint:
    """A stretch in which a pausing job occupies its GPUs, restart and checkpoint included."""

    region: str
    pool: str
    window: Window


@dataclass(frozen=True, slots=True)
class Booking:
    """What a running, planned or foreign thing occupies in a region's pool of equal GPUs over a window."""

    region: str
    pool: str  # the GPU kind's name; "" for jobs without GPUs
    window: Window
    gpus: int
    cpus: int
    mem_mb: int = 0
    holder: str = ""  # "job 12", "pid 4711 python (alice)"
    power_w: float = 0.0  # IT power that it draws, for a region's power limit
    array: str = ""  # of the job that holds it, for the array's limit


class Why(StrEnum):
    """Why a plan's window was chosen."""

    CLEANEST = "cleanest"  # the cleanest window that meets the deadline
    NOW_IS_CLEANEST = "now is cleanest"
    NOTHING_TO_GAIN = (
        "nothing to gain"  # waiting would save less than min_saving, or be shorter than min_wait
    )
    NO_DEADLINE = "no deadline"  # no finish_by: starts as soon as it fits
    NO_DURATION = "no duration"  # a deadline, but neither duration nor time limit: starts as soon as it fits
    NO_SIGNAL = "no signal"  # no zone, or no intensity known for it
    LATE = "late"  # the deadline cannot be met and `late` was accepted
    ASKED = "asked"  # `tidewatt start`: as soon as it fits
    UNSHIFTED = "unshifted"  # the operator has switched shifting off: as soon as it fits
    OPTED_OUT = "opted out"  # a rule of the operator's keeps the job from being shifted: as soon as it fits
    HELD_OUT = "held out"  # by lot, for the comparison with jobs that wait: as soon as it fits
    GUARD = "guard"  # its latest start has come
    FOLLOWED = "followed"  # a job that waits for its end would be late otherwise: starts as soon as it fits


@dataclass(frozen=True, slots=True)
class Plan:
    """Where and when a job runs, and why. Intensities in gCO2/kWh as planned with; None where not known.

    The mean of a window counts each moment by the job's draw, where that changes.

    `expected_g` and `immediate_g` are grams for `power_w` above idle with the region's PUE: of this window,
    and of starting in the home region at the first instant at which it fits there. `beside` holds the same
    two by the other signal, where both are known. A plan with pauses has its `stints`, and its window spans
    them.
    """

    job_id: int
    region: str
    pool: str
    window: Window
    why: Why
    reason: str  # one sentence for people
    signal: str = ""  # the deciding one: "average", "marginal", "" where none
    note: str = ""  # "average only: ...", "planned in hindsight", "continued after 18:00 by ..."
    mean_gco2_per_kwh: float | None = None
    immediate_start: datetime | None = None
    immediate_gco2_per_kwh: float | None = None
    expected_g: float | None = None
    immediate_g: float | None = None
    sources: tuple[str, ...] = ()  # each segment of the outlook that the window touches, in words
    beside: "Beside | None" = None
    stints: tuple[Stint, ...] = ()


@dataclass(frozen=True, slots=True)
class Beside:
    """What the same plan means by the other signal: never added to the first."""

    signal: str
    expected_g: float
    immediate_g: float
