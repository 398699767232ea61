"""A service as the chain sees it: answered from what the archive keeps, never by asking it now."""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.feeds.feed import Computed, Feed
from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.logbook import Attempt, Outcome
from tidewatt.forecasting.quantity import intensity, kind_of
from tidewatt.forecasting.series import Forecast, Series, Steps, instant, milliseconds, touching

BACK = timedelta(days=8)  # what is kept in memory reaches back so far, or as far as was asked for
LATE = timedelta(hours=2)
AGAIN_MS = 60_000  # how often a fetch is looked up that ended as the one before
MISSED = 4  # intervals without a successful fetch, until one says so


@dataclass(frozen=True, slots=True)
class Remembered:
    """Observations from `since_ms` on and the newest forecast, as of one version of the archive."""

    version: Hashable
    since_ms: int
    steps: Steps
    forecast: Forecast | None


class Archived:
    """Provider of a feed's data from the archive. From memory while nothing has changed there.

    `live_for`: so old a forecast may be to count as live. `trouble_of` says what is wrong with a zone.
    """

    def __init__(self, feed: Feed, archive: Archive) -> None:
        self.name = feed.name
        self._feed, self._archive = feed, archive
        self._every = feed.cadence.forecast_every or feed.cadence.observed_every or timedelta(days=1)
        self.live_for = self._every + LATE
        self._remembered: dict[tuple[str, Kind], Remembered] = {}
        self._attempts: dict[str, tuple[Hashable, Attempt | None]] = {}

    def kinds(self, zone: str) -> tuple[Kind, ...]:
        """Kinds that the service may have for `zone`, and those that the archive holds from it."""
        held = (quantity for source, quantity in self._archive.quantities(zone) if source == self.name)
        found = (kind_of(quantity) for quantity in (*self._feed.quantities(zone), *held))
        return tuple(dict.fromkeys(kind for kind in found if kind is not None))

    def observations(self, zone: str, kind: Kind, start: datetime, end: datetime, now: datetime) -> Series:
        """Observed steps that overlap `[start, end)` and were here and had ended at `now`."""
        start_ms, end_ms = milliseconds(start), milliseconds(end)
        known = self._recalled(zone, kind, start_ms, now)
        part = touching(known.steps, start_ms, end_ms)
        steps = known.steps
        cut = Steps(steps.start_ms[part], steps.end_ms[part], steps.gco2_per_kwh[part])
        return Series(zone, kind, self._label(kind, ahead=False), cut)

    def forecast(self, zone: str, kind: Kind, now: datetime) -> Forecast | None:
        """The newest forecast that was here at `now`; None where there is none."""
        return self._recalled(zone, kind, milliseconds(now), now).forecast

    def version(self, zone: str, now: datetime) -> Hashable:
        """What the archive holds of `zone`, and what is wrong with the service there."""
        return self._archive.version(zone, now), self.trouble_of(zone, now)

    def trouble_of(self, zone: str, now: datetime) -> str:
        """Why what there is of `zone` may not be the newest, for people; empty where all is well."""
        last = self._attempt(zone, now)
        if last is None:
            return ""
        if last.outcome in (Outcome.FAILED, Outcome.DENIED):
            since = "never heard from" if last.good_at is None else f"last heard from at {_minute(last.good_at)}"
            return f"{last.text} ({self.name} was {since})"
        if now - last.at > MISSED * self._every + LATE:
            return f"{self.name} was not asked since {_minute(last.at)}"
        return ""

    def _label(self, kind: Kind, *, ahead: bool) -> str:
        """The source's name, with the method where the number is computed here."""
        if isinstance(self._feed, Computed):
            return f"{self.name}, {self._feed.method(kind, ahead=ahead)}"
        return self.name

    def _attempt(self, zone: str, now: datetime) -> Attempt | None:
        """The last fetch of what the chain needs most of this service."""
        version = (self._archive.version(zone, now), milliseconds(now) // AGAIN_MS)
        kept = self._attempts.get(zone)
        if kept is None or kept[0] != version:
            what = "forecast" if self._feed.cadence.forecast_every else "observations"
            found = {a.what: a for a in self._archive.attempts(self.name, zone)}
            kept = self._attempts[zone] = (version, found.get(what))
        return kept[1]

    def _recalled(self, zone: str, kind: Kind, start_ms: int, now: datetime) -> Remembered:
        """What is known at `now`, from `start_ms` on at least."""
        version = self._archive.version(zone, now)
        kept = self._remembered.get((zone, kind))
        if kept is None or kept.version != version or start_ms < kept.since_ms:
            since_ms = min(start_ms, milliseconds(now - BACK))
            kept = self._read(zone, kind, since_ms, now, version)
            self._remembered[zone, kind] = kept
        return kept

    def _read(self, zone: str, kind: Kind, since_ms: int, now: datetime, version: Hashable) -> Remembered:
        quantity = intensity(kind)
        steps = self._archive.observations(
            self.name, zone, quantity, instant(since_ms), now + timedelta(days=1), now
        )
        issued = self._archive.issue(self.name, zone, quantity, now)
        forecast = None
        if issued is not None:
            label = self._label(kind, ahead=True)
            forecast = Forecast(zone, kind, label, issued.issued_at, issued.steps, issued.p10, issued.p90)
        return Remembered(version, since_ms, steps, forecast)


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
