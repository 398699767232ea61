"""Fetches from one service what is due, checks it and keeps it."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from threading import Lock

from tidewatt.forecasting import log, turns
from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.feed import Feed, FeedError, Fetched
from tidewatt.forecasting.logbook import Attempt
from tidewatt.forecasting.plausibility import checked
from tidewatt.forecasting.turns import FORECAST, HISTORY, OBSERVATIONS
from tidewatt.forecasting.usual import usual


class Collector:
    """One feed, for any number of zones. One call of `collect` at a time; no call ever raises.

    `clock` counts seconds: so much later than `now` something is received.
    """

    def __init__(
        self, feed: Feed, archive: Archive, seed: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = feed.name
        self._feed, self._archive = feed, archive
        self._seed, self._clock = seed, clock
        self._attempts: dict[tuple[str, str], Attempt] = {}
        self._loaded = False
        self._lock = Lock()

    def collect(
        self, zones: Sequence[str], now: datetime, whats: Sequence[str] = (FORECAST, OBSERVATIONS, HISTORY)
    ) -> None:
        """Does what is due: all forecasts first, then observations, then a span of older ones per zone."""
        with self._lock:
            began = self._clock()
            for what in whats:
                for zone in zones:
                    moment = now + timedelta(seconds=self._clock() - began)
                    if self._is_task(zone, what, moment) and self._is_due(zone, what, now):
                        self._do(zone, what, moment)

    def due(self, zones: Sequence[str], now: datetime) -> datetime:
        """When something is due next."""
        tasks = ((zone, what) for zone in zones for what in (FORECAST, OBSERVATIONS, HISTORY))
        return turns.soonest((self._last(*task, now) for task in tasks if self._is_task(*task, now)), now)

    def attempts(self) -> tuple[Attempt, ...]:
        """How the last fetch of each thing ended."""
        self._load()
        return tuple(self._attempts.values())

    def _is_task(self, zone: str, what: str, now: datetime) -> bool:
        """True where there is such a thing to fetch for a zone."""
        cadence = self._feed.cadence
        try:
            if not self._feed.quantities(zone):
                return False
        except Exception:  # a feed that cannot even say what it has is not asked
            return False
        if what == FORECAST:
            return cadence.forecast_every is not None
        if what == OBSERVATIONS or cadence.observed_every is None:
            return cadence.observed_every is not None
        newest = self._last(zone, OBSERVATIONS, now)
        return newest.good_at is not None and self._oldest(zone, now) > now - cadence.backfill

    def _is_due(self, zone: str, what: str, now: datetime) -> bool:
        return turns.due_at(self._last(zone, what, now), now) <= now

    def _do(self, zone: str, what: str, now: datetime) -> None:
        """One fetch and what came of it."""
        last, began = self._last(zone, what, now), self._clock()
        phase = turns.phase(self._seed, self.name, zone)
        try:
            start, end = self._span(zone, what, now)
            fetched = self._fetched(zone, what, start, end, now)
            if what == FORECAST and not fetched.issued:
                raise self._silence(fetched)
            received = now + timedelta(seconds=self._clock() - began)
            news = self._keep(zone, fetched, received)
            due = self._next(what, received, end, fetched, news, phase)
            reached = {FORECAST: None, OBSERVATIONS: end, HISTORY: start}[what]
            attempt = turns.succeeded(last, received, news, due, reached)
        except Exception as error:  # whatever a service or its feed does wrong, the others go on
            attempt = turns.failed(last, now, error, phase)
        self._attempts[zone, what] = attempt
        with suppress(ForecastError):  # a full disk; it is known in memory
            self._archive.attempted(attempt)
        _log(last, attempt)

    def _span(self, zone: str, what: str, now: datetime) -> tuple[datetime, datetime]:
        """The time to ask for; observations are asked for again as long as they may be restated."""
        cadence = self._feed.cadence
        if what == HISTORY:
            end = self._oldest(zone, now)
            return max(end - cadence.span, now - cadence.backfill), end
        reached = self._last(zone, OBSERVATIONS, now).reached
        if what == FORECAST or reached is None or reached > now:
            return now - cadence.span, now
        late = 2 * (cadence.observed_every or timedelta())  # steps that had begun, but not ended
        again = min(max(cadence.revised_for, late), cadence.span / 2)
        start = max(reached - again, now - cadence.backfill)
        return start, min(now, start + cadence.span)

    def _oldest(self, zone: str, now: datetime) -> datetime:
        """How far back the first fill has come."""
        reached = self._last(zone, HISTORY, now).reached
        first = self._last(zone, OBSERVATIONS, now).good_at or now
        return reached or first - self._feed.cadence.span

    def _fetched(self, zone: str, what: str, start: datetime, end: datetime, now: datetime) -> Fetched:
        if what == FORECAST:
            return self._feed.fetch_forecast(zone, now)
        return self._feed.fetch_observations(zone, start, end, now)

    def _keep(self, zone: str, fetched: Fetched, received: datetime) -> int:
        """How much of a fetch was new; all that was refused or repaired is written down."""
        held = self._archive
        believed = checked(
            fetched, lambda quantity: usual(held, self.name, zone, quantity, received), received
        )
        told = (*fetched.notes, *believed.remarks)
        news = held.add(self.name, zone, believed.fetched, received)
        held.remark(received, self.name, zone, *told)
        left = believed.fetched.observed or believed.fetched.issued
        if believed.remarks and not left:
            why = next((text for text in believed.remarks if "refused" in text), believed.remarks[0])
            raise FeedError(f"{self.name}: {why}", transient=True)
        return news

    def _silence(self, fetched: Fetched) -> FeedError:
        """What to say where a service answers well, and has no forecast."""
        said = "; ".join(fetched.notes) or f"{self.name} sent no forecast"
        return FeedError(said if self.name in said else f"{self.name}: {said}", transient=True)

    def _next(
        self, what: str, now: datetime, end: datetime, fetched: Fetched, news: int, phase: float
    ) -> datetime:
        cadence = self._feed.cadence
        if what == FORECAST:
            return turns.next_forecast(cadence, now, fetched, news, phase)
        if what == HISTORY or now - end > cadence.span / 2:
            return now + turns.HISTORY_EVERY  # there is more to fill
        return turns.next_observations(cadence, now, fetched, news, phase)

    def _last(self, zone: str, what: str, now: datetime) -> Attempt:
        self._load()
        return self._attempts.get((zone, what)) or turns.begun(self.name, zone, what, now)

    def _load(self) -> None:
        """Reads how fetches ended before a restart."""
        if self._loaded:
            return
        with suppress(ForecastError):
            for attempt in self._archive.attempts(self.name):
                self._attempts.setdefault((attempt.zone, attempt.what), turns.resumed(attempt))
        self._loaded = True


def _log(before: Attempt, after: Attempt) -> None:
    """Logs a change, and only a change."""
    if before.text == after.text:
        return
    of = {"source": after.source, "zone": after.zone, "what": after.what}
    if after.text:
        log.tell("warning", "feed.failed", **of, reason=after.text, next_due=after.next_due.isoformat())
    else:
        log.tell("info", "feed.recovered", **of)
