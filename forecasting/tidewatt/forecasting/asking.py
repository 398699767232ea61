"""A provider as the chain asks it: what it raises is noted and logged, its last good forecast is kept."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from tidewatt.forecasting import log
from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.provider import Provider, Remembering, Troubled, Versioned
from tidewatt.forecasting.series import Forecast, Series, instant, milliseconds

T = TypeVar("T")
HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000
LIVE_FOR = timedelta(hours=26)  # sources that issue once a day are live until they are two hours late
RETRY_MS = 60_000  # a provider that fails, or cannot tell its version, is asked again after a minute of `now`


@dataclass(slots=True)
class Asked:
    """A provider, its failures by question and zone, and what it knew before them."""

    provider: Provider
    _failures: dict[tuple[str, str], str] = field(default_factory=dict)
    _kinds: dict[str, tuple[Kind, ...]] = field(default_factory=dict)
    _forecasts: dict[tuple[str, Kind], Forecast] = field(default_factory=dict)

    @property
    def hindsight(self) -> bool:
        """True where the provider asks for plans on later observations."""
        return bool(getattr(self.provider, "hindsight", False))

    @property
    def live_for(self) -> timedelta:
        """So long a forecast counts as live; providers that issue often say less."""
        told = getattr(self.provider, "live_for", LIVE_FOR)
        return told if isinstance(told, timedelta) else LIVE_FOR

    def trouble(self, zone: str, now: datetime) -> str:
        """What is wrong with the provider, for people; empty where nothing is."""
        failures = (text for (_, of), text in list(self._failures.items()) if of == zone)
        return next(failures, self._told_trouble(zone, now))

    def stale(self, zone: str) -> bool:
        """True where forecasts are those of before a failure, of whatever age."""
        failed = any((question, zone) in self._failures for question in ("kinds", "forecast"))
        return failed or bool(getattr(self.provider, "trouble", ""))

    def version(self, zone: str, now: datetime) -> Hashable:
        """Equal to an earlier value where what the provider says need not be asked again."""
        told: Hashable = None
        provider = self.provider
        if isinstance(provider, Versioned):
            versioned = provider
            told = self._ask("version", zone, lambda: versioned.version(zone, now))
        steady = isinstance(provider, Versioned) and not self._failures
        return told, None if steady else milliseconds(now) // RETRY_MS

    def kinds(self, zone: str) -> tuple[Kind, ...]:
        """Kinds that the provider has for a zone, or had before it failed."""
        kinds = self._ask("kinds", zone, lambda: self.provider.kinds(zone))
        if kinds is not None:
            self._kinds[zone] = kinds
        return self._kinds.get(zone, ())

    def forecast(self, zone: str, kind: Kind, now: datetime) -> Forecast | None:
        """The provider's newest forecast, or the last one that it gave before it failed."""
        forecast = self._ask("forecast", zone, lambda: self.provider.forecast(zone, kind, now))
        if ("forecast", zone) in self._failures:
            last = self._forecasts.get((zone, kind))
            return last if last is not None and last.issued_at <= now else None
        if forecast is not None:
            self._forecasts[zone, kind] = forecast
        return forecast

    def observations(
        self, zone: str, kind: Kind, start: datetime, end: datetime, now: datetime
    ) -> Series | None:
        """The provider's observations; None where it failed."""
        return self._ask(
            "observations", zone, lambda: self.provider.observations(zone, kind, start, end, now)
        )

    def issues(self, zone: str, kind: Kind, start: datetime, now: datetime) -> list[Forecast]:
        """Its forecasts issued from `start` to `now`, of each hour the last; none where it failed."""

        def answer() -> list[Forecast]:
            if isinstance(self.provider, Remembering):
                return list(self.provider.issues(zone, kind, start, now, HOUR))
            return _one_by_one(self.provider, zone, kind, start, now)

        return self._ask("issues", zone, answer) or []

    def _told_trouble(self, zone: str, now: datetime) -> str:
        provider = self.provider
        if isinstance(provider, Troubled):
            troubled = provider
            return self._ask("trouble", zone, lambda: troubled.trouble_of(zone, now)) or ""
        return str(getattr(provider, "trouble", ""))

    def _ask(self, question: str, zone: str, answer: Callable[[], T]) -> T | None:
        """The answer, or None and a note where the provider raises anything at all."""
        try:
            told = answer()
        except Exception as error:  # whatever a provider does wrong, the next rung answers
            self._note(question, zone, f"{self.provider.name} failed: {str(error) or type(error).__name__}")
            return None
        self._note(question, zone, "")
        return told

    def _note(self, question: str, zone: str, failure: str) -> None:
        """Logs a change, and only a change: chains are asked many times a second."""
        before = self._failures.pop((question, zone), "")
        if failure:
            self._failures[question, zone] = failure
        if failure == before:
            return
        if failure:
            log.tell("warning", "provider.failed", provider=self.provider.name, zone=zone, reason=failure)
        else:
            log.tell("info", "provider.recovered", provider=self.provider.name, zone=zone)


def _one_by_one(provider: Provider, zone: str, kind: Kind, start: datetime, now: datetime) -> list[Forecast]:
    """A provider's forecasts, asked for as of earlier and earlier hours."""
    found: list[Forecast] = []
    moment = now
    while moment >= start:
        forecast = provider.forecast(zone, kind, moment)
        if forecast is None or not start <= forecast.issued_at <= moment:  # some only know the newest
            break
        found.append(forecast)
        moment = instant(milliseconds(forecast.issued_at) // HOUR_MS * HOUR_MS - 1)
    return found[::-1]
