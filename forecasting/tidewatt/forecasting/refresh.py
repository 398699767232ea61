"""Keeps the archive up to date: each service by itself, so that one that hangs holds up no other."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Thread

from tidewatt.forecasting import log
from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.collector import Collector
from tidewatt.forecasting.feeds.feed import Feed
from tidewatt.forecasting.logbook import Outcome
from tidewatt.forecasting.turns import AGAIN, FORECAST, OBSERVATIONS

BUSY_AGAIN = timedelta(seconds=15)
HANGS_AFTER_S = 120.0


@dataclass(frozen=True, slots=True)
class Health:
    """How the last fetch of one thing ended; `at` is when it last went well, None where it never did."""

    source: str
    zone: str
    what: str  # "forecast", "observations", "history"
    ok: bool
    at: datetime | None
    text: str = ""


@dataclass(slots=True)
class _Service:
    """A collector and the thread in which it works."""

    collector: Collector
    thread: Thread | None = None
    since_s: float = 0.0

    @property
    def busy(self) -> bool:
        return self.thread is not None and self.thread.is_alive()


class Refresher:
    """Asks feeds for what is due, each issue once for any number of jobs. Nothing here ever raises.

    `zones` tells which zones are followed. `seed` (this host) spreads installations over time. `patience_s`:
    so long a turn waits for services to answer; those that take longer go on by themselves.
    """

    def __init__(
        self,
        feeds: Sequence[Feed],
        archive: Archive,
        zones: Callable[[], Sequence[str]],
        *,
        seed: str,
        patience_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._zones, self._patience_s = zones, patience_s
        self._followed: tuple[str, ...] = ()
        self._services = [_Service(Collector(feed, archive, seed, clock)) for feed in feeds]

    def turn(self, now: datetime) -> datetime:
        """Does what is due at `now`; returns when the next thing is."""
        zones = self._follow()
        started = [
            service
            for service in self._services
            if not service.busy and service.collector.due(zones, now) <= now
        ]
        for service in started:
            _start(service, lambda collector: collector.collect(zones, now))
        _wait(started, self._patience_s)
        dues = [
            now + BUSY_AGAIN if service.busy else service.collector.due(zones, now)
            for service in self._services
        ]
        return min(dues, default=now + AGAIN)

    def refresh_once(self, now: datetime, zone: str, limit_s: float) -> tuple[Health, ...]:
        """Does what is due of one zone, but for the past, within `limit_s`; returns how that ended."""
        own = [_Service(service.collector) for service in self._services]
        for service in own:
            if service.collector.due((zone,), now) <= now:
                _start(service, lambda collector: collector.collect((zone,), now, (FORECAST, OBSERVATIONS)))
        _wait(own, limit_s)
        return tuple(each for each in self.health() if each.zone == zone)

    def health(self) -> tuple[Health, ...]:
        """How the last fetch of each followed thing ended, and which service has not answered for minutes."""
        told = [
            Health(
                attempt.source,
                attempt.zone,
                attempt.what,
                attempt.outcome in (Outcome.BROUGHT, Outcome.NOTHING),
                attempt.good_at,
                attempt.text,
            )
            for service in self._services
            for attempt in service.collector.attempts()
        ]
        for service in self._services:
            waited_s = time.monotonic() - service.since_s
            if service.busy and waited_s > HANGS_AFTER_S:
                text = f"{service.collector.name} has kept us waiting for {waited_s / 60:.0f} min"
                told.append(Health(service.collector.name, "", "answer", False, None, text))
        return tuple(sorted(told, key=lambda each: (each.source, each.zone, each.what)))

    def _follow(self) -> tuple[str, ...]:
        """The zones to follow; those of before where that cannot be told."""
        try:
            self._followed = tuple(dict.fromkeys(self._zones()))
        except Exception as error:  # asking must go on for what is known
            log.tell("warning", "zones.unknown", reason=type(error).__name__)
        return self._followed


def _start(service: _Service, work: Callable[[Collector], None]) -> None:
    """Starts the service's thread."""

    def run() -> None:
        try:
            work(service.collector)
        except Exception as error:  # nobody would see it, and the next turn tries again
            log.tell("warning", "feed.broken", source=service.collector.name, reason=type(error).__name__)

    service.thread = Thread(target=run, name=f"feed {service.collector.name}", daemon=True)
    service.since_s = time.monotonic()
    service.thread.start()


def _wait(services: Sequence[_Service], limit_s: float) -> None:
    ends = time.monotonic() + limit_s
    for service in services:
        if service.thread is not None:
            service.thread.join(max(0.0, ends - time.monotonic()))
