"""A job's energy in cells that are small enough to be placed anywhere exactly, and no smaller."""

from dataclasses import dataclass

from tidewatt.backends.meters.reading import How
from tidewatt.scheduler.accounting.phases import Phase


@dataclass(frozen=True, slots=True)
class Cell:
    """Energy of one component of one attempt in `[start_ms, end_ms)`, PUE not applied.

    A cell lies within one phase, one hour UTC, and one step of every series that prices it: of the zone where
    it ran, of home at that time, and of home where each baseline puts it. So its emissions are a product of
    integers, and whoever has the cells and the series can compute an account again without any reading.
    `productive` cells are those that a baseline has too; `at_ms` is the productive time before the cell, and
    with it the place of its start in a baseline: `begin_ms + at_ms`.
    """

    attempt_id: str
    region: str
    component: str
    how: How
    phase: Phase
    start_ms: int
    end_ms: int
    active_uj: int
    idle_uj: int
    productive: bool
    at_ms: int
