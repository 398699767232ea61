"""The cleanest start for something that runs right here, by the sources that are there and a profile else."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Signal
from tidewatt.forecasting.refresh import Refresher
from tidewatt.forecasting.series import Outlook
from tidewatt.forecasting.shrinkage import Shrinker
from tidewatt.scheduler.config import Grid, grid, load, policy_of
from tidewatt.scheduler.errors import BadInput, Refused, SchedulerError
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.paths import Paths, paths
from tidewatt.scheduler.plan import Ask, Plan
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.queue import plan_queue
from tidewatt.scheduler.planning.signals import beside, binds, deciding
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.settings import RegionTable, Settings
from tidewatt.scheduler.when import parse_duration, parse_moment

ASKED_WITHIN_S = 5.0  # what services may take each time before the next rung answers
LOOKAHEAD = timedelta(days=2)
HERE = "local"
_ID = 1


@dataclass(frozen=True, slots=True)
class Timing:
    """When it has to be done, and how long it is expected to take."""

    finish_by: datetime
    duration: timedelta


def wish_of(finish_by: str, duration: str, now: datetime) -> Timing:
    """The timing as it was typed.

    Raises:
        BadInput: one of the two cannot be read, or the deadline has passed.
    """
    lasting = parse_duration(duration, "--duration")
    end = parse_moment(finish_by, now, what="--finish-by")
    if end <= now:
        raise BadInput(f"--finish-by {finish_by} has passed: name a time to come, for example 6h")
    return Timing(end, lasting)


@dataclass(slots=True)
class Finder:
    """Finds starts in one zone; `notes` say what could not be used of the configuration."""

    settings: Settings
    region: Region
    known: Grid
    notes: tuple[str, ...] = ()
    _chain: Shrinker = field(init=False)
    _refresher: Refresher | None = field(init=False, default=None)
    _postponed: int = field(init=False, default=0)
    _troubles: tuple[str, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        """Puts the sources into their order."""
        self._chain = Shrinker(self.known.chain)
        if self.known.feeds:
            self._refresher = Refresher(
                self.known.feeds, self.known.archive, lambda: self.zones, seed=os.uname().nodename
            )

    @classmethod
    def of(cls, zone: str | None, signal: str | None, config: str | None = None) -> "Finder":
        """With the configured sources that can be used, for `zone`, else for the zone of this host.

        Raises:
            BadInput: there is no zone, or the configuration cannot be understood.
        """
        loaded = load(None if config is None else Path(config), os.environ, {"zone": zone, "signal": signal})
        settings = loaded.settings
        region = _here(settings, named=zone is not None)
        place = paths(os.environ)
        usable, notes = _usable(settings, place)
        return cls(settings, region, usable, notes)

    @property
    def zones(self) -> tuple[str, ...]:
        """Keys of the zones that are asked about."""
        return tuple(dict.fromkeys(self.region.zones.values()))

    def find(self, timing: Timing, now: datetime, before: Plan | None = None) -> Plan:
        """The plan as of `now`; the one `before` stays, unless another start is worth the change.

        Raises:
            Refused: a first plan could not be in time. Later the earliest one is returned instead.
        """
        if before is not None and before.window.start <= now:
            return before
        self._refresh(now)
        until = max(now + LOOKAHEAD, timing.finish_by + timedelta(days=1))
        signal = deciding(self.settings.signal, self.region.signal)
        other = beside(self.settings.signal, self.region.signal)
        outlook = None if other is None else self._outlook(other, now, until)
        situation = Situation(
            regions=(self.region,),
            outlooks={HERE: self._outlook(signal, now, until)},
            bookings=(),
            now=now,
            policy=policy_of(self.settings),
            asks=(self._ask(timing, now),),
            keep={} if before is None else {_ID: before},
            beside={HERE: outlook} if binds(outlook) else {},
        )
        found = plan_queue(situation)[_ID]
        if isinstance(found, Infeasible):
            if before is None or found.earliest is None:
                sentence = found.reason.partition(". ")[0]
                raise Refused(f"{sentence}: give a later --finish-by")
            return found.earliest  # the time has run out on the way, for example while the machine slept
        if before is not None and found.window.start > before.window.start:
            self._postponed += 1
        return found

    def lines(self, plan: Plan, now: datetime) -> Iterator[str]:
        """The plan for people: when, why, and by which step of the chain of sources."""
        wait = plan.window.start - now
        when = "now" if wait < timedelta(seconds=1) else f"{plan.window.start.astimezone():%a %H:%M %Z}"
        yield f"tidewatt: starts {when}: {plan.reason}"
        for source in plan.sources:
            yield f"tidewatt: by {source}"
        for note in dict.fromkeys((*self._troubles, plan.note)):
            if note:
                yield f"tidewatt: note: {note}"

    def _ask(self, timing: Timing, now: datetime) -> Ask:
        return Ask(
            job_id=_ID,
            submitted=now,
            need=Need(0, "", 1, 0),
            duration=timing.duration,
            duration_source="yours",
            power_w=1.0,
            power_source="not known: only compared",
            finish_by=timing.finish_by,
            home=HERE,
            postponed=self._postponed,
        )

    def _outlook(self, signal: Signal, now: datetime, until: datetime) -> Outlook | None:
        zone = self.region.zones.get(signal) or self.region.zones.get(Signal.AVERAGE)
        until = until.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        if not zone:
            return None
        try:
            return self._chain.outlook(zone, signal, now, until)
        except (ForecastError, OSError, sqlite3.Error) as error:
            return _unheard(Chain().outlook(zone, signal, now, until), error)

    def _refresh(self, now: datetime) -> None:
        """Asks services for what is due; whatever goes wrong with that, the chain has other steps."""
        if self._refresher is None:
            return
        ends = time.monotonic() + ASKED_WITHIN_S
        for zone in self.zones:
            with suppress(OSError, sqlite3.Error, ForecastError):
                told = self._refresher.refresh_once(now, zone, max(0.0, ends - time.monotonic()))
                self._troubles = tuple(f"{each.source}: {each.text}" for each in told if not each.ok)


def _here(settings: Settings, *, named: bool) -> Region:
    """One place with room for it: in the zone that was named, else where the home region stands."""
    tables = () if named else settings.regions
    home = next((each for each in tables if each.home), next(iter(tables), RegionTable(name=HERE)))
    if home.zones is not None:
        zones = {"average": home.zones.average, "marginal": home.zones.marginal}
    else:
        zones = dict.fromkeys(("average", "marginal"), home.one_zone or settings.zone)
    zones = {of: zone for of, zone in zones.items() if zone}
    if not zones:
        raise BadInput(
            "no zone of the grid is named, and none is ever guessed: give --zone (`tidewatt zones TEXT` finds"
            " one)"
        )
    return Region(HERE, zones=zones, cpus=1, home=True, signal=home.signal)


def _usable(settings: Settings, place: Paths) -> tuple[Grid, tuple[str, ...]]:
    """The sources that can be made, and why the others cannot."""
    notes: list[str] = []
    try:
        if settings.sources:
            place.make()
        return grid(settings, place), ()
    except SchedulerError as error:
        notes.append(str(error))
    except (OSError, sqlite3.Error) as error:
        notes.append(f"nothing can be kept in {place.home} ({error})")
    good = []
    if settings.credentials is not None and not settings.credentials.exists():
        settings = settings.model_copy(update={"credentials": None})
    for each in settings.sources:
        with suppress(SchedulerError, OSError, sqlite3.Error):
            grid(settings.model_copy(update={"sources": (each,)}), place).archive.close()
            good.append(each)
    left_out = [each.type for each in settings.sources if each not in good]
    if left_out:
        notes.append(f"without the source {', '.join(left_out)}")
    with suppress(SchedulerError, OSError, sqlite3.Error):
        return grid(settings.model_copy(update={"sources": tuple(good)}), place), tuple(notes)
    notes.append("without any configured source")
    return Grid(Chain(), (), Archive(place.archive)), tuple(notes)


def _unheard(outlook: Outlook | None, error: Exception) -> Outlook | None:
    """The built-in profile's outlook, with why nothing else was asked."""
    said = "; ".join(filter(None, (f"the sources cannot be used: {error}", outlook.note if outlook else "")))
    return outlook and replace(outlook, note=said)


def view(plan: Plan, now: datetime) -> dict[str, Any]:
    """The plan as JSON, times in UTC."""
    beside = plan.beside
    return {
        "start": plan.window.start.isoformat(),
        "end": plan.window.end.isoformat(),
        "wait_s": max(0.0, (plan.window.start - now).total_seconds()),
        "why": str(plan.why),
        "reason": plan.reason,
        "signal": plan.signal,
        "mean_gco2_per_kwh": plan.mean_gco2_per_kwh,
        "immediate_gco2_per_kwh": plan.immediate_gco2_per_kwh,
        "beside_signal": None if beside is None else beside.signal,
        "sources": list(plan.sources),
        "note": plan.note,
    }
