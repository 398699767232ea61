"""What every source of carbon intensity can do."""

from collections.abc import Hashable, Sequence
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.series import Forecast, Series


class Provider(Protocol):
    """A source of observations and forecasts, asked for its view as of a moment."""

    name: str

    def kinds(self, zone: str) -> tuple[Kind, ...]:
        """Kinds of series this source has for `zone`; empty where it has none."""
        ...

    def observations(self, zone: str, kind: Kind, start: datetime, end: datetime, now: datetime) -> Series:
        """Observed steps that overlap `[start, end)` and were available at `now` (a step is, once it ended).

        Steps on the edges come whole.
        """
        ...

    def forecast(self, zone: str, kind: Kind, now: datetime) -> Forecast | None:
        """The newest forecast issued at or before `now`; None where there is none."""
        ...


@runtime_checkable
class Versioned(Protocol):
    """A provider that tells cheaply whether its answers may have changed; others are asked now and then."""

    def version(self, zone: str, now: datetime) -> Hashable:
        """Equal to an earlier value where every answer for `zone` would be the same as then."""
        ...


@runtime_checkable
class Troubled(Protocol):
    """A provider that tells what is wrong with it, zone by zone."""

    def trouble_of(self, zone: str, now: datetime) -> str:
        """Why what it says of `zone` may not be the newest, for people; empty where all is well."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A provider that tells all its past forecasts at once; others are asked for one after the other."""

    def issues(
        self, zone: str, kind: Kind, start: datetime, now: datetime, every: timedelta
    ) -> Sequence[Forecast]:
        """Forecasts issued from `start` to `now`, in order, of each stretch `every` the last at least."""
        ...
