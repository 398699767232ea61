"""Places where jobs may run."""

from dataclasses import dataclass, field
from math import ceil

from tidewatt.scheduler.plan import Window


@dataclass(frozen=True, slots=True)
class Pool:
    """Equal GPUs of one region, `node_gpus` on each node (0: all on one): a job's GPUs are on one node.

    `speed` and `power` compare the kind with the one that estimates are of, for jobs that do not say it.
    """

    name: str
    gpus: int
    node_gpus: int = 0
    speed: float = 1.0
    power: float = 1.0


@dataclass(frozen=True, slots=True)
class PriceStep:
    """What a kWh costs over `[start_ms, end_ms)`; not `known`: assumed, since nobody tells."""

    start_ms: int
    end_ms: int
    per_kwh: float
    known: bool = True


@dataclass(frozen=True, slots=True)
class Freeze:
    """A window in which nothing starts; `moves`: only what does not belong here, sent from another home."""

    window: Window
    moves: bool
    because: str


@dataclass(frozen=True, slots=True)
class Region:
    """A place where jobs may run. `zones` maps a signal ("average", "marginal") to a zone key.

    `power_limit_kw` holds for the IT power of all jobs together (0: none); `price_per_kwh` is in the
    operator's currency, and `prices` what it is when, where it changes: above `max_price_per_kwh` only what
    would be late runs. In a `closed` window nothing runs, in one of `freezes` nothing starts. `signal`
    decides here instead of the policy's ("": the policy's).
    """

    name: str
    backend: str = "local"
    zones: dict[str, str] = field(default_factory=dict)
    pools: tuple[Pool, ...] = ()
    cpus: int = 1
    mem_mb: int = 0  # 0: not limited
    pue: float = 1.0
    pue_source: str = "assumed"
    home: bool = False
    power_limit_kw: float = 0.0
    price_per_kwh: float = 0.0
    prices: tuple[PriceStep, ...] = ()
    currency: str = ""
    max_price_per_kwh: float | None = None
    closed: tuple[Window, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    signal: str = ""
    data: tuple[str, ...] = ()  # places and labels of data that may be worked on there
    queue_wait_s: float | None = None  # 95 of 100 jobs wait no longer in its engine's queue
    queue_wait_source: str = ""  # who says so
    gpu_uuids: tuple[str, ...] = ()  # those of this host that belong to the region, in pool order

    @property
    def queue_wait_ms(self) -> int:
        """The wait in its engine's queue that plans reckon with; 0 where nobody says anything of one."""
        return 0 if self.queue_wait_s is None else ceil(1000 * self.queue_wait_s)
