"""What a device draws at its lowest over the last days, which is its idle draw."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from tidewatt.backends.clock import moment
from tidewatt.backends.meters.stored import blocks, files
from tidewatt.backends.meters.taken import Column, Taken

_DAYS_MS = 7 * 24 * 3600 * 1000
_WINDOW_MS = 5000  # counters move in steps of 100 ms: over this an average is good to 2 %


@dataclass(frozen=True, slots=True)
class Lowest:
    """Lowest draws of a device in milliwatts: averages by its counter, and single looks; 0: none seen."""

    mean_mw: int = 0
    look_mw: int = 0

    def least(self, other: "Lowest") -> "Lowest":
        """The lower of each."""
        return Lowest(_least(self.mean_mw, other.mean_mw), _least(self.look_mw, other.look_mw))

    @property
    def idle_mw(self) -> int:
        """The best estimate of the idle draw, 0 where nothing is known."""
        return self.mean_mw or self.look_mw


_NOTHING = Lowest()


def _least(one: int, other: int) -> int:
    return min(one, other) if one and other else one or other


def idle_mw(folder: Path, key: str, until_ms: int) -> int:
    """The device's idle draw by its readings of the seven days up to then, in milliwatts; 0: not known.

    The lowest average by its counter, else the lowest look at its power, whoever used it then: nothing draws
    less than when it idles.
    """
    lowest = Lowest()
    first, last = _day(until_ms - _DAYS_MS), _day(until_ms)
    for path in files(folder, until_ms - _DAYS_MS, until_ms):
        if not first <= path.name[:10] <= last:
            continue
        try:
            size = path.stat().st_size
        except OSError:
            continue
        whole = path.name[:10] < last
        seen = _file_lowest(path, size, None if whole else until_ms)
        lowest = lowest.least(seen.get(key, _NOTHING))
    return lowest.idle_mw


def _day(at_ms: int) -> str:
    return f"{moment(at_ms):%Y-%m-%d}"


@lru_cache(maxsize=64)
def _file_lowest(path: Path, _size: int, until_ms: int | None) -> dict[str, Lowest]:
    """By device key; `_size` only tells a file that has grown from what was known of it."""
    taken = Taken()
    for block in blocks([path]):
        taken.add(block)
    seen = taken.ordered(0, 0, "")
    within = seen.time_ms <= (2**62 if until_ms is None else until_ms)
    lowest: dict[str, Lowest] = {}
    for key, column in seen.power_mw.items():
        drawn = within & (column > 0)
        lowest[key] = lowest.get(key, _NOTHING).least(Lowest(look_mw=_smallest(column[drawn])))
    for key, column in seen.energy_uj.items():
        rows = np.flatnonzero(within & (column >= 0))
        mean = Lowest(mean_mw=_smallest(_means(seen.mono_ms[rows], column[rows])))
        lowest[key] = lowest.get(key, _NOTHING).least(mean)
    return lowest


def _smallest(amounts: Column) -> int:
    return int(amounts.min()) if len(amounts) else 0


def _means(mono_ms: Column, energy_uj: Column) -> Column:
    """Average milliwatts of windows one after the other that are as short as may be."""
    edges: list[int] = []
    for part in _growing(energy_uj):
        following = np.searchsorted(mono_ms[part], mono_ms[part] + _WINDOW_MS).tolist()
        edge = 0
        while (after := following[edge]) < len(following):
            edges += [part.start + edge, part.start + after]
            edge = after
    start, end = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    used_uj = energy_uj[end] - energy_uj[start]
    start, end, used_uj = start[used_uj > 0], end[used_uj > 0], used_uj[used_uj > 0]
    return used_uj // (mono_ms[end] - mono_ms[start])


def _growing(energy_uj: Column) -> Iterator[slice]:
    """The stretches in which a counter never goes back."""
    borders = [0, *(np.flatnonzero(np.diff(energy_uj) < 0) + 1).tolist(), len(energy_uj)]
    for start, end in pairwise(borders):
        if end > start:
            yield slice(start, end)
