"""The shelf of trained models: what is used for a zone now, and why."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.models import blend
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
        """The zone's model blended with baselines where that captured more than each of them, else the best.

        None where there is no model, or where neither it nor a baseline can say anything.
        """
        model = self.model(zone, kind)
        if model is None:
            return None
        if isinstance(model, str):
            return _by(SameHourMean(), history, hours, f"; {model}")
        trained = instant(model.to_ms)
        if model.to_ms > history.now_ms:
            return _by(SameHourMean(), history, hours, f"; the model of {trained:%Y-%m-%d} is younger")
        if history.now_ms - model.to_ms > GOOD_FOR.total_seconds() * 1000:
            return _by(SameHourMean(), history, hours, f"; the model of {trained:%Y-%m-%d} is too old")
        chosen = preferred(model)
        made = chosen.predict(history, hours)
        if made is not None:
            return Own(made, f"{_called(chosen, model)}{_reason(model, chosen)}")
        return _by(SameHourMean(), history, hours, "; too little is known for the model")

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


def preferred(model: Model) -> Forecaster:
    """The model blended with baselines, or a baseline that captured as much in the days that were judged.

    The model alone where only that captured more than all baselines; the same-hour mean where nothing could
    be saved then.
    """
    captured = model.captured
    if model.name not in captured:
        return SameHourMean()
    rivals = [each for each in BASELINES if each.name in captured]
    best = max(rivals, key=lambda each: captured[each.name], default=None)
    if best is None or captured.get(blend.NAME, -1.0) > captured[best.name]:
        return blend.Blend(model, blend.says(captured))
    return model if captured[model.name] > captured[best.name] else best


def _called(chosen: Forecaster, model: Model) -> str:
    """The name of the chosen one: of a model its day, of a blend what is in it."""
    if not isinstance(chosen, Model | blend.Blend):
        return chosen.name
    called = f"{model.name} of {instant(model.to_ms):%Y-%m-%d}"
    weight = chosen.weight if isinstance(chosen, blend.Blend) else {}
    beside = sorted(set(weight) - {model.name}, key=lambda name: -weight[name])
    parts = [f"{100 * weight[name]:.0f} % {name}" for name in beside]
    return f"{called} blended with {' and '.join(parts)}" if parts else called


def _reason(model: Model, chosen: Forecaster) -> str:
    """What the chosen one captured, against the best of the others."""
    mixed = isinstance(chosen, blend.Blend) and blend.NAME in model.captured
    key = blend.NAME if mixed else chosen.name
    share = model.captured.get(key)
    if share is None:
        return "; nothing could be saved lately"
    apart = {key, blend.NAME, model.name} if isinstance(chosen, Model | blend.Blend) else {key, blend.NAME}
    rivals = {name: each for name, each in model.captured.items() if name not in apart}
    rival = max(rivals, key=lambda name: rivals[name], default=None)
    against = "" if rival is None else f" against {100 * rivals[rival]:.0f} % of the {rival}"
    days = f"{model.judged_days:.0f} day{'s' if model.judged_days != 1 else ''}"
    return f", {100 * share:.0f} % of the possible saving in the last {days}{against}"


def _by(forecaster: Forecaster, history: History, hours: int, why: str) -> Own | None:
    made = forecaster.predict(history, hours)
    return None if made is None else Own(made, f"{forecaster.name}{why}")
