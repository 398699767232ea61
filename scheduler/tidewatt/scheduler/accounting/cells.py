"""Cuts metered energy into cells: at phases, hours, and the steps of every series that prices it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidewatt.backends.meters.reading import HOWS, How
from tidewatt.scheduler.accounting.metered import AttemptRun
from tidewatt.scheduler.accounting.phases import Phase
from tidewatt.scheduler.accounting.profile import Cell
from tidewatt.scheduler.accounting.units import HOUR_MS

Instants = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Borders:
    """Where the steps of series begin and end: by attempt of where it ran, and of home; any order."""

    there: Mapping[str, Instants]
    home: Instants
    begins_ms: tuple[int, ...]  # of the baselines


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of an attempt; `done_ms` is the productive time before it."""

    phase: Phase
    start_ms: int
    end_ms: int
    productive: bool
    done_ms: int


@dataclass(frozen=True, slots=True)
class _Spread:
    """One component's energy by bin, metered one way; `last_ms` is 0 where there is none. All (n,)."""

    first_ms: Instants
    last_ms: Instants
    active_uj: Instants
    idle_uj: Instants


def cut(runs: Iterable[AttemptRun], borders: Borders) -> tuple[Cell, ...]:
    """The cells of all attempts, one for each component and way of metering between two borders.

    Within a span of metered energy the draw is even; its parts are whole microjoules that sum to it.
    """
    found: list[Cell] = []
    done_ms = 0
    for run in runs:
        parts = list(_parts(run, done_ms))
        found += _cells(run, parts, _edges(run, parts, borders))
        done_ms += sum(end - start for start, end in run.productive())
    return tuple(found)


def _parts(run: AttemptRun, done_ms: int) -> Iterator[_Part]:
    for stretch, lost in run.stretches():
        productive = stretch.phase is Phase.RUNNING and not lost
        yield _Part(stretch.phase, stretch.start_ms, stretch.end_ms, productive, done_ms)
        done_ms += (stretch.end_ms - stretch.start_ms) * productive


def _edges(run: AttemptRun, parts: Sequence[_Part], borders: Borders) -> Instants:
    """All borders within the attempt, its own included; those of a baseline as seen from the real time."""
    start_ms, end_ms = run.usage.start_ms, run.usage.end_ms
    found = [
        np.array([start_ms, end_ms, *(part.start_ms for part in parts)], dtype=np.int64),
        np.arange(start_ms // HOUR_MS * HOUR_MS, end_ms, HOUR_MS, dtype=np.int64),
        borders.there.get(run.attempt_id, np.empty(0, np.int64)),
        borders.home,
    ]
    for part in parts:
        if part.productive:
            for begin_ms in borders.begins_ms:
                moved = borders.home - (begin_ms + part.done_ms) + part.start_ms
                found.append(moved[(moved > part.start_ms) & (moved < part.end_ms)])
    edges = np.unique(np.concatenate(found))
    return edges[(edges >= start_ms) & (edges <= end_ms)]


def _cells(run: AttemptRun, parts: Sequence[_Part], edges: Instants) -> Iterator[Cell]:
    starts_ms = np.array([part.start_ms for part in parts], dtype=np.int64)
    places = (np.searchsorted(starts_ms, edges[:-1], side="right") - 1).tolist()
    for (component, how), spread in sorted(_spreads(run, edges).items()):
        filled = np.flatnonzero(spread.last_ms).tolist()
        columns = [column[filled].tolist() for column in (spread.first_ms, spread.last_ms)]
        columns += [column[filled].tolist() for column in (spread.active_uj, spread.idle_uj)]
        for place, first_ms, last_ms, active_uj, idle_uj in zip(filled, *columns, strict=True):
            part = parts[places[place]]
            yield Cell(
                attempt_id=run.attempt_id,
                region=run.region,
                component=component,
                how=How(how),
                phase=part.phase,
                start_ms=first_ms,
                end_ms=last_ms,
                active_uj=active_uj,
                idle_uj=idle_uj,
                productive=part.productive,
                at_ms=part.done_ms + (first_ms - part.start_ms if part.productive else 0),
            )


def _spreads(run: AttemptRun, edges: Instants) -> dict[tuple[str, str], _Spread]:
    found = {}
    for component in run.usage.components:
        columns = run.usage.columns(component)
        rows = np.stack([columns.start_ms, columns.end_ms, columns.active_uj, columns.idle_uj], axis=1)
        for code, how in enumerate(HOWS):
            metered = columns.how == code
            if how is not How.MISSING and metered.any():
                found[component, str(how)] = _spread(rows[metered], edges)
    return found


def _spread(rows: NDArray[np.int64], edges: Instants) -> _Spread:
    """Spans, (m, 4) of start, end, active and idle, by the bins between the edges."""
    bins = edges.size - 1
    start_ms = np.clip(rows[:, 0], edges[0], edges[-1] - 1)
    end_ms = np.clip(rows[:, 1], start_ms + 1, edges[-1])  # an instant's energy is of the millisecond after
    first = np.searchsorted(edges, start_ms, side="right") - 1
    last = np.searchsorted(edges, end_ms, side="left") - 1
    spread = _Spread(
        np.full(bins, edges[-1]), np.zeros(bins, np.int64), np.zeros(bins, np.int64), np.zeros(bins, np.int64)
    )
    whole = first == last
    place = first[whole]
    np.minimum.at(spread.first_ms, place, start_ms[whole])
    np.maximum.at(spread.last_ms, place, end_ms[whole])
    np.add.at(spread.active_uj, place, rows[whole, 2])
    np.add.at(spread.idle_uj, place, rows[whole, 3])
    for row in np.flatnonzero(~whole).tolist():
        span = int(start_ms[row]), int(end_ms[row]), int(rows[row, 2]), int(rows[row, 3])
        _divide(spread, edges, range(int(first[row]), int(last[row]) + 1), span)
    return spread


def _divide(spread: _Spread, edges: Instants, bins: range, span: tuple[int, int, int, int]) -> None:
    """Books a span on several bins, by time; in Python's integers, since the products may be long."""
    start_ms, end_ms, active_uj, idle_uj = span
    length_ms, before = end_ms - start_ms, (0, 0)
    for place in bins:
        until_ms = min(end_ms, int(edges[place + 1]))
        from_ms = max(start_ms, int(edges[place]))
        passed_ms = until_ms - start_ms
        until = active_uj * passed_ms // length_ms, idle_uj * passed_ms // length_ms
        spread.first_ms[place] = min(int(spread.first_ms[place]), from_ms)
        spread.last_ms[place] = max(int(spread.last_ms[place]), until_ms)
        spread.active_uj[place] += until[0] - before[0]
        spread.idle_uj[place] += until[1] - before[1]
        before = until
