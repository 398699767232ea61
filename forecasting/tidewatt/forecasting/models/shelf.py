"""The shelf of trained models: what is used for a zone now, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.models.baselines import BASELINES, SameHourMean
from tidewatt.forecasting.models.forecaster import Forecaster, History, Prediction
from tidewatt.forecasting.models.stored import load, path_of
from tidewatt.forecasting.models.trained import Model
from tidewatt.forecasting.quantity import intensity
from tidewatt.forecasting.series import instant

GOOD_FOR = timedelta(days=60)  # a model that was judged longer ago may no longer be better than plain means
Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Own:
    """An own forecast, and in words which one and why."""

    prediction: Prediction
    label: str


class Shelf:
    """Stored models of a folder, read when they change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[Path, tuple[Stamp, Model | str]] = {}

    def own(self, zone: str, kind: Kind, history: History, hours: int) -> Own | None:
        """The forecast of the zone's model where that captured more than all baselines lately, else the best.

        None where there is no model, or where neither it nor a baseline can say anything.
        """
        model = self.model(zone, kind)
        if model is None:
            return None
        if isinstance(model, str):
            return _by(SameHourMean(), history, hours, f"; {model}")
        trained = instant(model.to_ms)
        if history.now_ms - model.to_ms > GOOD_FOR.total_seconds() * 1000:
            return _by(SameHourMean(), history, hours, f"; the model of {trained:%Y-%m-%d} is too old")
        best, rival = _two(model)
        if best == model.name:
            made = model.predict(history, hours)
            if made is not None:
                reason = _reason(model.captured, best, rival, model.judged_days)
                return Own(made, f"{model.name} of {trained:%Y-%m-%d}, {reason}")
            return _by(SameHourMean(), history, hours, "; too little is known for the model")
        forecaster = next(each for each in BASELINES if each.name == best)
        reason = ", " + _reason(model.captured, best, model.name, model.judged_days)
        return _by(forecaster, history, hours, reason if best in model.captured else "; nothing to be saved")

    def model(self, zone: str, kind: Kind) -> Model | str | None:
        """The stored model; why it is refused, where it is; None where there is none."""
        path = path_of(self.folder, zone, intensity(kind))
        try:
            status = path.lstat()
        except OSError:
            return None
        stamp = status.st_mtime_ns, status.st_size, status.st_ino
        kept = self._read.get(path)
        if kept is None or kept[0] != stamp:
            kept = stamp, _loaded(path, zone, intensity(kind))
            self._read[path] = kept
        return kept[1]


def _loaded(path: Path, zone: str, quantity: str) -> Model | str:
    try:
        model = load(path)
    except ForecastError as error:
        return str(error)
    if (model.zone, model.quantity) != (zone, quantity):
        return f"{path.name} is the model of {model.zone}, {model.quantity}"
    return model


def _two(model: Model) -> tuple[str, str]:
    """Who captured most lately, and who came next; the same-hour mean where nothing could be saved."""
    plain = SameHourMean().name
    known = {name for name in (model.name, *(each.name for each in BASELINES)) if name in model.captured}
    if model.name not in known:
        return plain, model.name
    ranked = sorted(known, key=lambda name: (-model.captured[name], name == model.name, name))
    return ranked[0], ranked[1] if len(ranked) > 1 else plain


def _reason(captured: Mapping[str, float], best: str, rival: str, days: float) -> str:
    if best not in captured:
        return ""
    against = f" against {captured[rival]:.0%} of the {rival}" if rival in captured else ""
    return f"{captured[best]:.0%} of the possible saving in the last {days:.0f} days{against}".replace(
        "%", " %"
    )


def _by(forecaster: Forecaster, history: History, hours: int, why: str) -> Own | None:
    made = forecaster.predict(history, hours)
    return None if made is None else Own(made, f"{forecaster.name}{why}")
