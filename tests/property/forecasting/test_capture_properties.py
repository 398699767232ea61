"""Captured saving under all inputs: it is what looking at every choice in turn comes to."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tidewatt.forecasting.backtest.capture import Outcome, outcome, pooled, usable

Values = NDArray[np.float64]
# Few values, so that equal choices are common; whole numbers, so that sums are exact.
intensities = st.one_of(st.integers(0, 6).map(float), st.integers(0, 1500).map(float))
with_holes = st.one_of(intensities, intensities, intensities, intensities, st.just(float("nan")))


@st.composite
def cases(draw: st.DrawFn) -> dict[str, object]:
    """Arguments of `outcome`, small enough to look at every choice."""
    known, horizon, issues = draw(st.integers(1, 14)), draw(st.integers(1, 9)), draw(st.integers(1, 4))
    values = st.lists(with_holes, min_size=known, max_size=known)
    rows = st.lists(
        st.lists(with_holes, min_size=horizon, max_size=horizon), min_size=issues, max_size=issues
    )
    at = st.lists(st.integers(0, known), min_size=issues, max_size=issues)
    return {
        "actual": np.array(draw(values)),
        "predicted": np.array(draw(rows)),
        "issue_at": np.array(draw(at)),
        "job_steps": draw(st.integers(1, 4)),
        "slack_steps": draw(st.integers(0, 5)),
        "arrivals": draw(st.lists(st.integers(0, 4), min_size=1, max_size=3)),
        "interruptible": draw(st.booleans()),
    }


def choices(length: int, job: int, interruptible: bool) -> list[tuple[int, ...]]:
    """All steps that a job may take, the earliest choices first."""
    if interruptible:
        return list(combinations(range(length), job))
    return [tuple(range(start, start + job)) for start in range(length - job + 1)]


def one_by_one(
    actual: Values,
    predicted: Values,
    issue_at: NDArray[np.int64],
    job_steps: int,
    slack_steps: int,
    arrivals: list[int],
    interruptible: bool,
) -> list[tuple[float, float, float]]:
    """Immediate, planned and best of each submission, by looking at every choice."""
    found = []
    for row, at in enumerate(issue_at.tolist()):
        for arrival in arrivals:
            real = actual[at + arrival :][: job_steps + slack_steps]
            expected = predicted[row, arrival:][: job_steps + slack_steps]
            length = min(len(real), len(expected))
            real, expected = real[:length], expected[:length]
            if length < job_steps or np.isnan(real).any() or np.isnan(expected).any():
                continue
            every = choices(length, job_steps, interruptible)
            planned = min(every, key=lambda steps: (expected[list(steps)].sum(), steps))
            found.append(
                (
                    float(real[:job_steps].mean()),
                    float(real[list(planned)].mean()),
                    float(min(real[list(steps)].mean() for steps in every)),
                )
            )
    return found


@given(cases())
def test_outcome_is_what_looking_at_every_choice_comes_to(case: dict[str, object]) -> None:
    found = outcome(**case)  # type: ignore[arg-type]  # a dictionary of its arguments
    submissions = one_by_one(**case)  # type: ignore[arg-type]
    assert found.submissions == len(submissions)
    expected = np.array(submissions).reshape(-1, 3).sum(axis=0)
    assert [found.immediate_g, found.planned_g, found.best_g] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(cases())
def test_nothing_is_better_than_the_best_and_a_perfect_forecast_is_the_best(case: dict[str, object]) -> None:
    found = outcome(**case)  # type: ignore[arg-type]
    assert found.best_g <= min(found.immediate_g, found.planned_g)
    assert found.captured is None or found.captured <= 1
    actual, at = np.asarray(case["actual"]), np.asarray(case["issue_at"])
    horizon = np.asarray(case["predicted"]).shape[1]
    ahead = at[:, None] + np.arange(horizon)
    perfect = np.append(actual, np.full(horizon, np.nan))[ahead]
    knowing = outcome(**{**case, "predicted": perfect, "slack_steps": 0})  # type: ignore[arg-type]
    assert knowing.planned_g == knowing.immediate_g == knowing.best_g
    known = {
        **case,
        "predicted": np.nan_to_num(perfect, nan=2000.0),
        "valid": np.isfinite(actual).all() & _fits(case),
    }
    assert outcome(**known).planned_g == pytest.approx(outcome(**known).best_g)


def _fits(case: dict[str, object]) -> NDArray[np.bool_]:
    """Submissions whose whole window is known."""
    at, arrivals = np.asarray(case["issue_at"]), np.array(case["arrivals"])
    longest = int(str(case["job_steps"])) + int(str(case["slack_steps"]))
    return np.asarray(at[:, None] + arrivals + longest <= len(np.asarray(case["actual"])))


@given(cases(), st.data())
def test_submissions_that_are_not_usable_are_left_out_for_all_alike(
    case: dict[str, object], data: st.DataObject
) -> None:
    whole = {name: value for name, value in case.items() if name != "interruptible"}
    mask = usable(**whole)  # type: ignore[arg-type]
    assert outcome(**case).submissions == mask.sum()  # type: ignore[arg-type]
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=mask.size, max_size=mask.size)))
    kept = kept.reshape(mask.shape)
    some = outcome(**case, valid=kept)  # type: ignore[arg-type]
    rest = outcome(**case, valid=~kept)  # type: ignore[arg-type]
    both = pooled((some, rest))
    all_of_them = outcome(**case)  # type: ignore[arg-type]
    assert both.submissions == all_of_them.submissions
    assert [both.immediate_g, both.planned_g, both.best_g] == pytest.approx(
        [all_of_them.immediate_g, all_of_them.planned_g, all_of_them.best_g]
    )


@given(st.floats(1, 1000), st.floats(0, 1000), st.floats(0, 1))
def test_shares_are_of_what_was_emitted_at_once(best_g: float, possible_g: float, share: float) -> None:
    immediate_g = best_g + possible_g
    found = Outcome(immediate_g, immediate_g - share * possible_g, best_g, 1)
    assert found.possible == pytest.approx(possible_g / immediate_g, abs=1e-9)
    if possible_g > 1e-3:
        assert found.captured == pytest.approx(share, abs=1e-6)
        assert found.saved == pytest.approx(share * possible_g / immediate_g, abs=1e-9)
