"""What every service on the network can do: a feed knows addresses and replies, not when to ask."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.series import Intensities, Steps


class FeedError(ForecastError):
    """A feed could not be read. The text never holds a credential nor a query string.

    `transient`: the same call may succeed later, not before `retry_after_s` where that is known. `denied`:
    the key may not have this, so that asking again soon is of no use.
    """

    def __init__(
        self,
        message: str,
        *,
        transient: bool = False,
        denied: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, transient=transient)
        self.denied = denied
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Observed:
    """Observed steps of one quantity (see `quantity.py`), in ascending order; nulls are holes."""

    quantity: str
    steps: Steps


@dataclass(frozen=True, slots=True)
class Issued:
    """A forecast of one quantity as its service issued it."""

    quantity: str
    issued_at: datetime
    steps: Steps
    p10: Intensities | None = None
    p90: Intensities | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """What calls brought; `notes` tell people what was repaired, left out or warned of."""

    observed: tuple[Observed, ...] = ()
    issued: tuple[Issued, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often a service has something new. None: never."""

    forecast_every: timedelta | None
    observed_every: timedelta | None
    span: timedelta  # the longest history that one call may ask for
    backfill: timedelta  # how far back the first fill goes
    revised_for: timedelta  # so long after a step ended it may be restated, and is asked for again


@dataclass(frozen=True, slots=True)
class Access:
    """What a real call proved for a zone: `may` and `may_not` name verbs, as `forecast` and `history`."""

    zone: str
    may: tuple[str, ...]
    may_not: tuple[str, ...] = ()
    detail: str = ""  # for people: "newest issue 12 min old, 72 h ahead; plan without forecasts"


class Feed(Protocol):
    """A service. Every fetch is one or a few calls; what they raise is a FeedError."""

    @property
    def name(self) -> str:
        """What people call it; its data are kept under this name."""
        ...

    @property
    def cadence(self) -> Cadence:
        """How often to ask."""
        ...

    def quantities(self, zone: str) -> tuple[str, ...]:
        """What the service may have for `zone`, known without asking it; empty where it covers it not."""
        ...

    def fetch_forecast(self, zone: str, now: datetime) -> Fetched:
        """The newest issues; nothing where the service has none."""
        ...

    def fetch_observations(self, zone: str, start: datetime, end: datetime, now: datetime) -> Fetched:
        """What was observed over `[start, end)`, which is no longer than the cadence's span."""
        ...

    def access(self, zone: str, now: datetime) -> Access:
        """What the credentials may do, proved by real calls."""
        ...


@runtime_checkable
class Computed(Protocol):
    """A feed whose intensities are computed here from something else that its service tells."""

    def method(self, kind: Kind, *, ahead: bool) -> str:
        """How an intensity of this kind is got, for people; `ahead` of forecasts, else of observations."""
        ...
