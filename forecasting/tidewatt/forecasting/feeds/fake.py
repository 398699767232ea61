"""A feed held in memory, for tests: ours, and those of whoever writes a feed or stands on one."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event

from tidewatt.forecasting.feeds.feed import Access, Cadence, FeedError, Fetched, Issued, Observed
from tidewatt.forecasting.feeds.points import within

HOURLY = Cadence(
    forecast_every=timedelta(hours=1),
    observed_every=timedelta(hours=1),
    span=timedelta(days=10),
    backfill=timedelta(days=30),
    revised_for=timedelta(days=1),
)


@dataclass(slots=True)
class FakeFeed:
    """Answers from what was put in, by zone; `asked` are the calls that came: what, zone, start, end.

    `failure` makes every call raise it. `hold`: no call answers before it is set.
    """

    name: str = "fake feed"
    cadence: Cadence = HOURLY
    observed: dict[str, list[Observed]] = field(default_factory=dict)
    issued: dict[str, list[Issued]] = field(default_factory=dict)
    failure: Exception | None = None
    hold: Event | None = None
    asked: list[tuple[str, str, datetime, datetime]] = field(default_factory=list)

    def quantities(self, zone: str) -> tuple[str, ...]:
        """Quantities of what was put in for `zone`."""
        held = [each.quantity for each in self.observed.get(zone, [])]
        held += [each.quantity for each in self.issued.get(zone, [])]
        return tuple(dict.fromkeys(held))

    def fetch_forecast(self, zone: str, now: datetime) -> Fetched:
        """The newest issue of each quantity, issued by `now`."""
        self._take("forecast", zone, now, now)
        newest: dict[str, Issued] = {}
        for each in sorted(self.issued.get(zone, []), key=lambda issue: issue.issued_at):
            if each.issued_at <= now:
                newest[each.quantity] = each
        return Fetched(issued=tuple(newest.values()))

    def fetch_observations(self, zone: str, start: datetime, end: datetime, now: datetime) -> Fetched:
        """The steps in `[start, end)` that had ended at `now`."""
        self._take("observations", zone, start, end)
        if end - start > self.cadence.span:
            raise FeedError(f"{self.name} was asked for more than {self.cadence.span}")
        held = self.observed.get(zone, [])
        cut = (Observed(each.quantity, within(each.steps, start, min(end, now))) for each in held)
        return Fetched(observed=tuple(each for each in cut if len(each.steps.start_ms)))

    def access(self, zone: str, now: datetime) -> Access:
        """What was put in."""
        self._take("access", zone, now, now)
        held = {"forecast": bool(self.issued.get(zone)), "history": bool(self.observed.get(zone))}
        may, may_not = (
            tuple(verb for verb, has in held.items() if has is wanted) for wanted in (True, False)
        )
        return Access(zone, may, may_not)

    def _take(self, what: str, zone: str, start: datetime, end: datetime) -> None:
        self.asked.append((what, zone, start, end))
        if self.hold is not None:
            self.hold.wait()
        if self.failure is not None:
            raise self.failure
