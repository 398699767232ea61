"""Jobs of a file whose draw changes while they run: placed before the others, each by its real shape."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from tidewatt.forecasting.series import Outlook
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Plan
from tidewatt.scheduler.planning.draw import legs_of
from tidewatt.scheduler.planning.instants import floor_ms, moment
from tidewatt.scheduler.planning.intensity import CostCurve
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.timetable.problem import (
    NOWHERE,
    Amounts,
    Flags,
    Ints,
    Jobs,
    Places,
    Problem,
    Timetable,
)
from tidewatt.scheduler.planning.transfer import transfer_of
from tidewatt.scheduler.queue_files import JobTable
from tidewatt.scheduler.region import Region

MS_PER_HOUR = 3_600_000
PATIENCE_S = 600.0
Given = Mapping[int, tuple[int, int]]  # by index: place and start
Curves = Mapping[str, CostCurve | None]


def given(
    table: JobTable,
    problem: Problem,
    regions: Sequence[Region],
    curves: Curves,
    beside: Curves,
    now: datetime,
    policy: Policy,
) -> Given:
    """Where and when jobs with steps run that find room, by the planner of single jobs, one after another."""
    if not table.power_steps:
        return {}
    from tidewatt.scheduler.planning.ladder import DEFAULT, plan  # most files do not need it

    at_once = {"min_saving": 0.0, "min_wait": timedelta(0), "margin": timedelta(0), "min_chance": 0.0}
    asks = [_ask(table, problem, index, regions) for index in table.power_steps]
    situation = Situation(
        regions,
        _outlooks(curves),
        (),
        now,
        replace(policy, **at_once),  # type: ignore[arg-type]
        [ask for ask in asks if ask.regions],
        beside=_outlooks(beside),
    )
    found = plan(situation, DEFAULT[1:], PATIENCE_S).plans
    at = {name: place for place, name in enumerate(problem.places.names)}
    return {
        index: (at[made.region, made.pool], floor_ms(made.window.start))
        for index, ask in zip(table.power_steps, asks, strict=True)
        if isinstance(made := found.get(ask.job_id), Plan)
    }


def _outlooks(curves: Curves) -> dict[str, Outlook | None]:
    return {name: None if curve is None else curve.outlook for name, curve in curves.items()}


def _ask(table: JobTable, problem: Problem, index: int, regions: Sequence[Region]) -> Ask:
    """The job as the planner of single jobs takes it; a job with GPUs occupies no cores here."""
    jobs, gpus = problem.jobs, int(table.gpus[index])
    allowed = problem.menus.allowed[jobs.menu[index]]
    names = [region for place, (region, _) in enumerate(problem.places.names) if allowed[place]]
    usual = next(region.name for region in regions if region.home)
    return Ask(
        job_id=int(table.ids[index]),
        submitted=moment(int(table.release_ms[index])),
        need=Need(gpus, cpus=0 if gpus else int(table.cpus[index])),
        duration=timedelta(milliseconds=int(table.work_ms[index])),
        duration_source="file",
        power_w=float(table.kw[index]) * 1000,
        power_source="file",
        finish_by=moment(int(jobs.due_ms[index])),
        regions=tuple(dict.fromkeys(names)),
        home=table.home[index] or usual,
        release=moment(int(jobs.release_ms[index])),
        priority=int(table.priority[index]),
        kinds=table.kinds[index],
        data_gb=float(table.data_gb[index]),
        user=table.user[index],
        project=table.project[index],
        power_steps=table.power_steps[index],
    )


def at_peak(problem: Problem, table: JobTable, policy: Policy) -> Problem:
    """The problem in which such jobs draw all the time what they draw at most: for the limits of power."""
    if not table.power_steps:
        return problem
    kw, moved_ms = problem.jobs.kw.copy(), problem.jobs.moved_ms.copy()
    for index, steps in table.power_steps.items():
        kw[index] *= max(step.ratio for step in steps)
        elsewhere = Ask(0, moment(0), Need(), timedelta(1), "", 0.0, "", data_gb=float(table.data_gb[index]))
        moved_ms[index] = transfer_of(elsewhere, "", policy.link).ms
    return replace(problem, jobs=replace(problem.jobs, kw=kw, moved_ms=moved_ms))


def others_of(
    problem: Problem, peak: Problem, steps: Given, changing: Sequence[int]
) -> tuple[Problem, Problem, Ints]:
    """The other jobs in what those with steps leave, the same with all that there is, and their indices."""
    plain: Flags = np.ones(len(problem.jobs.ids), np.bool_)
    plain[list(changing)] = False
    kept = np.flatnonzero(plain)
    loose = replace(problem, jobs=_some(problem.jobs, kept))
    places = problem.places
    units, site_kw = places.units.copy(), places.site_kw.copy()
    for index, (place, start) in steps.items():
        inside = _inside(places, start, start + _length(problem, index, place))
        units[place, inside] -= problem.jobs.units[index]
        power = problem.menus.power[problem.jobs.menu[index], place]
        site_kw[places.site[place], inside] -= peak.jobs.kw[index] * power
    taken = replace(places, units=np.maximum(units, 0), site_kw=np.maximum(site_kw, 0.0))
    return replace(loose, places=taken), loose, kept


def _inside(places: Places, start_ms: int, end_ms: int) -> Flags:
    found: Flags = (places.edges_ms[:-1] < end_ms) & (places.edges_ms[1:] > start_ms)
    return found


def _length(problem: Problem, index: int, place: int) -> int:
    jobs = problem.jobs
    return int(np.ceil(jobs.work_ms[index] / problem.menus.speed[jobs.menu[index], place] - 1e-6))


def _some(jobs: Jobs, kept: Ints) -> Jobs:
    """These jobs alone; none of the others comes before or after one of them."""
    at = {int(index): new for new, index in enumerate(kept)}
    rows = {
        name: getattr(jobs, name)[kept]
        for name in (
            *("ids", "release_ms", "due_ms", "work_ms", "units", "kw", "menu", "home", "priority"),
            *("moved_g", "moved_ms", "delay_g_per_h", "group"),
        )
    }
    before = np.array([[at[first], at[second]] for first, second in jobs.before.tolist()], np.int64)
    pausing = {at[index]: terms for index, terms in jobs.pausing.items()}
    return replace(jobs, **rows, before=before.reshape(-1, 2), pausing=pausing)


def together(count: int, others: Timetable, kept: Ints, steps: Given) -> Timetable:
    """The timetable of all jobs."""
    place, start = np.full(count, NOWHERE, np.int64), np.zeros(count, np.int64)
    place[kept], start[kept] = others.place, others.start_ms
    for index, (where, when) in steps.items():
        place[index], start[index] = where, when
    stints = {int(kept[index]): parts for index, parts in others.stints.items()}
    return Timetable(place, start, stints)


def corrections(problem: Problem, table: JobTable, timetable: Timetable, rate: Amounts) -> Amounts:
    """(n,) grams by which jobs with steps emit more than at their mean; `rate` (P, T) is grams per kWh."""
    found, jobs = np.zeros(len(table)), problem.jobs
    for index, steps in table.power_steps.items():
        place, start = int(timetable.place[index]), int(timetable.start_ms[index])
        if place == NOWHERE:
            continue
        grams_of = _integral(problem.places.edges_ms, rate[place])
        length = _length(problem, index, place)
        kw = float(jobs.kw[index] * problem.menus.power[jobs.menu[index], place])
        shaped = sum(ratio * grams_of(start + a, start + b) for a, b, ratio in legs_of(steps, length))
        found[index] = kw * (shaped - grams_of(start, start + length))
    return found


def _integral(edges: Ints, rate: Amounts) -> Callable[[int, int], float]:
    def grams(start_ms: int, end_ms: int) -> float:
        inside = np.minimum(edges[1:], end_ms) - np.maximum(edges[:-1], start_ms)
        touched = inside > 0
        return float(inside[touched] @ rate[touched]) / MS_PER_HOUR

    return grams
