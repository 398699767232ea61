"""Own forecasts through the past: the trained model, and what the chain would have chosen at each moment."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tidewatt.forecasting.backtest.issuing import Retrained
from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.models.baselines import SameHourMean
from tidewatt.forecasting.models.forecaster import Forecaster, History, Prediction
from tidewatt.forecasting.models.shelf import Shelf
from tidewatt.forecasting.models.stored import path_of, save
from tidewatt.forecasting.models.trained import Model
from tidewatt.forecasting.quantity import intensity

TRAINED, CHOSEN = "gradient boosting", "own, as chosen"


@dataclass(slots=True)
class Training:
    """Trains a zone's model at most once for each moment."""

    kind: Kind
    _models: dict[int, Model | None] = field(default_factory=dict)

    def __call__(self, history: History) -> Model | None:
        """The model of what was known then; None where that is too little."""
        from tidewatt.forecasting.models.training import trained  # loads scikit-learn

        if history.now_ms not in self._models:
            self._models[history.now_ms] = trained(history, quantity=intensity(self.kind))
        return self._models[history.now_ms]


@dataclass(frozen=True, slots=True)
class FromShelf:
    """What a shelf of stored models offers: the model, or the baseline that did better lately."""

    shelf: Shelf
    kind: Kind
    name: str = CHOSEN

    def predict(self, history: History, hours: int) -> Prediction | None:
        """The next hours, as the chain would have got them."""
        own = self.shelf.own(history.zone, self.kind, history, hours)
        return None if own is None else own.prediction


@dataclass(frozen=True, slots=True)
class OrMean:
    """A forecaster, and the mean of the same hours while it has nothing to say."""

    forecaster: Forecaster
    name: str = CHOSEN

    def predict(self, history: History, hours: int) -> Prediction | None:
        """The next hours from the first of the two that knows them."""
        made = self.forecaster.predict(history, hours)
        return SameHourMean().predict(history, hours) if made is None else made


def own_forecasters(kind: Kind, every: timedelta, folder: Path) -> tuple[Forecaster, ...]:
    """The trained model, and the choice between it and the baselines; both are made anew every so often.

    `folder` is for the models that are chosen from; they are stored and read as in production.
    """
    train = Training(kind)

    def choose(history: History) -> Forecaster | None:
        model = train(history)
        if model is None:
            return None
        save(model, path_of(folder, model.zone, intensity(kind)))
        return FromShelf(Shelf(folder), kind)

    days = every / timedelta(days=1)
    return Retrained(TRAINED, train, days), OrMean(Retrained(CHOSEN, choose, days))
