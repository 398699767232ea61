"""What is sent to WattTime and what its replies say, apart from the network."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tidewatt.forecasting.feeds import wire
from tidewatt.forecasting.feeds.feed import FeedError, Fetched, Issued, Observed
from tidewatt.forecasting.feeds.points import assembled, point, within
from tidewatt.forecasting.feeds.transport import Pairs
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.quantity import intensity
from tidewatt.forecasting.series import Steps

KIND = Kind(Signal.MARGINAL, Basis.DIRECT, Boundary.CONSUMPTION, "CO2")
QUANTITY = intensity(KIND)
SIGNAL = "co2_moer"
UNIT = "lbs_co2_per_mwh"
GRAMS_PER_KWH = 0.45359237  # one lb/MWh: the international pound is 0.45359237 kg exactly
STEPS_S = (300, 3600)
ENDPOINTS = {"v3/forecast": "forecast", "v3/historical": "history"}


@dataclass(frozen=True, slots=True)
class Area:
    """A region of WattTime and how a zone came to it; "" where by the zone table."""

    region: str
    how: str = ""


def forecast_query(region: str, horizon_hours: int) -> Pairs:
    """Parameters of `/v3/forecast`."""
    return {"region": region, "signal_type": SIGNAL, "horizon_hours": horizon_hours}


def historical_query(region: str, start: datetime, end: datetime) -> Pairs:
    """Parameters of `/v3/historical` for the points that begin in `[start, end)`: both ends are inclusive."""
    return {
        "region": region,
        "signal_type": SIGNAL,
        "start": _stamp(start),
        "end": _stamp(max(start, end - timedelta(seconds=1))),
        "include_imputed_marker": "true",
    }


def place_query(latitude: float, longitude: float) -> Pairs:
    """Parameters of `/v3/region-from-loc`."""
    return {"latitude": latitude, "longitude": longitude, "signal_type": SIGNAL}


def parsed_forecast(body: wire.Record, region: str) -> Fetched:
    """The issue in a reply of `/v3/forecast`; its first point may lie before `generated_at`."""
    meta = _meta(body, region)
    issued_at = wire.moment(meta.get("generated_at"), "generated_at of WattTime")
    steps, notes = _steps(body, meta, "WattTime's forecast")
    if not len(steps.start_ms):
        return Fetched(notes=(*notes, *_warnings(meta), "WattTime's forecast is empty"))
    return Fetched(issued=(Issued(QUANTITY, issued_at, steps),), notes=(*notes, *_warnings(meta)))


def parsed_historical(body: wire.Record, region: str, start: datetime, end: datetime) -> Fetched:
    """The observations in a reply of `/v3/historical` that lie in `[start, end)`."""
    meta = _meta(body, region)
    steps, notes = _steps(body, meta, "WattTime's history")
    imputed = sum(
        each.get("imputed_data_used") is True for each in wire.records(body.get("data"), "WattTime's data")
    )
    if imputed:
        notes += (f"WattTime's history: {imputed} imputed, WattTime may restate them",)
    observed = Observed(QUANTITY, within(steps, start, end))
    return Fetched(observed=(observed,), notes=(*notes, *_warnings(meta)))


def parsed_area(body: wire.Record, zone: str) -> Area:
    """The region in a reply of `/v3/region-from-loc`."""
    region, full = body.get("region"), body.get("region_full_name", "")
    if not isinstance(region, str) or not region:
        raise FeedError("WattTime names no region for that place: the service's format has changed")
    return Area(region, f" ({wire.words(full)}), which holds the centre of {zone}")


def listed_verbs(body: wire.Record, region: str) -> tuple[str, ...]:
    """The verbs that a reply of `/v3/my-access` lists for a region."""
    verbs = set()
    for signal in wire.records(body.get("signal_types"), "signal_types of WattTime"):
        if signal.get("signal_type") != SIGNAL:
            continue
        for area in wire.records(signal.get("regions"), "regions of WattTime"):
            if area.get("region") == region:
                endpoints = wire.records(area.get("endpoints"), "endpoints of WattTime")
                verbs |= {str(each.get("endpoint")).lstrip("/") for each in endpoints}
    return tuple(verb for endpoint, verb in ENDPOINTS.items() if endpoint in verbs)


def _meta(body: wire.Record, region: str) -> wire.Record:
    """The meta data, which must be of the region and signal asked for, in the one unit that we know."""
    meta = wire.record(body.get("meta"), "meta of WattTime")
    for name, wanted in (("units", UNIT), ("signal_type", SIGNAL), ("region", region)):
        if meta.get(name) != wanted:
            raise FeedError(
                f"WattTime answered with {name} {wire.words(meta.get(name))!r} where {wanted!r} was "
                "expected: refused, nothing of it is used"
            )
    return meta


def _steps(body: wire.Record, meta: wire.Record, what: str) -> tuple[Steps, tuple[str, ...]]:
    step_s = meta.get("data_point_period_seconds")
    if isinstance(step_s, bool) or not isinstance(step_s, int) or step_s not in STEPS_S:
        raise FeedError(f"{what}: steps of {wire.words(step_s)} s, known are 300 and 3600: refused")
    points = []
    for each in wire.records(body.get("data"), "data of WattTime"):
        value = wire.number(each.get("value"), "a value of WattTime")
        grams = None if value is None else value * GRAMS_PER_KWH
        points.append(point(wire.moment(each.get("point_time"), "a point_time of WattTime"), step_s, grams))
    return assembled(points, what)


def _warnings(meta: wire.Record) -> tuple[str, ...]:
    """What the service warns of, for people."""
    given = meta.get("warnings") or []
    return tuple(
        f"WattTime warns: {wire.words(each.get('message') or each.get('type'))}"
        for each in (given if isinstance(given, list) else [])
        if isinstance(each, dict)
    )


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
