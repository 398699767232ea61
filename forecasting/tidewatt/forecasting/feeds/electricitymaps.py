"""Electricity Maps v3: the average signal of many grids, flow-traced, observed and up to 72 hours ahead.

Imports count with what was emitted for them where they were generated, so the boundary is consumption. The
account's plan decides what may be asked: many have one zone, the last 24 hours, and no forecast.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from tidewatt.forecasting.feeds import wire
from tidewatt.forecasting.feeds.electricitymaps_replies import (
    NO_FORECAST,
    kind,
    no_data,
    not_in_plan,
    observed_query,
    parsed_forecast,
    parsed_observed,
    query,
    range_query,
)
from tidewatt.forecasting.feeds.feed import Access, Cadence, FeedError, Fetched
from tidewatt.forecasting.feeds.options import Options
from tidewatt.forecasting.feeds.reply import MIB
from tidewatt.forecasting.feeds.secret import Secret, variables
from tidewatt.forecasting.feeds.transport import Pairs, Transport
from tidewatt.forecasting.kind import Basis
from tidewatt.forecasting.quantity import intensity
from tidewatt.forecasting.zones import keyed

NAME = "electricitymaps"
BASE_URL = "https://api.electricitymaps.com/v3"
PER_MINUTE = 10.0  # the service tells no limits; free plans were seen to allow about 50 calls an hour
LARGEST_BYTES = 4 * MIB  # several times what the longest reply has
HORIZON_HOURS = 72
LAST_DAY = timedelta(hours=24)  # what `history` holds
REMEMBERED = timedelta(days=1)  # so long a plan is taken to have no past after that was refused


class NotInPlanError(FeedError):
    """The key is good and the account's plan does not have this."""


class ElectricityMaps:
    """The feed of one account.

    Options: `emission_factors` (`lifecycle` or `direct`), `horizon_hours`, `leave_out_estimated`, and
    `base_url` for another of the service's hosts.

    Forecasts are issued for life-cycle factors only: with `direct` there is none, since it would be of
    another kind than the observations.
    """

    name = "Electricity Maps"

    def __init__(
        self, config: Mapping[str, object], credentials: Mapping[str, Secret], transport: Transport
    ) -> None:
        options = Options(NAME, config)
        self._base_url = options.address("base_url", BASE_URL)
        self._basis = Basis(options.choice("emission_factors", Basis.LIFECYCLE, list(Basis)))
        self._horizon_hours = options.whole("horizon_hours", HORIZON_HOURS, 1, HORIZON_HOURS)
        self._leave_out_estimated = options.flag("leave_out_estimated")
        options.refuse_others()
        if self._basis is not Basis.LIFECYCLE:
            self.name = f"{self.name}, {self._basis} factors"  # another source: both may be configured
        self.cadence = Cadence(
            forecast_every=timedelta(hours=1) if self._basis is Basis.LIFECYCLE else None,
            observed_every=timedelta(hours=1),
            span=timedelta(days=10),
            backfill=timedelta(days=90),
            revised_for=timedelta(days=2),  # estimates give way to measurements within hours or days
        )
        self._credentials, self._transport = credentials, transport
        self._without_past: dict[str, datetime] = {}

    def quantities(self, zone: str) -> tuple[str, ...]:
        """The average intensity of every zone of the table but WattTime's own areas."""
        known = keyed(zone) is not None and not zone.startswith("WT:")
        return (intensity(kind(self._basis)),) if known else ()

    def fetch_forecast(self, zone: str, now: datetime) -> Fetched:
        """The newest issue; nothing, and a note, where there is none."""
        if self._basis is not Basis.LIFECYCLE:
            return Fetched(notes=("Electricity Maps issues forecasts for life-cycle emission factors only",))
        body = self._asked("forecast", query(zone) | {"horizonHours": self._horizon_hours})
        if body is None:
            return Fetched(notes=(f"Electricity Maps has no forecast of {zone} now",))
        return parsed_forecast(body, zone, now)

    def fetch_observations(self, zone: str, start: datetime, end: datetime, now: datetime) -> Fetched:
        """Hours observed over `[start, end)` that ended by `now`; of the last day on plans without a past."""
        if start >= now - LAST_DAY or now < self._without_past.get(zone, now):
            return self._observed("history", zone, start, end, now)
        try:
            return self._observed("past-range", zone, start, end, now)
        except NotInPlanError:
            if end <= now - LAST_DAY:
                raise
            self._without_past[zone] = now + REMEMBERED
        last = self._observed("history", zone, start, end, now)
        return Fetched(
            last.observed, last.issued, (*last.notes, f"{self.name}: this plan has the last 24 h only")
        )

    def access(self, zone: str, now: datetime) -> Access:
        """What real calls of each verb brought; `past` means more than the last 24 h."""
        details: dict[str, str] = {}
        may = []
        for verb in ("forecast", "history", "past"):
            try:
                brought, details[verb] = self._proof(verb, zone, now)
            except NotInPlanError:
                brought, details[verb] = False, f"no {verb} on this plan"
            if brought:
                may.append(verb)
        may_not = tuple(verb for verb in details if verb not in may)
        return Access(zone, tuple(may), may_not, "; ".join(details.values()))

    def _proof(self, verb: str, zone: str, now: datetime) -> tuple[bool, str]:
        """Whether a real call brought anything, and what, for people."""
        if verb == "forecast":
            fetched = self.fetch_forecast(zone, now)
            if not fetched.issued:
                return False, "; ".join(fetched.notes)
            issued = fetched.issued[0]
            age = (now - issued.issued_at).total_seconds() / 60
            ahead = (int(issued.steps.end_ms[-1]) / 1000 - now.timestamp()) / 3600
            return True, f"newest issue {age:.0f} min old, {ahead:.0f} h ahead"
        path, end = ("history", now) if verb == "history" else ("past-range", now - 2 * LAST_DAY)
        fetched = self._observed(path, zone, end - LAST_DAY, end, now)
        count = sum(len(each.steps.start_ms) for each in fetched.observed)
        span = "the last 24 h" if verb == "history" else "a day before"
        return count > 0, f"{count} values of {span}"

    def _observed(self, verb: str, zone: str, start: datetime, end: datetime, now: datetime) -> Fetched:
        asked = observed_query(zone, self._basis)
        if verb == "past-range":
            asked = asked | range_query(start, end)
        body = self._asked(verb, asked)
        if body is None:
            return Fetched(notes=(f"Electricity Maps has no data of {zone} there",))
        return parsed_observed(body, zone, self._basis, start, min(end, now), self._leave_out_estimated)

    def _asked(self, verb: str, asked: Pairs) -> wire.Record | None:
        """The body of a call; None where the service has no data."""
        key = self._key()
        reply = self._transport.get(
            f"{self._base_url}/carbon-intensity/{verb}", params=asked, headers={"auth-token": key}
        )
        if not_in_plan(reply):
            what = NO_FORECAST if verb == "forecast" else f"no {verb} on this plan"
            raise NotInPlanError(f"Electricity Maps: {what} ({wire.said(reply, [key])})", denied=True)
        match reply.status:
            case 200:
                return wire.record(reply.json(), "the reply of Electricity Maps")
            case 401:
                raise FeedError(
                    "Electricity Maps refuses this key: check ELECTRICITYMAPS_API_KEY, or key under "
                    "[electricitymaps] in the credentials file",
                    denied=True,
                )
            case 404 if no_data(reply):
                return None
            case status:
                raise FeedError(
                    f"Electricity Maps refused the request ({status}): {wire.said(reply, [key])}",
                    denied=status == 404,
                    transient=status == 403,
                )

    def _key(self) -> Secret:
        key = self._credentials.get("key")
        if not key:
            name = variables(NAME, "key")[0]
            raise FeedError(
                f"Electricity Maps needs a key: set {name}, or key under [electricitymaps] in the "
                "credentials file",
                denied=True,
            )
        return key
