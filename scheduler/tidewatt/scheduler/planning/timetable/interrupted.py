"""Whether the stints of a pausing job keep its terms, and what they emit."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tidewatt.scheduler.plan import Pausing
from tidewatt.scheduler.planning.instants import floor_ms, length_ms
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Problem
from tidewatt.scheduler.planning.timetable.reckoning import MS_PER_HOUR, Meter

ROUNDING_MS = 1  # of each border to whole milliseconds
WH_PER_KWH = 1000.0

Stint = tuple[int, int, int]  # place, start, end (ms)


@dataclass(frozen=True, slots=True)
class _Phase:
    """A stretch of a stint: what it draws in kW, and whether the job gets on."""

    place: int
    start_ms: int
    end_ms: int
    kw: float
    works: bool


def stints_faults(problem: Problem, index: int, stints: Sequence[Stint]) -> list[str]:
    """What is wrong with the stints of the job of this index; times against slots are checked elsewhere."""
    terms = problem.jobs.pausing.get(index)
    if terms is None:
        return ["it has stints, but cannot be interrupted"]
    if any(end <= start for _, start, end in stints) or any(
        then[1] < first[2] for first, then in pairwise(stints)
    ):
        return ["its stints are not one after the other"]
    found = []
    if terms.max_pauses is not None and len(stints) - 1 > terms.max_pauses:
        found.append(f"it pauses {len(stints) - 1} times, at most {terms.max_pauses} are allowed")
    phases = _phases(problem, index, stints, terms)
    if any(each.end_ms < each.start_ms for each in phases):
        return [*found, "a stint is shorter than its restart and its checkpoint"]
    working = [each for each in phases if each.works]
    least = length_ms(terms.min_stint) - ROUNDING_MS
    if len(working) > 1 and any(each.end_ms - each.start_ms < least for each in working):
        found.append("a stint is shorter than the least useful one")
    found += _moves(problem, index, stints, terms)
    found += _progress(problem, index, working, terms)
    return found


def stints_grams(problem: Problem, index: int, stints: Sequence[Stint]) -> float:
    """What the stints cost in grams: running, checkpoints, restarts, suspension and moves."""
    terms = problem.jobs.pausing.get(index, Pausing())
    phases = [*_phases(problem, index, stints, terms), *_at_an_instant(stints, terms)]
    for first, then in pairwise(stints):
        phases.append(_Phase(first[0], first[2], then[1], terms.suspended_w / 1000, works=False))
    phases = [each for each in phases if each.end_ms > each.start_ms and each.kw > 0]
    columns = [(each.place, each.start_ms, each.end_ms) for each in phases]
    place, start, end = np.array(columns, np.int64).reshape(-1, 3).T
    meter = Meter(problem.places.edges_ms, problem.places.cost)
    total = float(np.array([each.kw for each in phases]) @ meter.over(place, start, end))
    return total + float(problem.jobs.moved_g[index]) * len(_arrivals(problem, index, stints))


def _phases(problem: Problem, index: int, stints: Sequence[Stint], terms: Pausing) -> list[_Phase]:
    """Restart, work and checkpoint of each stint; the first has no restart, the last no checkpoint."""
    jobs, menus = problem.jobs, problem.menus
    restart, checkpoint = length_ms(terms.restart), length_ms(terms.checkpoint)
    found = []
    for number, (place, start, end) in enumerate(stints):
        draw = float(jobs.kw[index] * menus.power[jobs.menu[index], place])
        works_from = start + (restart if number else 0)
        works_to = end - (checkpoint if number < len(stints) - 1 else 0)
        found += [
            _Phase(place, start, works_from, _draw(draw, terms.restart_wh, restart), works=False),
            _Phase(place, works_from, works_to, draw, works=True),
            _Phase(place, works_to, end, _draw(draw, terms.checkpoint_wh, checkpoint), works=False),
        ]
    return found


def _at_an_instant(stints: Sequence[Stint], terms: Pausing) -> list[_Phase]:
    """The energy of checkpoints and restarts that take no time, as drawn in the millisecond beside them."""
    found = []
    for first, then in pairwise(stints):
        if terms.checkpoint_wh is not None and not terms.checkpoint:
            kw = terms.checkpoint_wh / WH_PER_KWH * MS_PER_HOUR
            found.append(_Phase(first[0], first[2] - 1, first[2], kw, works=False))
        if terms.restart_wh is not None and not terms.restart:
            kw = terms.restart_wh / WH_PER_KWH * MS_PER_HOUR
            found.append(_Phase(then[0], then[1], then[1] + 1, kw, works=False))
    return found


def _draw(usual_kw: float, wh: float | None, length: int) -> float:
    """The mean draw of a checkpoint or restart of so many watt hours."""
    return usual_kw if wh is None or not length else wh / WH_PER_KWH / (length / MS_PER_HOUR)


def _moves(problem: Problem, index: int, stints: Sequence[Stint], terms: Pausing) -> list[str]:
    found = []
    if not terms.moves and len({problem.places.names[place] for place, _, _ in stints}) > 1:
        found.append("it moves between places, but may not")
    ready = problem.jobs.release_ms[index]
    arrivals = _arrivals(problem, index, stints)
    for number, (_, start, end) in enumerate(stints):
        if number in arrivals and start < ready + problem.jobs.moved_ms[index]:
            found.append("it starts in another region before its data have arrived there")
        ready = end
    return found


def _arrivals(problem: Problem, index: int, stints: Sequence[Stint]) -> list[int]:
    """Numbers of the stints before which the job's data come from another region."""
    names, home = problem.places.names, int(problem.jobs.home[index])
    at = names[stints[0][0]][0] if home == NOWHERE else names[home][0]
    found = []
    for number, (place, _, _) in enumerate(stints):
        if names[place][0] != at:
            found.append(number)
        at = names[place][0]
    return found


def _progress(problem: Problem, index: int, working: Sequence[_Phase], terms: Pausing) -> list[str]:
    """Too little work in the end, or at a milestone."""
    jobs, menus = problem.jobs, problem.menus
    whole = float(jobs.work_ms[index])
    speeds = [float(menus.speed[jobs.menu[index], each.place]) for each in working]

    def done(until: float) -> float:
        return sum(
            max(min(each.end_ms, until) - each.start_ms, 0) * speed
            for each, speed in zip(working, speeds, strict=True)
        )

    spare = ROUNDING_MS * (1 + sum(speeds))
    found = []
    if done(float("inf")) < whole - spare:
        found.append(f"only {done(float('inf')) / whole:.1%} of its work is done")
    for milestone in terms.milestones:
        share = done(floor_ms(milestone.by)) / whole
        if share < milestone.share - spare / whole:
            found.append(f"only {share:.1%} is done by {milestone.by}, not {milestone.share:.0%}")
    return found
