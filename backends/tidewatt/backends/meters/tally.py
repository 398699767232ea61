"""What one attempt got of one component, as it is being added up."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tidewatt.backends.meters.columns import Columns
from tidewatt.backends.meters.counter import Fault, Flag, Increments
from tidewatt.backends.meters.reading import How, Span
from tidewatt.backends.meters.share import Share
from tidewatt.backends.meters.taken import Excerpt, utc

_ONE_BY_ONE = 3  # flags of one kind are told singly up to here, more of them together


@dataclass(slots=True)
class Tally:
    """Energy over time, coverage, sources and notes of one component of one attempt."""

    component: str
    start_ms: int
    end_ms: int
    columns: Columns | None = None
    covered_ms: float = 0.0
    sources: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, share: Share, weight: float | NDArray[np.float64]) -> None:
        """Books energy; `weight` is the share of the component that the device is."""
        columns = Columns(share.start_ms, share.end_ms, share.how, share.active_uj, share.idle_uj)
        self.covered_ms += float(np.sum((columns.end_ms - columns.start_ms) * weight))
        self.columns = columns.merged(columns.cut(0) if self.columns is None else self.columns)

    def flag(self, taken: Excerpt, flags: Iterable[Flag]) -> None:
        """Notes the flags that touch the run."""
        within = [
            flag
            for flag in flags
            if taken.at_ms[flag.first] < self.end_ms and taken.at_ms[flag.last] > self.start_ms
        ]
        self.notes += _told(taken, within)

    def silence(self, taken: Excerpt, key: str, part: Increments) -> None:
        """Notes a device that was not read any more from some time in the run on, or never."""
        shown = part.first[taken.at_ms[part.first] < self.end_ms], part.last
        if not len(shown[0]):
            self.notes.append(f"{key}: no energy of the run is known from it")
            return
        last = int(shown[1].max())
        interval_ms = longest_ms(taken)
        others_ms = taken.at_ms[taken.at_ms < self.end_ms + interval_ms]
        if min(self.end_ms, int(others_ms.max(initial=0))) - int(taken.at_ms[last]) > interval_ms:
            self.notes.append(f"{key}: no reading after {utc(int(taken.time_ms[last]))}")

    @property
    def coverage(self) -> float:
        """The share of the run for which the energy is known."""
        return min(1.0, self.covered_ms / (self.end_ms - self.start_ms))

    def finished(self) -> Columns:
        """The spans; a component without any gets one that says so."""
        if self.columns is None or not len(self.columns):
            return Columns.of([Span(self.start_ms, self.end_ms, self.component, How.MISSING, 0, 0)])
        return self.columns


def _told(taken: Excerpt, flags: list[Flag]) -> Iterator[str]:
    by_fault: dict[Fault, list[Flag]] = {}
    for flag in flags:
        by_fault.setdefault(flag.fault, []).append(flag)
    for alike in by_fault.values():
        if len(alike) <= _ONE_BY_ONE:
            yield from (flag.text for flag in alike)
            continue
        until = utc(int(taken.time_ms[alike[-1].last]))
        yield f"{alike[0].text}; and {len(alike) - 1} times more of that kind until {until}"


def gaps_told(taken: Excerpt, start_ms: int, end_ms: int) -> Iterator[str]:
    """Restarts of the host within a run, and that readings ended before it did."""
    for row in np.flatnonzero(np.diff(taken.boot)).tolist():
        here_ms, there_ms = taken.at_ms[row], taken.at_ms[row + 1]
        # readings of two hosts, and what an engine reported, lie beside each other: nothing was restarted
        if here_ms <= there_ms and here_ms < end_ms and there_ms > start_ms:
            between = f"{utc(int(taken.time_ms[row]))} and {utc(int(taken.time_ms[row + 1]))}"
            yield f"the host was restarted between {between}: its energy in between is not known"
    if len(taken) and end_ms - int(taken.at_ms[-1]) > longest_ms(taken):
        yield f"no readings after {utc(int(taken.time_ms[-1]))}, before the end of the run"


def longest_ms(taken: Excerpt) -> float:
    """The longest interval between regular readings, on the attempt's clock."""
    return max(header.interval_ms * max(1.0, header.clock.factor) for header in taken.headers)
