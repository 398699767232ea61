"""What every source of carbon intensity can do."""

from datetime import datetime
from typing import Protocol

from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.series import Forecast, Series


class Provider(Protocol):
    """A source of observations and forecasts, asked for its view as of a moment."""

    name: str

    def kinds(self, zone: str) -> tuple[Kind, ...]:
        """Kinds of series this source has for `zone`; empty where it has none."""
        ...

    def observations(self, zone: str, kind: Kind, start: datetime, end: datetime, now: datetime) -> Series:
        """Observed steps that overlap `[start, end)` and were available at `now` (a step is, once it ended)."""
        ...

    def forecast(self, zone: str, kind: Kind, now: datetime) -> Forecast | None:
        """The newest forecast issued at or before `now`; None where there is none."""
        ...
