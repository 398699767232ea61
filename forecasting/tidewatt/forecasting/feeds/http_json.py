"""A carbon signal of one's own, told as JSON over HTTP and described in the configuration alone.

`configs/examples/own_signal.toml` shows one. Its tables say where to ask, where in the reply times and values
stand, what their unit is, and what the number means. Nothing in them is ever run: paths are names and
positions, addresses have four places to fill in.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from tidewatt.forecasting import quantity
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.feed import Access, Cadence, FeedError, Fetched, Issued, Observed
from tidewatt.forecasting.feeds.http_json_tables import (
    CLOCKS,
    Shape,
    Word,
    called,
    headers_of,
    params_of,
    required,
    shape_of,
    zones_of,
)
from tidewatt.forecasting.feeds.json_path import Path
from tidewatt.forecasting.feeds.options import Options
from tidewatt.forecasting.feeds.points import Point, assembled, within
from tidewatt.forecasting.feeds.secret import Secret, scrub, variables
from tidewatt.forecasting.feeds.transport import Transport
from tidewatt.forecasting.feeds.wire import moment, number, words
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Intensities, Steps, instant, milliseconds

PER_MINUTE = 30.0
EARLIEST, LATEST = (datetime(year, 1, 1, tzinfo=UTC) for year in (1990, 2200))
TABLES = ("observations", "forecast")
NESTED = ("name", "zones", "headers", "params", *TABLES)


class HttpJson:
    """The feed of one configured signal; `name` is the source's own.

    Options: `zones` (a list, or a table with the service's own names), `signal`, `basis`, `boundary`, `gas`,
    `headers`, `params`, and one or both of the tables `observations` and `forecast`.
    """

    def __init__(
        self, config: Mapping[str, object], credentials: Mapping[str, Secret], transport: Transport
    ) -> None:
        self.name = called(config)
        options = Options(self.name, {key: value for key, value in config.items() if key not in NESTED})
        self._kind = Kind(
            Signal(options.choice("signal", Signal.AVERAGE, list(Signal))),
            Basis(required(options, self.name, "basis", list(Basis))),
            Boundary(required(options, self.name, "boundary", list(Boundary))),
            options.choice("gas", "CO2eq", ["CO2eq", "CO2"]),
        )
        self._span = timedelta(hours=options.whole("span_h", 24, 1, 24 * 366))
        self._backfill = timedelta(days=options.whole("backfill_days", 30, 0, 3660))
        self._revised = timedelta(hours=options.whole("revised_h", 24, 0, 24 * 31))
        options.refuse_others()
        self._zones = zones_of(config.get("zones"), self.name)
        self._headers = headers_of(config.get("headers", {}), self.name)
        self._params = params_of(config.get("params", {}), self.name)
        self._observations, self._forecast = (
            shape_of(config.get(table), self.name, table) for table in TABLES
        )
        if not (self._observations or self._forecast):
            raise ForecastError(
                f"the source {self.name} needs a table [source.observations] or [source.forecast]"
            )
        self._credentials, self._transport = credentials, transport

    @property
    def cadence(self) -> Cadence:
        """As often as the tables say."""
        return Cadence(
            forecast_every=self._forecast.every if self._forecast else None,
            observed_every=self._observations.every if self._observations else None,
            span=self._span,
            backfill=self._backfill,
            revised_for=self._revised,
        )

    def quantities(self, zone: str) -> tuple[str, ...]:
        """The configured kind of intensity, for the configured zones."""
        return (quantity.intensity(self._kind),) if zone in self._zones else ()

    def fetch_forecast(self, zone: str, now: datetime) -> Fetched:
        """The newest issue; nothing where none is configured, or the service tells none."""
        if self._forecast is None:
            return Fetched()
        body = self._asked(self._forecast, zone, {"now": now})
        steps, notes = self._steps(self._forecast, self._forecast.value, body, "forecast")
        if not len(steps.start_ms):
            return Fetched(notes=(*notes, f"{self.name}: an empty forecast"))
        bands, remarks = self._bands(steps, body)
        issued = Issued(quantity.intensity(self._kind), self._issued_at(body, now), steps, *bands)
        return Fetched(issued=(issued,), notes=(*notes, *remarks))

    def fetch_observations(self, zone: str, start: datetime, end: datetime, now: datetime) -> Fetched:
        """What was observed over `[start, end)` and has ended."""
        if self._observations is None:
            return Fetched()
        body = self._asked(self._observations, zone, {"start": start, "end": end, "now": now})
        steps, notes = self._steps(self._observations, self._observations.value, body, "observations")
        inside = within(steps, start, min(end, now))
        if not len(inside.start_ms):
            return Fetched(notes=notes)
        return Fetched(observed=(Observed(quantity.intensity(self._kind), inside),), notes=notes)

    def access(self, zone: str, now: datetime) -> Access:
        """Asks once by each table that is configured."""
        told = {}
        if self._observations:
            brought = self.fetch_observations(
                zone, now - min(self._span, timedelta(days=1)), now, now
            ).observed
            told["history"] = f"{len(brought[0].steps.start_ms) if brought else 0} values of the last 24 h"
        if self._forecast:
            issued = self.fetch_forecast(zone, now).issued
            ahead_h = (int(issued[0].steps.end_ms[-1]) - milliseconds(now)) / 3.6e6 if issued else 0
            told["forecast"] = f"{ahead_h:.0f} h ahead"
        return Access(zone, tuple(told), detail="; ".join(told.values()))

    def _asked(self, shape: Shape, zone: str, times: Mapping[str, datetime]) -> object:
        """The body of a reply."""
        if zone not in self._zones:
            raise FeedError(f"the source {self.name} is not configured for the zone {zone}", denied=True)
        headers, params = (
            {each.name: self._said(each) for each in words} for words in (self._headers, self._params)
        )
        try:
            reply = self._transport.get(
                shape.address.filled(self._zones[zone], times), params=params, headers=headers
            )
            if reply.status == 200:
                return reply.json()
        except FeedError as error:  # a service may repeat what stood behind a prefix
            raise FeedError(
                self._scrubbed(str(error)),
                transient=error.transient,
                denied=error.denied,
                retry_after_s=error.retry_after_s,
            ) from None
        if reply.status in (401, 403):
            wanted = " and ".join(
                dict.fromkeys(
                    variables(self.name, each.secret)[0]
                    for each in (*self._headers, *self._params)
                    if each.secret
                )
            )
            hint = f": check {wanted}" if wanted else ", and none is configured under headers or params"
            raise FeedError(f"{self.name} accepts no such credential ({reply.status}){hint}", denied=True)
        raise FeedError(f"{self.name} refused the request ({reply.status}): {self._scrubbed(reply.excerpt)}")

    def _scrubbed(self, text: str) -> str:
        return scrub(text, self._credentials.values())

    def _said(self, word: Word) -> str | Secret:
        """What to send in a header or parameter; a FeedError that says where a missing credential belongs."""
        if not word.secret:
            return word.text
        secret = self._credentials.get(word.secret)
        if not secret:
            variable = variables(self.name, word.secret)[0]
            raise FeedError(
                f"{self.name} needs a credential: set {variable}, or {word.secret} under [{self.name}] in "
                "the credentials file",
                denied=True,
            )
        return Secret(word.text + secret.reveal())

    def _steps(self, shape: Shape, value: Path, body: object, what: str) -> tuple[Steps, tuple[str, ...]]:
        """Times and values put together, in gCO2/kWh."""
        if shape.unit_at is not None:
            unit = shape.unit_at.value(body)
            if unit != shape.unit_is:
                was = f"{shape.unit_is!r} was, at {shape.unit_at.text}"
                raise FeedError(f"{self.name} told {words(unit)!r} where {was}: refused")
        times, values = shape.time.values(body), value.values(body)
        if len(times) != len(values):
            raise FeedError(
                f"{self.name} told {len(times)} times and {len(values)} values at {value.text}: refused"
            )
        points = [self._point(shape, at, told) for at, told in zip(times, values, strict=True)]
        return assembled(points, f"{what} of {self.name}")

    def _point(self, shape: Shape, at: object, told: object) -> Point:
        at_ms = _time_ms(at, shape.clock, f"a time of {self.name}")
        start_ms = at_ms - shape.step_ms if shape.ends else at_ms
        value = number(told, f"a value of {self.name}")
        return Point(start_ms, start_ms + shape.step_ms, None if value is None else value * shape.factor)

    def _bands(
        self, steps: Steps, body: object
    ) -> tuple[tuple[Intensities | None, Intensities | None], tuple[str, ...]]:
        """The 10 % and 90 % quantiles; none where they do not stand at every value."""
        shape = self._forecast
        if shape is None or not shape.quantiles:
            return (None, None), ()
        found = [self._steps(shape, each, body, "quantiles")[0] for each in shape.quantiles]
        if any(each.start_ms.tolist() != steps.start_ms.tolist() for each in found):
            return (None, None), (f"{self.name}: quantiles are not told for every value, and left out",)
        low, high = (each.gco2_per_kwh for each in found)
        return (low, high), ()

    def _issued_at(self, body: object, now: datetime) -> datetime:
        """When the forecast was issued; as of now where the service does not say."""
        shape = self._forecast
        if shape is None or shape.issued_at is None:
            return now
        what = f"the time of issue of {self.name}"
        return instant(_time_ms(shape.issued_at.value(body), shape.clock, what))


def made(
    config: Mapping[str, object],
    secrets: Callable[[str, str], Secret | None],
    transport: Transport | None = None,
) -> HttpJson:
    """The feed of a `[[source]]` table of type `http`, with the credentials that its headers name."""
    name = called(config)
    words = (*headers_of(config.get("headers", {}), name), *params_of(config.get("params", {}), name))
    wanted = [each.secret for each in words if each.secret]
    found = {each: secret for each in wanted if (secret := secrets(name, each)) is not None}
    return HttpJson(config, found, transport or Transport(name, per_minute=PER_MINUTE))


def _time_ms(value: object, clock: str, what: str) -> int:
    """A time as Unix milliseconds, which lies in our days."""
    factor = CLOCKS.get(clock)
    if factor is None:
        at_ms = milliseconds(moment(value, what))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        at_ms = round(value * factor)
    else:
        raise FeedError(f"{what} is not a number of {clock}: {words(value)!r}")
    if not milliseconds(EARLIEST) <= at_ms <= milliseconds(LATEST):
        raise FeedError(f"{what} lies outside of all sense: is time_format {clock} right?")
    return at_ms
