"""The chain of sources: what is known of the intensity ahead, from the best source that has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidewatt.forecasting.kind import Kind, Signal
from tidewatt.forecasting.provider import Provider
from tidewatt.forecasting.series import Outlook, Rung, Series


@dataclass(frozen=True, slots=True)
class Latest:
    """Carbon intensity now; `observed` says measured rather than predicted, `age` how old the number is."""

    zone: str
    kind: Kind
    gco2_per_kwh: float
    source: str
    observed: bool
    rung: Rung | None  # None where observed
    age: timedelta | None  # None for a profile


class Chain:
    """Asks providers in order, continues what ends early, and never raises because a provider did."""

    def __init__(self, providers: Sequence[Provider] = (), hindsight: bool = False) -> None:
        raise NotImplementedError

    def outlook(self, zone: str, signal: Signal, now: datetime, until: datetime) -> Outlook | None:
        """Intensity over `[now, until)` without holes, as known at `now`; None where nothing at all is known."""
        raise NotImplementedError

    def observations(
        self, zone: str, signal: Signal, start: datetime, end: datetime, now: datetime
    ) -> Series | None:
        """Observed steps over `[start, end)` of the first provider that has any; never profile nor forecast."""
        raise NotImplementedError

    def latest(self, zone: str, signal: Signal, now: datetime) -> Latest | None:
        """Carbon intensity at `now`, for displays."""
        raise NotImplementedError
