"""The transparency platform of ENTSO-E: Europe's generation, load, and forecasts of wind, sun and load.

The intensity is computed from the mix with published factors (see `mix.py`); its forecast from those of wind,
sun and load (see `residual.py`). The platform does not tell when a forecast was made: the documents carry the
time at which they were asked for, and so do the issues here.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from threading import Lock

import numpy as np

from tidewatt.forecasting import quantity
from tidewatt.forecasting.feeds.areas import area
from tidewatt.forecasting.feeds.entsoe_documents import (
    DRIVEN_AHEAD,
    GENERATION,
    GENERATION_AHEAD,
    LOAD,
    LOAD_AHEAD,
    Asked,
    Document,
    document,
    parameters,
)
from tidewatt.forecasting.feeds.entsoe_tracks import FUELS, driven, mix, total
from tidewatt.forecasting.feeds.feed import Access, Cadence, FeedError, Fetched, Issued, Observed
from tidewatt.forecasting.feeds.generation import BASES, INTENSITIES, fuels_of
from tidewatt.forecasting.feeds.options import Options
from tidewatt.forecasting.feeds.points import within
from tidewatt.forecasting.feeds.secret import Secret, variables
from tidewatt.forecasting.feeds.transport import Transport
from tidewatt.forecasting.feeds.wire import check_page
from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.mix import method as mix_method
from tidewatt.forecasting.residual import METHOD, PAST, fitted
from tidewatt.forecasting.series import Steps, empty, milliseconds, stepped
from tidewatt.forecasting.zones import Zone, keyed

NAME = "entsoe"
BASE_URL = "https://web-api.tp.entsoe.eu/api"
PER_MINUTE = 300.0  # 400 are allowed; more are answered by a ban
QUIET_S = 600.0  # the ban's length
SPAN = timedelta(days=14)  # a year is allowed, but takes the platform minutes
LOOKED_BACK = timedelta(days=3)  # so much is always asked for: it shows which plants are usual
AHEAD = timedelta(days=3)
OVERLAP = timedelta(days=1)


class Entsoe:
    """The feed, for the areas of `data/bidding_zones.csv`. Options: `backfill_days`, `base_url`."""

    name = "ENTSO-E"

    def __init__(
        self, config: Mapping[str, object], credentials: Mapping[str, Secret], transport: Transport
    ) -> None:
        options = Options(NAME, config)
        self._base_url = options.address("base_url", BASE_URL)
        backfill = timedelta(days=options.whole("backfill_days", 3 * 365, 1, 3650))
        options.refuse_others()
        self.cadence = Cadence(
            forecast_every=timedelta(hours=1),
            observed_every=timedelta(hours=1),
            span=SPAN,
            backfill=backfill,
            revised_for=timedelta(days=3),
        )
        self._credentials, self._transport = credentials, transport
        self._past: dict[str, dict[str, Steps]] = {}  # by zone: what the intensity's forecast is fitted to
        self._labels: dict[str, str] = {}  # by zone: how good the newest fit is
        self._lock = Lock()

    def quantities(self, zone: str) -> tuple[str, ...]:
        """Intensity by both bases, power by fuel, demand, and all generation as forecast."""
        if not area(zone):
            return ()
        others = (quantity.generation("demand"), quantity.generation("generation"))
        return (*INTENSITIES, *fuels_of(FUELS.values()), *others)

    def method(self, kind: Kind, *, ahead: bool) -> str:
        """The factors that turn the mix into intensity; ahead, how it follows from other forecasts."""
        return METHOD if ahead else mix_method(kind.basis)

    def fetch_forecast(self, zone: str, now: datetime) -> Fetched:
        """Wind, sun, load and all generation as forecast, MW, and the intensity that follows from them."""
        begin, end = now - timedelta(hours=1), now + AHEAD
        place = _covered(zone)[1]
        told, notes = driven([self._asked(each, zone, begin, end) for each in DRIVEN_AHEAD], place)
        for name, asked in (("demand", LOAD_AHEAD), ("generation", GENERATION_AHEAD)):
            told[name], repairs = total(self._asked(asked, zone, begin, end), f"ENTSO-E's {name} ahead")
            notes = (*notes, *repairs)
        ahead = {name: _from(steps, now) for name, steps in told.items()}
        issued = [
            Issued(quantity.generation(name), now, steps)
            for name, steps in ahead.items()
            if len(steps.start_ms)
        ]
        intensities, remarks = self._intensities(zone, ahead, now)
        return Fetched(issued=(*intensities, *issued), notes=(*notes, *remarks))

    def fetch_observations(self, zone: str, start: datetime, end: datetime, now: datetime) -> Fetched:
        """The mix of the steps that lie in `[start, end)`, its intensity, and the load."""
        until = min(end, now)
        since = min(start, until - LOOKED_BACK)
        fuels, notes = mix(self._asked(GENERATION, zone, since, until), _covered(zone)[1])
        load, repairs = total(self._asked(LOAD, zone, since, until), "ENTSO-E's load")
        told = (*fuels, Observed(quantity.generation("demand"), load))
        inside = (Observed(each.quantity, within(each.steps, start, until)) for each in told)
        return Fetched(
            observed=tuple(each for each in inside if len(each.steps.start_ms)), notes=(*notes, *repairs)
        )

    def access(self, zone: str, now: datetime) -> Access:
        """Asks for the last two days of the mix, and for the forecasts."""
        brought = self.fetch_observations(zone, now - timedelta(days=2), now, now)
        ahead = self.fetch_forecast(zone, now)
        kinds = {each.quantity for each in ahead.issued}
        verbs = {
            "history": INTENSITIES[0] in {each.quantity for each in brought.observed},
            "forecast": INTENSITIES[0] in kinds,
            "wind, solar and load forecasts": bool(kinds - {*INTENSITIES}),
        }
        newest = max((int(each.steps.end_ms[-1]) for each in brought.observed), default=None)
        late = (
            "no mix of late" if newest is None else f"newest {(milliseconds(now) - newest) / 3.6e6:.1f} h ago"
        )
        return Access(
            zone,
            tuple(verb for verb, given in verbs.items() if given),
            tuple(verb for verb, given in verbs.items() if not given),
            f"area {area(zone)}: {late}; intensity ahead: {self._labels.get(zone) or ahead.notes[-1]}",
        )

    def _intensities(
        self, zone: str, ahead: Mapping[str, Steps], now: datetime
    ) -> tuple[tuple[Issued, ...], tuple[str, ...]]:
        """The forecast intensity by both bases where the fit holds, and what people should know of it."""
        if not len(ahead["demand"].start_ms):
            return (), ("no forecast of the load: none of the intensity",)
        try:
            past = self._remembered(zone, now)
        except FeedError as error:  # the other forecasts are here, and worth keeping
            return (), (f"no forecast of the intensity: {error}",)
        issued, notes = [], []
        for basis, name in zip(BASES, INTENSITIES, strict=True):
            fit = fitted(past, basis, now)
            if fit is None:
                notes.append("less than two weeks of mix and load are known: no forecast of the intensity")
                continue
            told = fit.predicted(ahead) if fit.holds else empty()
            if len(told.start_ms):
                issued.append(Issued(name, now, told))
            notes.append(f"{name}: {METHOD}{'' if fit.holds else ': not good enough here, no forecast'}")
            self._labels[zone] = fit.label
        return tuple(issued), tuple(dict.fromkeys(notes))

    def _remembered(self, zone: str, now: datetime) -> dict[str, Steps]:
        """Power by fuel and load of the last four weeks; only what is new is asked for."""
        with self._lock:
            known = self._past.get(zone, {})
        newest = max((int(steps.end_ms[-1]) for steps in known.values() if len(steps.end_ms)), default=0)
        gap_s = now.timestamp() - newest / 1000
        since = now - min(PAST, timedelta(seconds=gap_s) + OVERLAP)
        first_ms = milliseconds(now - PAST)
        past = dict(known)
        while since < now:
            until = min(since + SPAN, now)
            for each in self.fetch_observations(zone, since, until, now).observed:
                if each.quantity.startswith(quantity.MW):
                    name = each.quantity.removeprefix(quantity.MW)
                    past[name] = _joined(past.get(name, empty()), each.steps, first_ms)
            since = until
        with self._lock:
            self._past[zone] = past
        return past

    def _asked(self, asked: Asked, zone: str, start: datetime, end: datetime) -> Document:
        """The document of one call."""
        what = f"ENTSO-E's document {asked.document}/{asked.process}"
        query = parameters(asked, _covered(zone)[0], start, end)
        reply = self._transport.get(self._base_url, params={"securityToken": self._key(), **query})
        check_page(reply, self.name)  # a token that is refused is answered with 401, and a page too
        if reply.status in (401, 403):
            raise FeedError(
                f"ENTSO-E does not accept this token ({reply.status}): check {variables(NAME, 'key')[0]}, or "
                "key under [entsoe] in the credentials file",
                denied=True,
            )
        if reply.status not in (200, 400):  # 400 comes with a document that says why
            raise FeedError(f"ENTSO-E refused the request ({reply.status}): {reply.excerpt}")
        return document(reply.body, what)

    def _key(self) -> Secret:
        """The token; a FeedError that says where to put it where it is missing."""
        key = self._credentials.get("key")
        if not key:
            raise FeedError(
                f"ENTSO-E needs a token: set {variables(NAME, 'key')[0]}, or key under [entsoe] in the "
                "credentials file; it is free, asked for by mail to transparency@entsoe.eu",
                denied=True,
            )
        return key


def _covered(zone: str) -> tuple[str, Zone]:
    """The code of the zone's area, and where it lies."""
    eic, place = area(zone), keyed(zone)
    if not eic or place is None:
        raise FeedError(f"ENTSO-E has no area for the zone {zone}", denied=True)
    return eic, place


def _from(steps: Steps, now: datetime) -> Steps:
    """The steps that end after `now`."""
    ahead = steps.end_ms > milliseconds(now)
    return Steps(steps.start_ms[ahead], steps.end_ms[ahead], steps.gco2_per_kwh[ahead])


def _joined(known: Steps, fresh: Steps, first_ms: int) -> Steps:
    """What was known since `first_ms`, with what is fresh in place of what it restates."""
    if not len(fresh.start_ms):
        return known
    kept = (known.start_ms >= first_ms) & (
        (known.end_ms <= fresh.start_ms[0]) | (known.start_ms >= fresh.end_ms[-1])
    )
    start_ms = np.concatenate([known.start_ms[kept], fresh.start_ms])
    order = np.argsort(start_ms, kind="stable")
    return stepped(
        start_ms[order],
        np.concatenate([known.end_ms[kept], fresh.end_ms])[order],
        np.concatenate([known.gco2_per_kwh[kept], fresh.gco2_per_kwh])[order],
    )
