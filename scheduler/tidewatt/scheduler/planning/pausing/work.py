"""What the stints of a pausing job are made from, and the stints."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidewatt.scheduler.plan import Pausing, PowerStep

Ints = NDArray[np.int64]
Amounts = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One place where the job could run, slot by slot; all tracks of a job have the same slots.

    `cost` is (T,) grams per kWh of IT draw, PUE included; inf where not known. `free` is (T,) whether its
    units are free. `speed` and `power` are the kind's ratios. `arrive_ms` and `arrive_g` are charged when
    the job comes here from another region than the one where its data are.
    """

    region: str
    pool: str
    cost: Amounts
    free: Flags
    speed: float = 1.0
    power: float = 1.0
    arrive_ms: int = 0
    arrive_g: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """One job: the slots `[edges_ms[t], edges_ms[t+1])`, what there is to do and by when.

    `edges_ms` is (T+1,), equal slots but for the first, which may be shorter. `home` names the region where
    its data are. `kw` is the mean where `steps` say that the draw changes; a checkpoint or restart that
    draws as usual draws the mean.
    """

    edges_ms: Ints
    tracks: Sequence[Track]
    work_ms: int
    kw: float
    release_ms: int
    due_ms: int
    pausing: Pausing
    home: str = ""
    steps: tuple[PowerStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Stints:
    """The job's stretches `(track, start_ms, end_ms)`, ascending, and all that they cost in grams."""

    parts: tuple[tuple[int, int, int], ...]
    cost_g: float
