"""The shelf of trained models: what is used for a zone now, and why."""

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
        chosen = preferred(model)
        called = f" of {trained:%Y-%m-%d}" if chosen is model else ""
        made = _by(chosen, history, hours, f"{called}{_reason(model, chosen.name)}")
        return made or _by(SameHourMean(), history, hours, "; too little is known for the model")

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
    """The model, or the baseline that captured at least as much as it in the last days of its training.

    The same-hour mean where nothing could be saved then.
    """
    if model.name not in model.captured:
        return SameHourMean()
    rivals = [each for each in BASELINES if each.name in model.captured]
    best = max(rivals, key=lambda each: model.captured[each.name], default=None)
    return model if best is None or model.captured[model.name] > model.captured[best.name] else best


def _reason(model: Model, chosen: str) -> str:
    """What the chosen one captured, against the best of the others."""
    share = model.captured.get(chosen)
    if share is None:
        return "; nothing could be saved lately"
    rivals = {name: each for name, each in model.captured.items() if name != chosen}
    rival = max(rivals, key=lambda name: rivals[name], default=None)
    against = "" if rival is None else f" against {100 * rivals[rival]:.0f} % of the {rival}"
    days = f"{model.judged_days:.0f} day{'s' if model.judged_days != 1 else ''}"
    return f", {100 * share:.0f} % of the possible saving in the last {days}{against}"


def _by(forecaster: Forecaster, history: History, hours: int, why: str) -> Own | None:
    made = forecaster.predict(history, hours)
    return None if made is None else Own(made, f"{forecaster.name}{why}")
