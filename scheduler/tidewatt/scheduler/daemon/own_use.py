"""Keeps account of what the daemon, the meter and the supervisors use, hour by hour."""

import os

from tidewatt.backends.clock import time_ms
from tidewatt.backends.meters.client import MeterClient
from tidewatt.backends.meters.cputime import OWN
from tidewatt.backends.meters.energy import usage
from tidewatt.backends.meters.excerpt import excerpt
from tidewatt.scheduler.accounting.emission import Intensity
from tidewatt.scheduler.accounting.own import Place, observed, own_record
from tidewatt.scheduler.accounting.units import HOUR_MS
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.store import Store

_SETTLES_MS = 60_000  # after an hour, until its last reading is surely there
_LOOKS_BACK_MS = 7 * 24 * HOUR_MS  # hours from before that stay without an account
_AT_ONCE = 3  # hours in one look: each reads a day of readings


class OwnUse:
    """Writes one event "own" for each full hour in which anything of it was metered.

    An hour waits for the intensity of all zones of home, for as long as a job's account would until it is
    final; then it is written with what there is. In a replay nothing is written: the daemon's power now has
    nothing to do with the time that is replayed.
    """

    def __init__(self, site: Site, store: Store) -> None:
        self._site = site
        self._store = store
        self._next_ms: int | None = None
        self._registered = False
        self._looked_ms = -_SETTLES_MS
        self._meter = MeterClient(site.paths.readings, site.settings.meter_interval_s, site.clock)

    def look(self) -> None:
        """Settles the hours that have passed, at most a few at once; costs nothing in between."""
        now_ms = time_ms(self._site.clock.now())
        if self._site.clock.replaying or 0 <= now_ms - self._looked_ms < _SETTLES_MS:
            return
        self._looked_ms = now_ms
        self._registered = self._registered or self._meter.register(OWN, 0, os.getpid())
        if self._next_ms is None:
            self._next_ms = self._first_ms(now_ms)
        for _ in range(_AT_ONCE):
            if self._next_ms + HOUR_MS + _SETTLES_MS > now_ms or not self._settle(self._next_ms, now_ms):
                return
            self._next_ms += HOUR_MS

    def _first_ms(self, now_ms: int) -> int:
        """The hour after the last that was settled, the present one where there is none."""
        this_ms = now_ms // HOUR_MS * HOUR_MS
        events = self._store.events_of("own", now_ms - _LOOKS_BACK_MS)
        hours_ms = [each["payload"]["hour_ms"] for each in events]
        return min(this_ms, max(hours_ms) + HOUR_MS) if hours_ms else this_ms

    def _settle(self, hour_ms: int, now_ms: int) -> bool:
        """False where it is too early."""
        if self._known(hour_ms, hour_ms + HOUR_MS, now_ms) is None:
            return False  # before the readings are read, which is what costs
        readings = self._site.paths.readings
        at_ms = excerpt(readings, hour_ms, hour_ms + HOUR_MS).at_ms
        inside = [int(each) for each in at_ms if hour_ms <= each < hour_ms + HOUR_MS]
        after = [int(each) for each in at_ms if each >= hour_ms + HOUR_MS]
        edges_ms = [*inside, *after[:1]]
        if not inside or len(edges_ms) < 2:
            return True  # the meter slept
        start_ms, end_ms = edges_ms[0], edges_ms[-1]
        known = self._known(start_ms, end_ms, now_ms)
        if known is None:
            return False
        record = own_record(hour_ms, usage(readings, OWN, (), start_ms, end_ms), self._place(), known)
        if record is not None:
            with self._store.transaction() as transaction:
                transaction.append(now_ms, "own", record)
        return True

    def _known(self, start_ms: int, end_ms: int, now_ms: int) -> dict[str, tuple[str, Intensity]] | None:
        """What was observed there and then, by signal; None while more is waited for."""
        place = self._place()
        found = observed(place, start_ms, end_ms, self._site.observations)
        patience_ms = self._site.settings.final_after.total_seconds() * 1000
        return None if len(found) < len(place.zones) and now_ms < end_ms + patience_ms else found

    def _place(self) -> Place:
        home = self._site.home
        return Place(home.name, home.zones, home.pue, home.pue_source)
