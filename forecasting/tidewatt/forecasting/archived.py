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
FAILURES = (Outcome.FAILED, Outcome.DENIED)
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
        self._troubles: dict[str, tuple[Hashable, str]] = {}

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

    def issues(
        self, zone: str, kind: Kind, start: datetime, now: datetime, every: timedelta
    ) -> list[Forecast]:
        """Forecasts issued from `start` to `now` and here at `now`, of each stretch `every` the last."""
        later = now + timedelta(milliseconds=1)
        found = self._archive.issues(self.name, zone, intensity(kind), start, later, now, every=every)
        label = self._label(kind, ahead=True)
        return [Forecast(zone, kind, label, each.issued_at, each.steps, each.p10, each.p90) for each in found]

    def version(self, zone: str, now: datetime) -> Hashable:
        """What the archive holds of `zone`, and what is wrong with the service there."""
        return self._archive.version(zone, now), self.trouble_of(zone, now)

    def trouble_of(self, zone: str, now: datetime) -> str:
        """Why what there is of `zone` may not be the newest, for people; empty where all is well."""
        version = (self._archive.version(zone, now), milliseconds(now) // AGAIN_MS)
        kept = self._troubles.get(zone)
        if kept is None or kept[0] != version:
            kept = self._troubles[zone] = (version, self._trouble(zone, now))
        return kept[1]

    def _trouble(self, zone: str, now: datetime) -> str:
        found = {attempt.what: attempt for attempt in self._archive.attempts(self.name, zone)}
        last = found.get("forecast" if self._feed.cadence.forecast_every else "observations")
        if last is None:
            return ""
        if last.outcome in FAILURES:
            return self._failure(last)
        if now - last.at > MISSED * self._every + LATE:
            return f"{self.name} was not asked since {_minute(last.at)}"
        return self._silence(zone, now, last, found.get("observations"))

    def _silence(self, zone: str, now: datetime, last: Attempt, observed: Attempt | None) -> str:
        """What to say of a service that answers, but has nothing new of the intensity."""
        kinds = [kind for kind in map(kind_of, self._feed.quantities(zone)) if kind is not None]
        issued = [told.issued_at for kind in kinds if (told := self.forecast(zone, kind, now)) is not None]
        if issued:
            late = last.at - max(issued) > self.live_for
            return f"{self.name} has told no new forecast since {_minute(max(issued))}" if late else ""
        if observed is None or not kinds:
            return ""
        if observed.outcome in FAILURES:
            return self._failure(observed)
        ends = [self._recalled(zone, kind, milliseconds(now), now).steps.end_ms[-1:] for kind in kinds]
        newest = max((int(end[0]) for end in ends if len(end)), default=None)
        if newest is None:
            return f"{self.name} has told no carbon intensity of {zone} of late"
        every = self._feed.cadence.observed_every or self._every
        late = observed.at - instant(newest) > MISSED * every + LATE
        return f"{self.name} has told no carbon intensity since {_minute(instant(newest))}" if late else ""

    def _failure(self, last: Attempt) -> str:
        """What a fetch ended with, and when one of the same last ended well."""
        since = "none came yet" if last.good_at is None else f"the last came at {_minute(last.good_at)}"
        return f"{last.text} ({self.name}'s {last.what}: {since})"

    def _label(self, kind: Kind, *, ahead: bool) -> str:
        """The source's name, with the method where the number is computed here."""
        if isinstance(self._feed, Computed):
            return f"{self.name}, {self._feed.method(kind, ahead=ahead)}"
        return self.name

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
