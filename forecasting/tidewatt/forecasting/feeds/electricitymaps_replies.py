"""What is sent to Electricity Maps and what its replies say, apart from the network."""

from datetime import UTC, datetime

from tidewatt.forecasting.feeds import wire
from tidewatt.forecasting.feeds.feed import FeedError, Fetched, Issued, Observed
from tidewatt.forecasting.feeds.points import Point, assembled, point, within
from tidewatt.forecasting.feeds.reply import Reply
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.quantity import intensity

NO_FORECAST = "no forecast on this plan"
STEPS_S = {"5_minutes": 300, "15_minutes": 900, "hourly": 3600}
OUTSIDE_PLAN = ("token unauthorized for zonekey", "endpoint not available")
WHAT = "Electricity Maps"


def kind(basis: Basis) -> Kind:
    """The kind of its series: flow-traced, with all greenhouse gases as CO2 equivalents."""
    return Kind(Signal.AVERAGE, basis, Boundary.CONSUMPTION)


def query(zone: str) -> dict[str, str | int]:
    """Parameters of every call: the zone is named, and the caller's own place never stands in for it."""
    return {"zone": zone, "disableCallerLookup": "true", "temporalGranularity": "hourly"}


def observed_query(zone: str, basis: Basis) -> dict[str, str | int]:
    """Parameters of `history`, and of `past-range` beside its range."""
    return query(zone) | {"emissionFactorType": basis.value}


def range_query(start: datetime, end: datetime) -> dict[str, str | int]:
    """Start and end of `past-range`."""
    return {"start": _stamp(start), "end": _stamp(end)}


def parsed_forecast(body: wire.Record, zone: str, now: datetime) -> Fetched:
    """The issue in a reply of `forecast`, as of its `updatedAt`."""
    _check_zone(body, zone)
    items = wire.records(body.get("forecast"), "forecast of Electricity Maps")
    if not items:
        return Fetched(notes=(f"{WHAT}: {NO_FORECAST}: it was empty",))
    step_s = _step_s(body)
    steps, notes = assembled((_point(each, step_s) for each in items), "forecast of Electricity Maps")
    if body.get("updatedAt") is None:
        issued_at = now.replace(minute=0, second=0, microsecond=0)
        notes += ("Electricity Maps does not say when it issued its forecast: taken as this hour",)
    else:
        issued_at = wire.moment(body["updatedAt"], "updatedAt of Electricity Maps")
    if not len(steps.start_ms):
        return Fetched(notes=notes)
    return Fetched(issued=(Issued(intensity(kind(Basis.LIFECYCLE)), issued_at, steps),), notes=notes)


def parsed_observed(
    body: wire.Record, zone: str, basis: Basis, start: datetime, end: datetime, leave_out_estimated: bool
) -> Fetched:
    """The observations in `[start, end)` of a reply of `history`, `past-range`, `past` or `latest`."""
    _check_zone(body, zone)
    items = _items(body)
    for each in items:
        _check_zone(each, zone)
        given = each.get("emissionFactorType", basis.value)
        if given != basis.value:
            raise FeedError(
                f"Electricity Maps answered with {wire.words(given)} emission factors where {basis.value} "
                "ones were asked for: refused, the two are never mixed"
            )
    estimated = [each for each in items if each.get("isEstimated") is True]
    if leave_out_estimated:
        items = [each for each in items if each.get("isEstimated") is not True]
    step_s = _step_s(body)
    steps, notes = assembled((_point(each, step_s) for each in items), "history of Electricity Maps")
    if estimated:
        methods = sorted({wire.words(each.get("estimationMethod") or "unknown") for each in estimated})
        done = "left out" if leave_out_estimated else "to be restated"
        notes += (f"{WHAT}: {len(estimated)} estimated ({', '.join(methods)}), {done}",)
    observed = Observed(intensity(kind(basis)), within(steps, start, end))
    return Fetched(observed=(observed,), notes=notes)


def not_in_plan(reply: Reply) -> bool:
    """True where the key is good, but its plan lacks this zone or verb."""
    said = wire.said(reply).lower()
    forbidden = reply.status == 403 and wire.refusal(reply) is not None  # a page is a proxy's, not the plan's
    return forbidden or any(words in said for words in OUTSIDE_PLAN)


def no_data(reply: Reply) -> bool:
    """True where a 404 says that there are no data, rather than no such zone."""
    return "no recent data" in wire.said(reply).lower() or "no data" in wire.said(reply).lower()


def _items(body: wire.Record) -> list[wire.Record]:
    """The single values, which stand under `history`, under `data` (many or one), or alone."""
    for name in ("history", "data"):
        found = body.get(name)
        if isinstance(found, dict):
            return [found]
        if found is not None:
            return wire.records(found, f"{name} of Electricity Maps")
    if "carbonIntensity" in body:
        return [body]
    raise FeedError("Electricity Maps sent neither history nor data: the service's format has changed")


def _point(item: wire.Record, step_s: int) -> Point:
    value = wire.number(item.get("carbonIntensity"), "a carbonIntensity of Electricity Maps")
    return point(wire.moment(item.get("datetime"), "a datetime of Electricity Maps"), step_s, value)


def _step_s(body: wire.Record) -> int:
    named = body.get("temporalGranularity", "hourly")
    if not isinstance(named, str) or named not in STEPS_S:
        raise FeedError(
            f"Electricity Maps sent steps of {wire.words(named)}, where hourly ones were asked for"
        )
    return STEPS_S[named]


def _check_zone(body: wire.Record, zone: str) -> None:
    """Refuses what is of another zone: the service may take the caller's own place for one it cannot tell."""
    given = body.get("zone", zone)
    if given != zone:
        raise FeedError(f"Electricity Maps answered for zone {wire.words(given)}, not for {zone}: refused")


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
