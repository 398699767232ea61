"""Training of a zone's model on its own past."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.models import blend, judging
from tidewatt.forecasting.models.baselines import BASELINES
from tidewatt.forecasting.models.calibration import band, covered, stacked, widening
from tidewatt.forecasting.models.features import columns, targets
from tidewatt.forecasting.models.folds import Folds, folds
from tidewatt.forecasting.models.forecaster import HOUR_MS, History
from tidewatt.forecasting.models.linear import Linear, fit
from tidewatt.forecasting.models.trained import (
    DAY_H,
    NAME,
    STRETCH_H,
    STRETCHES,
    Block,
    Model,
    ended,
    scales,
    utc_hour,
)
from tidewatt.forecasting.models.trees import Forest, forest, joined

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

BLOCKS = ((0, 24), (24, 48), (48, 72), (72, 96), (96, 168))
LEAST_DAYS = 7
YEAR_DAYS = 365
LONGEST_DAYS = 3 * YEAR_DAYS + 28
TREES_FROM_DAYS = 56
TRUSTED_DAYS = 45  # with so many days of past a model counts half, its base the other half
JUDGED_EVERY_H = 3
AT_ONCE = 400  # issues whose features are in memory at a time


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained. `every_h` shares no factor with 24, so that all hours of the day are issued at.

    Of each block of an issue `sampled` hours are taken: neighbours say much the same. `pull` draws the
    members' weights to equal ones.
    """

    every_h: int = 7
    sampled: int = 8
    trees: int = 60
    leaves: int = 20
    leaf_rows: int = 40
    rate: float = 0.1
    feature_share: float = 0.4
    shrinkage: float = 200.0
    pull: float = 0.05
    seed: int = 0


DEFAULT = Recipe()
WITH_WEATHER = Recipe(trees=100, rate=0.08)  # more to learn from; without weather it gains nothing


@dataclass(frozen=True, slots=True)
class Rows:
    """Samples of one block: features (rows, features), and the rest (rows,).

    `z` is the log-ratio that came, `scale` the unit of errors, `hour` the UTC hour, `target` the index of the
    hour in the history.
    """

    names: tuple[str, ...]
    x: NDArray[np.float32]
    z: Floats
    scale: Floats
    hour: Integers
    target: Integers


@dataclass(frozen=True, slots=True)
class Trio:
    """The members of a block as fitted on some rows; no trees where the past is too short."""

    direct: Any
    rest: Any
    line: Linear

    def predict(self, x: NDArray[np.floating], hour: Integers) -> Floats:
        """What each member predicts for rows of these UTC hours: (members, rows)."""
        line = self.line.predict(x, hour // STRETCH_H)
        if self.direct is None:
            return np.stack([np.zeros(len(line)), np.zeros(len(line)), line])
        return np.stack([self.direct.predict(x), line + self.rest.predict(x), line])


@dataclass(frozen=True, slots=True)
class Fitted:
    """A block, what its members predict of the newest stretch (issues, hours), and its coverage there."""

    block: Block
    names: tuple[str, ...]
    newest: Floats
    coverage: float


def trained(history: History, recipe: Recipe | None = None, quantity: str = "") -> Model | None:
    """The model of a zone's past, three years at most; None where that is under a week or mostly holes."""
    if recipe is None:
        recipe = DEFAULT if history.weather is None else WITH_WEATHER
    end = ended(history)
    known = np.flatnonzero(~np.isnan(history.gco2_per_kwh[max(0, end - LONGEST_DAYS * DAY_H) : end]))
    if len(known) < LEAST_DAYS * DAY_H * 0.9:
        return None
    first = max(0, end - LONGEST_DAYS * DAY_H) + int(known[0])
    turns = folds(first, end)
    judged = np.arange(max(turns.newest, first + DAY_H), end, JUDGED_EVERY_H)
    fitted = [_fitted(history, first, span, turns, judged, recipe) for span in BLOCKS]
    newest = np.concatenate([each.newest for each in fitted], axis=1)
    return Model(
        zone=history.zone,
        quantity=quantity,
        from_ms=history.start_ms + first * HOUR_MS,
        to_ms=history.start_ms + end * HOUR_MS,
        features=fitted[0].names,
        blocks=tuple(each.block for each in fitted),
        captured=_captured(history, end, judged, newest),
        judged_days=(end - int(judged[0])) / DAY_H,
        coverage=float(np.mean([each.coverage for each in fitted])),
    )


def _fitted(
    history: History, first: int, span: tuple[int, int], turns: Folds, judged: Integers, recipe: Recipe
) -> Fitted:
    """One block: two trios, each trained on one fold and judged on the other, their trees joined."""
    days = (turns.end - first) / DAY_H
    rows = _rows(history, first, turns.end, span, recipe)
    fold, stretch = turns.fold(rows.target), turns.stretch(rows.target)
    trios = [_trio(rows, fold != judge, days, recipe) for judge in (0, 1)]
    members = np.empty((3, len(rows.z)))
    for judge, trio in enumerate(trios):
        mine = fold == judge
        members[:, mine] = trio.predict(rows.x[mine], rows.hour[mine])
    trust = days**3 / (days**3 + TRUSTED_DAYS**3)
    weight = trust * stacked(members, rows.z, recipe.pull)
    errors = (rows.z - weight @ members) / rows.scale
    low, high = band(errors, rows.hour)
    older = stretch > 0
    past_weight = trust * stacked(members[:, older], rows.z[older], recipe.pull) if older.any() else weight
    coverage, wider = _late(rows, rows.z - past_weight @ members, older)
    return Fitted(
        Block(
            *span,
            *_joined(trios),
            _line(rows.x, rows.z, rows.hour, days, recipe),
            weight,
            low * wider,
            high * wider,
        ),
        rows.names,
        _newest(history, trios[0], past_weight, span, judged),
        coverage,
    )


def _rows(history: History, first: int, end: int, span: tuple[int, int], recipe: Recipe) -> Rows:
    """Samples from all issues of the past."""
    ahead = np.arange(*span)
    random = np.random.default_rng((recipe.seed, span[0]))
    parts = []
    for origins in _slices(np.arange(first + DAY_H, end - span[0], recipe.every_h)):
        seen = columns(history, origins, ahead)
        z = targets(history, origins, ahead, seen.log_base)
        at = origins[:, None] + ahead
        taken = ~np.isnan(z) & (at < end)
        if recipe.sampled < len(ahead):
            taken &= random.random(z.shape).argsort(axis=1) < recipe.sampled
        scale, hour = scales(seen.swing)[:, None], utc_hour(history, origins, ahead)
        wide = (np.broadcast_to(each, z.shape)[taken] for each in (z, scale, hour, at))
        parts.append((seen.x[taken], *wide))
    x, *others = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Rows(seen.names, x, *others)


def _trio(rows: Rows, mine: NDArray[np.bool_], days: float, recipe: Recipe) -> Trio:
    """The members as trained on the rows that are `mine`."""
    x, z = rows.x[mine], rows.z[mine]
    x[:, np.isnan(x).all(axis=0)] = 0.0  # what is never known cannot be binned, and splits nothing
    line = _line(x, z, rows.hour[mine], days, recipe)
    if days < TREES_FROM_DAYS:
        return Trio(None, None, line)
    direct = _boosted("absolute_error", recipe).fit(x, z)
    rest = _boosted("squared_error", recipe).fit(x, z - line.predict(x, rows.hour[mine] // STRETCH_H))
    return Trio(direct, rest, line)


def _line(x: NDArray[np.float32], z: Floats, hour: Integers, days: float, recipe: Recipe) -> Linear:
    return fit(x, z, hour // STRETCH_H, STRETCHES, recipe.shrinkage * max(1.0, YEAR_DAYS / days))


def _boosted(loss: str, recipe: Recipe) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor  # takes a second to load

    return HistGradientBoostingRegressor(
        loss=loss,
        learning_rate=recipe.rate,
        max_iter=recipe.trees,
        max_leaf_nodes=recipe.leaves,
        min_samples_leaf=recipe.leaf_rows,
        max_features=recipe.feature_share,
        l2_regularization=5.0,
        early_stopping=False,
        random_state=recipe.seed,
    )


def _joined(trios: list[Trio]) -> tuple[Forest | None, Forest | None]:
    if trios[0].direct is None:
        return None, None
    direct, rest = ([forest(getattr(trio, name)) for trio in trios] for name in ("direct", "rest"))
    return joined(direct), joined(rest)


def _newest(history: History, trio: Trio, weight: Floats, span: tuple[int, int], judged: Integers) -> Floats:
    """Predicted log-ratios and base of a trio for the hours that are judged: (issues, hours) gCO2/kWh."""
    ahead = np.arange(span[0], min(span[1], judging.JUDGED_H))
    if not len(ahead):
        return np.empty((len(judged), 0))
    parts = []
    for origins in _slices(judged):
        seen = columns(history, origins, ahead)
        hour = utc_hour(history, origins, ahead).ravel()
        ratio = weight @ trio.predict(seen.x.reshape(-1, seen.x.shape[-1]), hour)
        parts.append(np.exp(seen.log_base + ratio.reshape(seen.log_base.shape)))
    return np.concatenate(parts)


def _captured(history: History, end: int, judged: Integers, newest: Floats) -> dict[str, float]:
    """What the model, each baseline, and all of them blended captured in the newest stretch."""
    actual = history.gco2_per_kwh[:end]
    predictions = {base.name: base.issued(history, judged, judging.JUDGED_H) for base in BASELINES}
    predictions[NAME] = newest
    captured = judging.captured(actual, judged, predictions)
    if NAME not in captured:
        return captured
    together = blend.blended(predictions, blend.says(captured))
    return judging.captured(actual, judged, {**predictions, blend.NAME: together})


def _late(rows: Rows, off: Floats, older: NDArray[np.bool_]) -> tuple[float, float]:
    """Coverage of the newest stretch by the band of those before it, and how much wider that should be.

    NaN and 1 where there is only one stretch.
    """
    errors = off / rows.scale
    if older.all() or not older.any():
        return float("nan"), 1.0
    low, high = band(errors[older], rows.hour[older])
    late, hour = errors[~older], rows.hour[~older]
    return covered(late, hour, low, high), widening(late, low[hour], high[hour])


def _slices(origins: Integers) -> Iterator[Integers]:
    return (origins[at : at + AT_ONCE] for at in range(0, len(origins), AT_ONCE))
