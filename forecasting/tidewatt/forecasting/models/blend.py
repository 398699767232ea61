"""A model and the plain forecasts together, each with a say by what it captured lately."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.models.baselines import BASELINES
from tidewatt.forecasting.models.forecaster import History, Prediction
from tidewatt.forecasting.models.trained import NAME as MODEL
from tidewatt.forecasting.models.trained import Model

Floats = NDArray[np.float64]

NAME = "blend"
SHARPNESS = 0.05  # who captured so much less of the possible saving has 1/e of the say
MODEL_COUNTS = 2.0
LEAST_SAY = 0.02
LEAST_G = 1.0


def says(captured: Mapping[str, float]) -> dict[str, float]:
    """Weights of model and baselines, 1 together, by what share of the possible saving each captured.

    As exponentially weighted experts have them: Cesa-Bianchi and Lugosi, Prediction, Learning, and Games
    (2006), section 2.2; the model's counts twice.
    """
    shares = {name: share for name, share in captured.items() if name != NAME}
    best = max(shares.values(), default=0.0)
    raw = {
        name: float(np.exp((share - best) / SHARPNESS)) * (MODEL_COUNTS if name == MODEL else 1.0)
        for name, share in shares.items()
    }
    heard = {name: each for name, each in raw.items() if each >= LEAST_SAY * sum(raw.values())}
    return {name: each / sum(heard.values()) for name, each in heard.items()}


def blended(predictions: Mapping[str, Floats], weight: Mapping[str, float]) -> Floats:
    """The weighted geometric mean of predictions; who says nothing of a step has no weight there."""
    logs = np.stack([np.log(np.maximum(predictions[name], LEAST_G)) for name in weight])
    shares = np.array(list(weight.values())).reshape(-1, *[1] * (logs.ndim - 1))
    known = ~np.isnan(logs)
    total = np.where(known, shares, 0.0).sum(axis=0)
    mean = np.where(known, shares * logs, 0.0).sum(axis=0) / np.where(total > 0, total, np.nan)
    return np.asarray(np.exp(mean), float)


@dataclass(frozen=True, slots=True)
class Blend:
    """A model with the plain forecasts that are heard beside it."""

    model: Model
    weight: Mapping[str, float]
    name: str = f"{MODEL}, blended"

    def predict(self, history: History, hours: int) -> Prediction | None:
        """The blend as far as the model reaches, its band around it; None where the model says nothing."""
        made = self.model.predict(history, hours)
        if made is None:
            return None
        predictions = {MODEL: made.gco2_per_kwh}
        for baseline in BASELINES:
            plain = (
                baseline.predict(history, len(made.gco2_per_kwh)) if baseline.name in self.weight else None
            )
            if plain is not None:
                predictions[baseline.name] = plain.gco2_per_kwh
        heard = {name: share for name, share in self.weight.items() if name in predictions}
        mean = blended(predictions, heard) if heard else made.gco2_per_kwh
        p10, p90 = (_around(mean, each, made.gco2_per_kwh) for each in (made.p10, made.p90))
        return Prediction(made.start_ms, mean, p10, p90)


def _around(mean: Floats, quantile: Floats | None, centre: Floats) -> Floats | None:
    """A quantile as far from `mean`, in logarithms, as it was from `centre`."""
    return None if quantile is None else np.asarray(mean * quantile / centre, float)
