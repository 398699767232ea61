"""The plan of a queue from files as plain data, in the form of `docs/formats.md`."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tidewatt.scheduler.columns import UNKNOWN_MS
from tidewatt.scheduler.planning.instants import moment
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Amounts, Ints, Timetable
from tidewatt.scheduler.planning.timetable.reckoning import MS_PER_HOUR, Runs, durations, runs
from tidewatt.scheduler.queue_answer import QueueAnswer, emitted

Row = dict[str, Any]
NO_PLACE = "no region that it may use could ever hold it"
TOO_SHORT = "its time is too short, whatever else runs"
NO_ROOM = "no room is left before its deadline"
BEYOND = "it could only run when nothing is known of the grid any more"
NO_ROOM_KNOWN = "no room is left before the end of what is known of the grid"


def queue_view(
    answer: QueueAnswer,
    now: datetime,
    signal: str,
    notes: Mapping[str, str],
    sources: Mapping[str, Sequence[str]] | None = None,
) -> Row:
    """The whole answer; `notes` is what must be known of the grid, `sources` who told of it, by region."""
    made = answer.made
    certificate = answer.certificate
    kinds = Counter(str(curve.kind) for curve in made.curves if curve is not None)
    return {
        "now": now.isoformat(),
        "until": moment(int(made.problem.places.edges_ms[-1])).isoformat(),
        "signal": signal,
        "kind": ", ".join(kinds),
        "notes": dict(notes),
        "sources": {name: list(each) for name, each in (sources or {}).items()},
        "planner": answer.planner,
        "troubles": list(answer.troubles),
        "seconds": round(answer.seconds, 3),
        "slot_s": made.slot_ms / 1000,
        "totals": totals(answer),
        "certificate": None
        if certificate is None or not answer.placed.any()
        else {
            "cost_g": certificate.cost_g,
            "bound_g": certificate.bound_g,
            "immediate_g": certificate.immediate_g,
            "gap_percent": None if certificate.gap is None else 100 * certificate.gap,
            "captured_percent": None if certificate.captured is None else 100 * certificate.captured,
        },
        "levers": [
            {
                "name": lever.name,
                "expected_g": lever.expected_g,
                "immediate_g": lever.immediate_g,
                "saving_percent": 100 * lever.saving,
                "unplaced": lever.unplaced,
            }
            for lever in answer.levers
        ],
        "regions": list(regions(answer)),
        "jobs": jobs(answer),
        "unplaced": list(unplaced(answer)),
    }


def totals(answer: QueueAnswer) -> Row:
    """Sums over the jobs that have a place; savings over those of which starting at once is known too."""
    both = answer.placed & ~np.isnan(answer.immediate_g)
    expected_g, immediate_g = float(answer.expected_g[both].sum()), float(answer.immediate_g[both].sum())
    return {
        "jobs": len(answer.made.table),
        "placed": int(answer.placed.sum()),
        "compared": int(both.sum()),
        "energy_kwh": float(np.nansum(energy_kwh(answer))),
        "expected_g": float(np.nansum(answer.expected_g)),
        "compared_g": expected_g,
        "immediate_g": immediate_g,
        "saving_percent": 100 * (1 - expected_g / immediate_g) if immediate_g else None,
        "immediate_late": _late(answer),
        "assumed_power": int(answer.made.table.assumed.sum()),
        "changing_power": len(answer.made.table.power_steps),
        "beside": _beside(answer),
    }


def _late(answer: QueueAnswer) -> int:
    """How many jobs would miss their deadline by starting in turn at home."""
    _, end = _span(answer, answer.immediate)
    nowhere = answer.immediate.place == NOWHERE
    return int((nowhere | (end > answer.made.table.due_ms)).sum())


def _beside(answer: QueueAnswer) -> Row | None:
    """The same by the signal that must not get worse, of the jobs of which it is known; None without one."""
    second = answer.made.problem.places.second
    if second is None:
        return None
    planned, at_once = (emitted(answer.made, each, second) for each in (answer.timetable, answer.immediate))
    known = np.isfinite(planned) & np.isfinite(at_once)
    expected_g, immediate_g = float(planned[known].sum()), float(at_once[known].sum())
    return {
        "signal": "marginal",
        "jobs": int(known.sum()),
        "expected_g": expected_g,
        "immediate_g": immediate_g,
        "saving_percent": 100 * (1 - expected_g / immediate_g) if immediate_g else None,
    }


def energy_kwh(answer: QueueAnswer) -> Amounts:
    """IT energy of each job where it is planned; NaN without a place."""
    problem, timetable = answer.made.problem, answer.timetable
    stretches = runs(problem, timetable)
    hours = np.bincount(
        stretches.job, (stretches.end_ms - stretches.start_ms) / MS_PER_HOUR, len(problem.jobs.ids)
    )
    power = problem.menus.power[problem.jobs.menu, timetable.place]
    found: Amounts = np.where(timetable.place == NOWHERE, np.nan, problem.jobs.kw * power * hours)
    return found


def load(answer: QueueAnswer) -> Amounts:
    """(P, T) units in use, on average over each slot."""
    places = answer.made.problem.places
    used = np.zeros((len(places.names), len(places.edges_ms)))
    stretches = runs(answer.made.problem, answer.timetable)
    amount = answer.made.problem.jobs.units[stretches.job].astype(float)
    for at_ms, sign in ((stretches.start_ms, 1.0), (stretches.end_ms, -1.0)):
        _spread(used, places.edges_ms, stretches, at_ms, sign * amount)
    found: Amounts = np.cumsum(used, axis=1)[:, :-1]
    return found


def _spread(used: Amounts, edges: Ints, stretches: Runs, at_ms: Ints, amount: Amounts) -> None:
    """Adds a change of load at a moment: its part of the slot that it falls into, the rest from the next."""
    slot = np.clip(np.searchsorted(edges, at_ms, "right") - 1, 0, len(edges) - 2)
    part = (edges[slot + 1] - at_ms) / (edges[slot + 1] - edges[slot])
    np.add.at(used, (stretches.place, slot), amount * part)
    np.add.at(used, (stretches.place, slot + 1), amount * (1 - part))


def regions(answer: QueueAnswer) -> Iterator[Row]:
    """What is used of each region's pools."""
    problem = answer.made.problem
    used = load(answer)
    hours = np.diff(problem.places.edges_ms) / MS_PER_HOUR
    kwh = energy_kwh(answer)
    for index, (region, pool) in enumerate(problem.places.names):
        mine = answer.timetable.place == index
        energy = float(kwh[mine].sum())
        capacity = float((problem.places.units[index] * hours).sum())
        busy = float((used[index] * hours).sum())
        yield {
            "region": region,
            "pool": pool,
            "jobs": int(mine.sum()),
            "unit_hours": busy,
            "use_percent": 100 * busy / capacity if capacity else 0.0,
            "energy_kwh": energy,
            "expected_g": float(answer.expected_g[mine].sum()),
            "mean_gco2_per_kwh": float(answer.expected_g[mine].sum()) / energy if energy else None,
        }


def jobs(answer: QueueAnswer) -> list[Row]:
    """Each job that has a place, in the file's order."""
    names = answer.made.problem.places.names
    ids = answer.made.problem.jobs.ids
    start, end = _span(answer, answer.timetable)
    first, _ = _span(answer, answer.immediate)
    rows = []
    for index in np.flatnonzero(answer.placed).tolist():
        region, pool = names[answer.timetable.place[index]]
        home = int(answer.immediate.place[index])
        row: Row = {
            "id": int(ids[index]),
            "region": region,
            "pool": pool,
            "start": _iso(int(start[index])),
            "end": _iso(int(end[index])),
            "expected_g": round(float(answer.expected_g[index]), 3),
            "immediate_region": None if home == NOWHERE else names[home][0],
            "immediate_start": None if home == NOWHERE else _iso(int(first[index])),
            "immediate_g": None if home == NOWHERE else round(float(answer.immediate_g[index]), 3),
        }
        if index in answer.timetable.stints:
            row["stints"] = [
                {"region": names[place][0], "pool": names[place][1], "start": _iso(a), "end": _iso(b)}
                for place, a, b in answer.timetable.stints[index]
            ]
        rows.append(row)
    return rows


def unplaced(answer: QueueAnswer) -> Iterator[Row]:
    """Each job without a place, and why."""
    problem = answer.made.problem
    jobs, menus = problem.jobs, problem.menus
    for index in np.flatnonzero(~answer.placed).tolist():
        allowed = menus.allowed[jobs.menu[index]]
        fits = allowed & (problem.places.units.max(axis=1) >= jobs.units[index])
        cut = answer.made.table.due_ms[index] > jobs.due_ms[index]  # the planned time ends before
        reason = NO_ROOM_KNOWN if cut else NO_ROOM
        if not fits.any():
            reason = NO_PLACE
        elif (
            jobs.release_ms[index] + jobs.work_ms[index] / menus.speed[jobs.menu[index]][fits].max()
            > jobs.due_ms[index]
        ):
            reason = BEYOND if cut else TOO_SHORT
        due = int(answer.made.table.due_ms[index])
        yield {
            "id": int(jobs.ids[index]),
            "finish_by": None if due == UNKNOWN_MS else _iso(due),
            "reason": reason,
        }


def _span(answer: QueueAnswer, timetable: Timetable) -> tuple[Ints, Ints]:
    """Start and end of each job; those of the last stint for one that pauses."""
    start = timetable.start_ms.copy()
    end = start + durations(answer.made.problem, timetable.place)
    for index, stints in timetable.stints.items():
        start[index], end[index] = stints[0][1], stints[-1][2]
    return start, end


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat().replace("+00:00", "Z")
