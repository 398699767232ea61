"""Captured saving: how much of a perfect forecast's saving the plans made with a forecast obtain."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.errors import ForecastError

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Means closer than this share of the highest are one and the same: rounding must not decide a flat forecast.
ALIKE = 1e-9


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of many submissions, each of a job that draws 1 kWh evenly; grams.

    `immediate_g`: started on arrival. `planned_g`: run where the forecast was lowest. `best_g`: run where
    the actual intensity was lowest. All three are of what really happened, and over the same submissions.
    """

    immediate_g: float
    planned_g: float
    best_g: float
    submissions: int = 0

    @property
    def saved(self) -> float | None:
        """Share of immediate emissions that plans save; negative where they make it worse."""
        return 1 - self.planned_g / self.immediate_g if self.immediate_g > 0 else None

    @property
    def possible(self) -> float | None:
        """Share of immediate emissions that a perfect forecast saves."""
        return 1 - self.best_g / self.immediate_g if self.immediate_g > 0 else None

    @property
    def captured(self) -> float | None:
        """Share of the possible saving that plans obtain, 1 at most; None where nothing can be saved."""
        possible_g = self.immediate_g - self.best_g
        if possible_g <= ALIKE * self.immediate_g:
            return None
        return (self.immediate_g - self.planned_g) / possible_g


def outcome(
    actual: Values,
    predicted: Values,
    issue_at: NDArray[np.integer],
    *,
    job_steps: int,
    slack_steps: int,
    arrivals: Sequence[int] = (0,),
    interruptible: bool = False,
    valid: Flags | None = None,
) -> Outcome:
    """What plans made with a forecast came to.

    `actual` is (n,), gCO2/kWh; row i of `predicted` (i, h) begins at step `issue_at[i]` of it. Jobs arrive
    `arrivals` steps after each issue, and each may run inside `[arrival, arrival + job + slack)`, cut at the
    end of the prediction and of what is known. With `arrivals` (0,) and an issue at every step each job has
    a forecast of its own moment, as in production. Jobs start at whole steps; of equal choices the earliest
    is taken. An interruptible job runs in its cheapest steps. A submission with a hole (NaN) in its window,
    of `actual` or of `predicted`, or whose window is shorter than the job, is left out; so is one that is
    False in `valid` (i, arrivals): pass what is `usable` of every contender to compare like with like.

    Raises:
        ForecastError: shapes or lengths make no sense.
    """
    kept = usable(
        actual, predicted, issue_at, job_steps=job_steps, slack_steps=slack_steps, arrivals=arrivals
    )
    if valid is not None:
        if valid.shape != kept.shape:
            raise ForecastError(f"valid is {valid.shape}, but issues and arrivals are {kept.shape}")
        kept = kept & valid
    place = _interrupted if interruptible else _contiguous
    total = Outcome(0.0, 0.0, 0.0)
    for column, arrival in enumerate(arrivals):
        lengths = _lengths(len(actual), predicted.shape[1], issue_at, job_steps + slack_steps, arrival)
        for length in np.unique(lengths[kept[:, column]]).tolist():
            rows = np.flatnonzero(kept[:, column] & (lengths == length))
            real = _windows(actual, issue_at[rows] + arrival, length)
            total = pooled((total, place(real, predicted[rows, arrival : arrival + length], job_steps)))
    return total


def usable(
    actual: Values,
    predicted: Values,
    issue_at: NDArray[np.integer],
    *,
    job_steps: int,
    slack_steps: int,
    arrivals: Sequence[int] = (0,),
) -> Flags:
    """Which submissions (i, arrivals) have a window that is long enough for the job and without holes."""
    _check(actual, predicted, issue_at, job_steps, slack_steps, arrivals)
    known = np.append(0, np.cumsum(~np.isnan(actual)))
    expected = np.zeros((len(predicted), predicted.shape[1] + 1), np.int64)
    np.cumsum(~np.isnan(predicted), axis=1, out=expected[:, 1:])
    rows = np.arange(len(predicted))
    columns = []
    for arrival in arrivals:
        length = _lengths(len(actual), predicted.shape[1], issue_at, job_steps + slack_steps, arrival)
        fits = length >= job_steps
        length = np.where(fits, length, 0)
        first = np.where(fits, issue_at + arrival, 0)
        begin = np.where(fits, arrival, 0)
        whole = (known[first + length] - known[first] == length) & (
            expected[rows, begin + length] - expected[rows, begin] == length
        )
        columns.append(fits & whole)
    return np.column_stack(columns)


def pooled(outcomes: Iterable[Outcome]) -> Outcome:
    """All submissions together."""
    parts = tuple(outcomes)
    return Outcome(
        sum(part.immediate_g for part in parts),
        sum(part.planned_g for part in parts),
        sum(part.best_g for part in parts),
        sum(part.submissions for part in parts),
    )


def _check(
    actual: Values,
    predicted: Values,
    issue_at: NDArray[np.integer],
    job_steps: int,
    slack_steps: int,
    arrivals: Sequence[int],
) -> None:
    if actual.ndim != 1 or predicted.ndim != 2 or issue_at.shape != predicted.shape[:1]:
        raise ForecastError(
            f"captured saving needs actual (n,), predicted (issues, steps ahead) and issue_at (issues,), not"
            f" {actual.shape}, {predicted.shape} and {issue_at.shape}"
        )
    if job_steps < 1 or slack_steps < 0 or not arrivals or min(arrivals) < 0:
        raise ForecastError("a job has at least one step, slack and arrivals are not negative")
    if len(issue_at) and (issue_at.min() < 0 or issue_at.max() > len(actual)):
        raise ForecastError("an issue begins outside of what is known")


def _lengths(
    known: int, horizon: int, issue_at: NDArray[np.integer], steps: int, arrival: int
) -> NDArray[np.int64]:
    """Steps in the window of each issue's job."""
    longest = min(steps, horizon - arrival)
    return np.asarray(np.minimum(longest, known - issue_at - arrival), np.int64)


def _windows(values: Values, first: NDArray[np.integer], length: int) -> Values:
    """Values (rows, length) from each of `first` on."""
    return np.asarray(values[first[:, None] + np.arange(length)])


def _contiguous(real: Values, expected: Values, job_steps: int) -> Outcome:
    """One start for each row."""
    means, expected_means = _means(real, job_steps), _means(expected, job_steps)
    close = ALIKE * np.abs(expected_means).max(axis=1, keepdims=True)
    start = (expected_means <= expected_means.min(axis=1, keepdims=True) + close).argmax(axis=1)
    planned = means[np.arange(len(means)), start]
    return _outcome(means[:, 0], planned, means.min(axis=1))


def _means(values: Values, job_steps: int) -> Values:
    """Mean over each contiguous choice: (rows, length - job_steps + 1)."""
    sums = np.zeros((len(values), values.shape[1] + 1))
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return np.asarray((sums[:, job_steps:] - sums[:, :-job_steps]) / job_steps)


def _interrupted(real: Values, expected: Values, job_steps: int) -> Outcome:
    """The cheapest steps of each row. Sorted before they are summed, so that rounding favours nobody."""
    chosen = np.argsort(expected, axis=1, kind="stable")[:, :job_steps]
    planned = np.sort(np.take_along_axis(real, chosen, axis=1), axis=1)
    immediate = np.sort(real[:, :job_steps], axis=1)
    best = np.sort(real, axis=1)[:, :job_steps]
    return _outcome(immediate.mean(axis=1), planned.mean(axis=1), best.mean(axis=1))


def _outcome(immediate: Values, planned: Values, best: Values) -> Outcome:
    return Outcome(float(immediate.sum()), float(planned.sum()), float(best.sum()), len(immediate))
