"""What a simulation is made from: grid, regions and jobs, put together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tidewatt.forecasting.kind import Signal
from tidewatt.forecasting.series import Series, instant
from tidewatt.forecasting.shrinkage import Outlooks
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.simulation.comparing import Scenario
from tidewatt.scheduler.simulation.grid import Hindsight, Issued, Truth, truth
from tidewatt.scheduler.simulation.planned import Planner
from tidewatt.scheduler.simulation.planners import production
from tidewatt.scheduler.simulation.submitted import Submitted

LEARNT_FROM = timedelta(days=8)  # own forecasts look back a week
LONGEST_RUN = timedelta(days=60)  # after the last arrival: a policy that is later than that is hopeless


@dataclass(frozen=True, slots=True)
class Pace:
    """How often forecasts are issued and how far they reach, and how often ours plans anew."""

    issue_every: timedelta = timedelta(hours=6)
    ahead: timedelta = timedelta(days=8)
    plan_every: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Site:
    """Where jobs may run and what decides."""

    regions: tuple[Region, ...]
    policy: Policy = field(default_factory=Policy)
    signal: Signal = Signal.AVERAGE


def first_moment(chain: Outlooks, regions: Sequence[Region], signal: Signal) -> datetime:
    """When a simulation may begin: own forecasts need a week of observations before.

    Raises:
        BadInput: a region has no zone, or nothing of it was observed.
    """
    begins = []
    for region in regions:
        zone = region.zones.get(str(signal))
        if not zone:
            raise BadInput(f"the region {region.name!r} has no zone for the {signal} signal: add its zone")
        series = _ever(chain, zone, signal)
        if series is None:
            raise BadInput(f"no {signal} intensity of {zone} was observed: name a recorded file with --grid")
        begins.append(int(series.steps.start_ms[0]))
    return instant(max(begins)) + LEARNT_FROM


def is_observed(chain: Outlooks, regions: Sequence[Region], signal: Signal) -> bool:
    """True where something was ever observed of all regions by the signal."""
    zones = [region.zones.get(str(signal)) for region in regions]
    return all(zone and _ever(chain, zone, signal) is not None for zone in zones)


def _ever(chain: Outlooks, zone: str, signal: Signal) -> Series | None:
    return chain.observations(zone, signal, _LONG_AGO, _FAR, _FAR)


def scenario(
    chain: Outlooks, site: Site, jobs: Sequence[Submitted], pace: Pace, planner: Planner = production
) -> Scenario:
    """All that contenders share.

    Raises:
        BadInput: there is no job, or the grid is not known while jobs come.
    """
    if not jobs:
        raise BadInput("there is no job to simulate")
    first, last = instant(jobs[0].submitted_ms), instant(jobs[-1].submitted_ms)
    known = truth(chain, site.regions, tuple(Signal), first - LEARNT_FROM, last + LONGEST_RUN)
    _check(known, site, first, last)
    start_ms = jobs[0].submitted_ms // 3_600_000 * 3_600_000
    every, ahead = pace.issue_every, pace.ahead
    return Scenario(
        jobs=tuple(jobs),
        regions=site.regions,
        truth=known,
        issued=Issued(chain, site.regions, start_ms, every, ahead),
        hindsight=Hindsight(known, start_ms, every, ahead),
        whole=Hindsight(known, start_ms, timedelta(days=3660), None),
        policy=site.policy,
        signal=site.signal,
        every=pace.plan_every,
        planner=planner,
    )


def _check(known: Truth, site: Site, first: datetime, last: datetime) -> None:
    if site.signal not in known.signals:
        missing = [region.name for region in site.regions if known.series(region.name, site.signal) is None]
        raise BadInput(
            f"nothing was observed of {', '.join(missing)} by the {site.signal} signal while jobs come, from"
            f" {first:%Y-%m-%d} to {last:%Y-%m-%d}: let them come when it was with --start TIME, or name"
            " another --grid"
        )
    ends = instant(known.ends_ms(site.signal))
    if ends < last:
        raise BadInput(
            f"jobs come until {last:%Y-%m-%d %H:%M} UTC, but the grid is known until {ends:%Y-%m-%d %H:%M}"
            " only: let the first one come earlier with --start TIME, or take fewer jobs or --days"
        )


_LONG_AGO, _FAR = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
