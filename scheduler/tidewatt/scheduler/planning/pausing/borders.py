"""What the programme is told of places and rules, and what it tells of starts and stops."""

from dataclasses import dataclass

from tidewatt.scheduler.planning.pausing.tables import NEVER, Tables
from tidewatt.scheduler.planning.pausing.work import Amounts, Ints

WHOLE, PARTED, EARLY = 0, 1, 2  # plans that used all slots whole so far; one in part; may stop early
ON_EDGE = -1


@dataclass(frozen=True, slots=True)
class Rules:
    """What a plan has to keep, in milliseconds at speed 1; `marks`: by which edge it has run how long."""

    need_ms: int
    min_stint_ms: int = 0
    max_pauses: int | None = None
    marks: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A track as the programme sees it; `speed` is in whole units of progress a slot.

    The first stint starts at `from_edge` or later and costs `first_g` besides; coming here from another
    `region` later takes `arrive_steps` and costs `arrive_g`. Stints start and stop at the edges `starts` and
    `stops` only.
    """

    tables: Tables
    starts: Ints
    stops: Ints
    region: int = 0
    speed: int = 1
    from_edge: int = 0
    first_g: float = 0.0
    arrive_steps: int = 0
    arrive_g: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """Starts or stops at one edge of one place: grams by layer (pauses made) and progress, from `low` on.

    `left_out` is `ON_EDGE`, or the units that are left out of the slot there besides the spare. A stint
    that starts may stop from the edge `landed` on, and early from `landed_early` on.
    """

    place: int
    edge: int
    low: int
    grams: Amounts  # (layers, n)
    left_out: int
    source: int
    into: int
    landed: int = 0
    landed_early: int = 0

    def at(self, layer: int, progress: int) -> float:
        """Grams of one plan; NEVER where it is not among these."""
        column = progress - self.low
        return float(self.grams[layer, column]) if 0 <= column < self.grams.shape[1] else NEVER


@dataclass(frozen=True, slots=True)
class End:
    """How the cheapest plan ends: where, in which layer and table, leaving out how much."""

    grams: float
    place: int
    edge: int
    layer: int
    left_out: int
    source: int
