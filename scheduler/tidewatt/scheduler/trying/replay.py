"""One configuration on the jobs of the past, with the planner and guard of the daemon."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from tidewatt.forecasting.chain import Latest
from tidewatt.forecasting.kind import Signal
from tidewatt.forecasting.series import Outlook, Series
from tidewatt.forecasting.shrinkage import Outlooks
from tidewatt.scheduler.planning.money import money_of
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.simulation import site as simulated
from tidewatt.scheduler.simulation.comparing import Scenario
from tidewatt.scheduler.simulation.planned import Planned, Rules
from tidewatt.scheduler.simulation.setting import Pace, scenario
from tidewatt.scheduler.simulation.submitted import Submitted, ordered, submitted
from tidewatt.scheduler.simulation.world import Standing, World
from tidewatt.scheduler.trying.history import Past
from tidewatt.scheduler.trying.place import Place

PACE = Pace(timedelta(hours=6), timedelta(days=4), timedelta(minutes=15))
NOWHERE = "no region can ever hold what it needs"


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """How the jobs fared that were taken, by number, and why others were refused."""

    place: Place
    scenario: Scenario
    standings: Mapping[int, Standing]
    refused: Mapping[int, str]


class Remembering:
    """A chain whose answers are kept: both configurations ask for the same."""

    def __init__(self, chain: Outlooks) -> None:
        self._chain = chain
        self._outlooks: dict[tuple[object, ...], Outlook | None] = {}
        self._series: dict[tuple[object, ...], Series | None] = {}

    def outlook(self, zone: str, signal: Signal, now: datetime, until: datetime) -> Outlook | None:
        """As of the chain."""
        key = zone, signal, now, until
        if key not in self._outlooks:
            self._outlooks[key] = self._chain.outlook(zone, signal, now, until)
        return self._outlooks[key]

    def latest(self, zone: str, signal: Signal, now: datetime) -> Latest | None:
        """As of the chain."""
        return self._chain.latest(zone, signal, now)

    def observations(
        self, zone: str, signal: Signal, start: datetime, end: datetime, now: datetime
    ) -> Series | None:
        """As of the chain."""
        key = zone, signal, start, end, now
        if key not in self._series:
            self._series[key] = self._chain.observations(zone, signal, start, end, now)
        return self._series[key]


def replay(past: Sequence[Past], place: Place, chain: Outlooks) -> Replay:
    """The jobs under a configuration.

    Raises:
        BadInput: what decides there was not observed while they came.
    """
    refused: dict[int, str] = {}
    taken: list[Submitted] = []
    room = simulated.Site(place.regions, place.site.policy.link)
    for job in past:
        asked = place.steered(job.ask, job.facts)
        if isinstance(asked, str):
            refused[job.ask.job_id] = asked
        elif not room.spots(asked):
            refused[job.ask.job_id] = NOWHERE
        else:
            taken.append(submitted(asked, job.work))
    known: set[int] = set()
    jobs = []
    for each in sorted(taken, key=lambda job: (job.submitted_ms, job.id)):
        ask = replace(each.ask, after=tuple(number for number in each.ask.after if number in known))
        jobs.append(replace(each, ask=ask))
        known.add(each.id)
    told = scenario(chain, place.site, ordered(jobs), PACE)
    rules = Rules(told.policy, told.signal, told.every)
    world = World(told.jobs, simulated.Site(told.regions, told.policy.link))
    world.run(Planned("ours", told.issued, told.planner, rules))
    return Replay(place, told, dict(world.done), refused)


def money(standing: Standing, regions: Mapping[str, Region]) -> float:
    """What the electricity of a job costs, PUE included; all its regions have a price."""
    total = 0.0
    for each in standing.stretches:
        region = regions[each.region]
        curve = money_of(region)
        hours = (each.end_ms - each.start_ms) / 3_600_000
        per_kw = region.price_per_kwh * hours if curve is None else curve.cost(each.start_ms, each.end_ms)
        total += each.kw * region.pue * per_kw
    return total


def last_observed_ms(chain: Outlooks, place: Place, span: tuple[datetime, datetime]) -> int | None:
    """Until when the deciding signal was observed in all regions; None where it never was in some."""
    ends: list[int] = []
    start, end = span
    for region in place.regions:
        zone = region.zones.get(str(place.site.signal))
        series = chain.observations(zone, place.site.signal, start, end, end) if zone else None
        if series is None or not len(series.steps.end_ms):
            return None
        known = np.isfinite(series.steps.gco2_per_kwh)
        ends.append(int(series.steps.end_ms[known].max(initial=0)))
    return min(ends)
