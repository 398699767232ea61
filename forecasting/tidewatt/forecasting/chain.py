"""The chain of sources: what is known of the intensity ahead, from the best source that has it."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tidewatt.forecasting.asking import Asked
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Basis, Kind, Signal
from tidewatt.forecasting.layers import Layer, clipped, compose
from tidewatt.forecasting.marginal_profile import marginal_profile
from tidewatt.forecasting.own import Models, layers
from tidewatt.forecasting.profile import profile
from tidewatt.forecasting.provider import Provider
from tidewatt.forecasting.series import (
    Forecast,
    Outlook,
    Rung,
    Series,
    instant,
    integrate,
    milliseconds,
)
from tidewatt.forecasting.zones import keyed

GOOD_FOR = timedelta(hours=96)
HOUR_MS = 3_600_000
AHEAD = timedelta(hours=6)  # kept beyond what was asked for, so that `until` may move on with `now`
WAITED = timedelta(hours=48)  # services publish late and restate for days
CURRENT_FOR = timedelta(hours=2)  # an observation that ended longer ago is not the intensity now
RANKS = (Rung.HINDSIGHT, Rung.LIVE, Rung.LAST_GOOD, Rung.OWN, Rung.PROFILE)


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


@dataclass(frozen=True, slots=True)
class Kept:
    """What was composed to `until`, right for the same versions and for `now` in `[since, before)`."""

    versions: tuple[Hashable, ...]
    since: datetime
    before: datetime
    until: datetime
    outlook: Outlook | None
    notes: tuple[str, ...]


class Chain:
    """Asks providers in order, continues what ends early, and never raises because a provider did.

    With `hindsight` (of the chain, or of a single provider) outlooks hold later observations wherever there
    are any, and say so. `models` are those trained here. `observations` are always those available at `now`.
    An outlook depends on what the providers tell, not on what was asked before.
    """

    def __init__(
        self, providers: Sequence[Provider] = (), hindsight: bool = False, models: Models | None = None
    ) -> None:
        self.providers = tuple(Asked(provider) for provider in providers)
        self.hindsight = hindsight
        self.models = models
        self._kept: dict[tuple[str, Signal], Kept] = {}

    def outlook(self, zone: str, signal: Signal, now: datetime, until: datetime) -> Outlook | None:
        """Intensity over `[now, until)` without holes, as known at `now`; None where nothing at all is known.

        The best rung that has anything decides the kind; what it leaves open is continued by the others of
        the same signal, basis and gas, scaled to its level where their boundary differs. With nothing of the
        marginal signal the average one decides and `note` says so.

        Raises:
            ForecastError: a time has no zone, or `until` is not after `now`.
        """
        if milliseconds(until) <= milliseconds(now):
            raise ForecastError(f"an outlook must end after it starts: {now} to {until}")
        versions = tuple(asked.version(zone, now) for asked in self.providers)
        kept = self._kept.get((zone, signal))
        if not kept or kept.versions != versions or not kept.since <= now < kept.before or until > kept.until:
            kept = self._compose(zone, signal, now, until + AHEAD, versions)
            self._kept[zone, signal] = kept
        if kept.outlook is not None:
            return clipped(kept.outlook, now, until)
        return _noted(self._stand_in(zone, signal, now, until), *kept.notes)

    def observations(
        self, zone: str, signal: Signal, start: datetime, end: datetime, now: datetime
    ) -> Series | None:
        """Observed steps over `[start, end)` of one provider; never profile nor forecast.

        It is the first one with any, in the operator's order. Once `WAITED` has passed since `end`, what it
        still lacks may never come: then it is the one that covers most.
        """
        found: list[Series] = []
        for asked in self.providers:
            for kind in _of(signal, asked.kinds(zone)):
                series = asked.observations(zone, kind, start, end, now)
                if series is not None and len(series.steps.start_ms):
                    found.append(series)
        if found and now - end < WAITED:
            return found[0]
        return max(found, key=lambda series: integrate(series.steps, start, end).covered_ms, default=None)

    def latest(self, zone: str, signal: Signal, now: datetime) -> Latest | None:
        """Carbon intensity at `now`, for displays: the newest observation, else what is predicted."""
        series = self.observations(zone, signal, now - CURRENT_FOR, now, now)
        if series is not None:
            ended = instant(int(series.steps.end_ms[-1]))
            value = float(series.steps.gco2_per_kwh[-1])
            return Latest(zone, series.kind, value, series.source, True, None, now - ended)
        ahead = self.outlook(zone, signal, now, now + timedelta(hours=1))
        if ahead is None:
            return None
        first = ahead.segments[0]
        age = None if first.issued_at is None else now - first.issued_at
        value = float(ahead.steps.gco2_per_kwh[0])
        return Latest(zone, ahead.kind, value, first.source, False, first.rung, age)

    def _compose(
        self, zone: str, signal: Signal, now: datetime, until: datetime, versions: tuple[Hashable, ...]
    ) -> Kept:
        """The outlook from the hour of `now`, and until when nothing in it ends or grows too old."""
        hour = instant(milliseconds(now) // HOUR_MS * HOUR_MS)
        found: list[Layer] = []
        for asked in self.providers:
            found += self._layers(asked, zone, signal, hour, now, until)
        # levels are compared where forecasts end, however far was asked for
        ends = [instant(int(layer.steps.end_ms[-1])) for layer in found if layer.issued_at]
        until = max([until, *ends])
        issues = [layer.issued_at for layer in found if layer.issued_at is not None]
        turns = [hour + timedelta(hours=1), *ends]
        limits = {GOOD_FOR, *(asked.live_for for asked in self.providers)}
        turns += [issued + limit for issued in issues for limit in limits]
        concerned = (
            asked for asked in self.providers if _of(signal, asked.kinds(zone)) or not asked.kinds(zone)
        )
        notes = list(filter(None, (asked.trouble(zone, now) for asked in concerned)))
        if any(layer.rung is Rung.HINDSIGHT for layer in found):
            notes.insert(0, "planned in hindsight: later observations are used")
        layers = sorted(found, key=_rank)
        if signal is Signal.MARGINAL and not layers:
            layers = self._modelled(zone, hour, now, until)
            notes += [f"no source has a marginal signal of {zone}: modelled, not observed"] if layers else []
        layers += _usual(zone, signal, found, hour, until)
        outlook = None
        if layers:
            fitting = [layer for layer in layers if layer.kind.continues(layers[0].kind)]
            outlook = _noted(compose(zone, fitting, hour, until), *notes)
        before = min(turn for turn in turns if turn > now)
        return Kept(versions, now, before, until, outlook, tuple(notes))

    def _modelled(self, zone: str, hour: datetime, now: datetime, until: datetime) -> list[Layer]:
        """The marginal signal of a zone of which no source has one: from its mix, else its usual one."""
        made = None if self.models is None else self.models.marginal(zone, hour, now, until)
        found = [] if made is None else [made]
        usual = marginal_profile(zone)
        if usual is not None:
            found.append(_profiled(usual.label, usual.outlook(hour, until)))
        return found

    def _stand_in(self, zone: str, signal: Signal, now: datetime, until: datetime) -> Outlook | None:
        """What decides where nothing is known of this zone and signal itself."""
        if signal is Signal.MARGINAL:
            average = self.outlook(zone, Signal.AVERAGE, now, until)
            return _noted(average, f"average only: no marginal signal for {zone}")
        around = keyed(zone)
        if around is None or not around.within:
            return None
        wider = self.outlook(around.within, signal, now, until)
        return wider and _noted(replace(wider, zone=zone), f"{around.within} stands in for {zone}")

    def _layers(
        self, asked: Asked, zone: str, signal: Signal, hour: datetime, now: datetime, until: datetime
    ) -> Iterator[Layer]:
        """What one provider has of a signal: in hindsight, as forecast, and as its own continuation."""
        for kind in _of(signal, asked.kinds(zone)):
            if self.hindsight or asked.hindsight:
                later = asked.observations(zone, kind, hour, until, until + timedelta(days=1))
                if later is not None and len(later.steps.start_ms):
                    yield Layer(kind, Rung.HINDSIGHT, f"{later.source}, observed later", later.steps)
            forecast = asked.forecast(zone, kind, now)
            if forecast is not None and _reaches(forecast, now):
                yield _layer(forecast, now, asked.live_for, asked.stale(zone))
            yield from layers(asked, zone, kind, hour, now, until, self.models)


def _usual(zone: str, signal: Signal, found: Sequence[Layer], hour: datetime, until: datetime) -> list[Layer]:
    """The profile, below what was found, or alone for a zone that has one of its own."""
    usual = profile(zone) if signal is Signal.AVERAGE else None
    if usual is None or not (found or usual.zone == zone):
        return []
    return [_profiled(usual.label, usual.outlook(hour, until))]


def _profiled(label: str, ahead: Outlook) -> Layer:
    return Layer(ahead.kind, Rung.PROFILE, label, ahead.steps, None, ahead.p10, ahead.p90)


def _of(signal: Signal, kinds: Iterable[Kind]) -> list[Kind]:
    """Kinds of a signal, lifecycle first."""
    mine = (kind for kind in kinds if kind.signal is signal)
    return sorted(mine, key=lambda kind: kind.basis is not Basis.LIFECYCLE)


def _reaches(forecast: Forecast, now: datetime) -> bool:
    """True where a forecast is not too old and says something about what comes."""
    ends = forecast.steps.end_ms
    return now - forecast.issued_at < GOOD_FOR and len(ends) > 0 and int(ends[-1]) > milliseconds(now)


def _rank(layer: Layer) -> tuple[bool, bool, int]:
    return layer.rung is not Rung.HINDSIGHT, not layer.leads, RANKS.index(layer.rung)


def _layer(forecast: Forecast, now: datetime, live_for: timedelta, stale: bool) -> Layer:
    live = now - forecast.issued_at < live_for and not stale
    return Layer(
        forecast.kind,
        Rung.LIVE if live else Rung.LAST_GOOD,
        forecast.source,
        forecast.steps,
        forecast.issued_at,
        forecast.p10,
        forecast.p90,
    )


def _noted(outlook: Outlook | None, *notes: str) -> Outlook | None:
    """The outlook with more to know about it, each thing said once."""
    if outlook is None or not notes:
        return outlook
    said = [outlook.note] if outlook.note else []
    return replace(outlook, note="; ".join(dict.fromkeys([*notes, *said])))
