"""Places where jobs may run."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Pool:
    """Equal GPUs of one region."""

    name: str
    gpus: int


@dataclass(frozen=True, slots=True)
class Region:
    """A place where jobs may run. `zones` maps a signal ("average", "marginal") to a zone key."""

    name: str
    backend: str = "local"
    zones: dict[str, str] = field(default_factory=dict)
    pools: tuple[Pool, ...] = ()
    cpus: int = 1
    mem_mb: int = 0  # 0: not limited
    pue: float = 1.0
    pue_source: str = "assumed"
    home: bool = False
    gpu_uuids: tuple[str, ...] = ()  # those of this host that belong to the region, in pool order
