"""WattTime v3: the marginal signal of many grids, observed and up to 72 hours ahead.

`co2_moer`, the marginal operating emissions rate, says what one more kWh of load causes at the stacks of the
plants that answer to it. So its kind is marginal, direct, by consumption; and CO2 alone, as its unit says.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from tidewatt.forecasting.feeds import wire
from tidewatt.forecasting.feeds.feed import Access, Cadence, FeedError, Fetched
from tidewatt.forecasting.feeds.options import Options
from tidewatt.forecasting.feeds.reply import MIB, Reply
from tidewatt.forecasting.feeds.secret import Secret, variables
from tidewatt.forecasting.feeds.transport import Login, Pairs, Transport
from tidewatt.forecasting.feeds.watttime_replies import (
    ENDPOINTS,
    QUANTITY,
    SIGNAL,
    Area,
    forecast_query,
    historical_query,
    listed_verbs,
    parsed_area,
    parsed_forecast,
    parsed_historical,
    place_query,
)
from tidewatt.forecasting.zones import Zone, every, keyed

NAME = "watttime"
BASE_URL = "https://api.watttime.org"
PER_MINUTE = 120.0  # allowed are 3,000 in 5 minutes, for all programs of a user together
LARGEST_BYTES = 4 * MIB  # several times what the longest reply has
TOKEN_S = 25 * 60.0  # tokens live for 30 minutes


@dataclass(frozen=True, slots=True)
class Token:
    """What a login brought, good until `ends` on the feed's clock."""

    secret: Secret
    ends: float


class WattTime:
    """The feed. Options: `horizon_hours` (0 to 72), `every_min` between forecasts, `base_url`."""

    name = "WattTime"

    def __init__(
        self,
        config: Mapping[str, object],
        credentials: Mapping[str, Secret],
        transport: Transport,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        options = Options(NAME, config)
        self._base_url = options.address("base_url", BASE_URL)
        self._horizon_hours = options.whole("horizon_hours", 72, 0, 72)
        forecast_every = timedelta(minutes=options.whole("every_min", 30, 5, 24 * 60))
        options.refuse_others()
        self.cadence = Cadence(
            forecast_every=forecast_every,
            observed_every=timedelta(hours=1),
            span=timedelta(days=30),
            backfill=timedelta(days=90),
            revised_for=timedelta(days=3),
        )
        self._credentials, self._transport, self._clock = credentials, transport, clock
        self._token: Token | None = None
        self._areas: dict[str, Area] = {}
        self._lock = Lock()

    def quantities(self, zone: str) -> tuple[str, ...]:
        """The marginal intensity, wherever there is a zone: only the service knows where it has coverage."""
        return (QUANTITY,) if keyed(zone) is not None else ()

    def fetch_forecast(self, zone: str, now: datetime) -> Fetched:
        """The newest issue."""
        area = self._area(zone)
        body = self._asked("/v3/forecast", forecast_query(area.region, self._horizon_hours))
        return _noted(parsed_forecast(body, area.region), area)

    def fetch_observations(self, zone: str, start: datetime, end: datetime, now: datetime) -> Fetched:
        """The ex-post estimates over `[start, end)`, as far as they ended by `now`."""
        area = self._area(zone)
        body = self._asked("/v3/historical", historical_query(area.region, start, end))
        return _noted(parsed_historical(body, area.region, start, min(end, now)), area)

    def access(self, zone: str, now: datetime) -> Access:
        """What the account lists for the zone's region, and a forecast or history fetched to prove it."""
        area = self._area(zone)
        listed = listed_verbs(self._asked("/v3/my-access", {"signal_type": SIGNAL}), area.region)
        said = [f"region {area.region}{area.how}"]
        may = []
        for verb in ENDPOINTS.values():
            try:
                said.append(self._proof(verb, zone, now))
                may.append(verb)
            except FeedError as error:
                if not error.denied:
                    raise
                if verb in listed:
                    said.append(f"{verb} is listed for this account and yet refused")
        may_not = tuple(verb for verb in ENDPOINTS.values() if verb not in may)
        if may_not:
            said.append(f"this account has no {' and no '.join(may_not)} for it")
        return Access(zone, tuple(may), may_not, "; ".join(said))

    def _proof(self, verb: str, zone: str, now: datetime) -> str:
        """What a real call brought, for people."""
        if verb == "history":
            brought = self.fetch_observations(zone, now - timedelta(days=1), now, now)
            return f"{sum(len(each.steps.start_ms) for each in brought.observed)} values of the last 24 h"
        issued = self.fetch_forecast(zone, now).issued
        if not issued or not len(issued[0].steps.end_ms):
            return "the newest forecast is empty"
        age = (now - issued[0].issued_at).total_seconds() / 60
        ahead = issued[0].steps.end_ms[-1] / 3.6e6 - issued[0].issued_at.timestamp() / 3600
        return f"newest issue {age:.0f} min old, {ahead:.0f} h ahead"

    def _area(self, zone: str) -> Area:
        """The region of a zone: by the zone table, else the one that holds the zone's centre."""
        found = self._areas.get(zone) or _tabled(zone)
        if found is None:
            place = keyed(zone)
            if place is None:
                raise FeedError(f"WattTime cannot be asked for {zone!r}: there is no such zone", denied=True)
            _check_whole(place)
            body = self._asked("/v3/region-from-loc", place_query(place.latitude, place.longitude))
            found = parsed_area(body, zone)
        self._areas[zone] = found
        return found

    def _asked(self, path: str, query: Pairs) -> wire.Record:
        """The body of a call, after one new login where the token was no longer accepted."""
        token = self._current(None)
        reply = self._call(path, query, token)
        if _token_refused(reply):
            reply = self._call(path, query, self._current(token))
        if reply.status == 200:
            return wire.record(reply.json(), "WattTime's reply")
        raise self._refused(reply)

    def _call(self, path: str, query: Pairs, token: Token) -> Reply:
        return self._transport.get(
            self._base_url + path,
            params=query,
            headers={"Authorization": Secret(f"Bearer {token.secret.reveal()}")},
        )

    def _current(self, refused: Token | None) -> Token:
        """A token that is not the refused one and not about to end; logs in where there is none."""
        with self._lock:
            kept = self._token
            if kept is None or kept is refused or self._clock() >= kept.ends:
                self._token = None
                kept = self._token = self._login()
            return kept

    def _login(self) -> Token:
        reply = self._transport.get(self._base_url + "/login", auth=self._user())
        if reply.status == 200:
            token = wire.record(reply.json(), "WattTime's login").get("token")
            if isinstance(token, str) and token and token.isascii() and token.isprintable():
                return Token(Secret(token), self._clock() + TOKEN_S)
            raise FeedError("WattTime's login brought no token", transient=True)
        if reply.status in (401, 403):
            raise FeedError(
                "WattTime refuses this user and password: check WATTTIME_USER and WATTTIME_PASSWORD, or "
                "[watttime] in the credentials file",
                denied=True,
            )
        raise self._refused(reply)

    def _user(self) -> Login:
        """User and password; a FeedError that says where to put them where they are missing."""
        user, password = self._credentials.get("user"), self._credentials.get("password")
        if not user or not password:
            names = " and ".join(variables(NAME, name)[0] for name in ("user", "password"))
            raise FeedError(
                f"WattTime needs a user and a password: set {names}, or user and password under [watttime] "
                "in the credentials file",
                denied=True,
            )
        return user, password

    def _refused(self, reply: Reply) -> FeedError:
        """What to make of a status that is neither 200 nor a matter of tokens."""
        token = [self._token.secret] if self._token else []
        words = wire.said(reply, [*self._credentials.values(), *token])
        match reply.status:
            case 401 | 403 if _token_refused(reply):
                return FeedError("WattTime does not accept its own new token", transient=True)
            case 403:
                return FeedError(f"WattTime does not let this account have that: {words}", denied=True)
            case 404:
                return FeedError(f"WattTime has nothing there: {words}", denied=True)
            case status:
                return FeedError(f"WattTime refused the request ({status}): {words}")


def _token_refused(reply: Reply) -> bool:
    """True where a new login may help: 401, or a 403 that does not speak JSON (a proxy's page)."""
    return reply.status == 401 or (reply.status == 403 and wire.refusal(reply) is None)


def _tabled(zone: str) -> Area | None:
    place = keyed(zone)
    aliases = place.aliases if place is not None else ()
    regions = [alias.partition(":")[2] for alias in aliases if alias.startswith("watttime:")]
    return Area(regions[0]) if regions else None


def _check_whole(place: Zone) -> None:
    """Refuses a zone that is divided: what lies at its centre is but one part, and not the others.

    WattTime's own areas divide none: a zone around them has one grid, and its centre stands for it.
    """
    parts = [each.key for each in every() if each.within == place.key and not each.key.startswith("WT:")]
    if parts:
        raise FeedError(
            f"WattTime has no one signal for {place.key} ({place.name}): name a zone inside it, such as "
            f"{parts[0]}; `tidewatt zones {place.key}` lists them",
            denied=True,
        )


def _noted(fetched: Fetched, area: Area) -> Fetched:
    """What was fetched, with the region it is of where that is no matter of course."""
    if not area.how:
        return fetched
    return Fetched(fetched.observed, fetched.issued, (*fetched.notes, f"region {area.region}{area.how}"))
