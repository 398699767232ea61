"""A provider held in memory, for tests: ours, and those of whoever writes against the contract."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.series import Forecast, Series, Steps, empty, milliseconds, touching


@dataclass(slots=True)
class FakeProvider:
    """Answers from series and forecasts that were put in; `failure` makes every call raise it."""

    name: str = "fake"
    series: list[Series] = field(default_factory=list)
    forecasts: list[Forecast] = field(default_factory=list)
    failure: Exception | None = None
    hindsight: bool = False

    def kinds(self, zone: str) -> tuple[Kind, ...]:
        """Kinds of what was put in for `zone`."""
        self._fail()
        held: Sequence[Series | Forecast] = (*self.series, *self.forecasts)
        return tuple(dict.fromkeys(each.kind for each in held if each.zone == zone))

    def observations(self, zone: str, kind: Kind, start: datetime, end: datetime, now: datetime) -> Series:
        """Observed steps that overlap `[start, end)` and had ended at `now`."""
        self._fail()
        start_ms, end_ms, now_ms = milliseconds(start), milliseconds(end), milliseconds(now)
        for each in self.series:
            if (each.zone, each.kind) == (zone, kind):
                steps = each.steps
                part = touching(steps, start_ms, end_ms)
                known = slice(
                    part.start, max(part.start, min(part.stop, int((steps.end_ms <= now_ms).sum())))
                )
                cut = Steps(steps.start_ms[known], steps.end_ms[known], steps.gco2_per_kwh[known])
                return replace(each, steps=cut)
        return Series(zone, kind, self.name, empty())

    def forecast(self, zone: str, kind: Kind, now: datetime) -> Forecast | None:
        """The newest forecast issued at or before `now`; None where there is none."""
        self._fail()
        milliseconds(now)  # refuses a naive time
        issued = [f for f in self.forecasts if (f.zone, f.kind) == (zone, kind) and f.issued_at <= now]
        return max(issued, key=lambda f: f.issued_at, default=None)

    def version(self, zone: str, now: datetime) -> Hashable:
        """Never equal: what was put in may have changed."""
        return object()

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


def failing(message: str = "the fake provider fails") -> FakeProvider:
    """A provider of which every call fails."""
    return FakeProvider(failure=ForecastError(message, transient=True))
