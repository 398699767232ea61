"""Whatever is fetched, what is kept of it is sound, and every value of it stood in the fetch."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tidewatt.forecasting.feeds.feed import Fetched, Issued, Observed
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.plausibility import checked
from tidewatt.forecasting.quantity import intensity
from tidewatt.forecasting.series import Steps, milliseconds
from tidewatt.forecasting.usual import Usual, described

NOW = datetime(2026, 3, 10, tzinfo=UTC)
NOW_MS = milliseconds(NOW)
HOUR_MS = 3_600_000
QUANTITIES = st.sampled_from(
    [
        *(intensity(Kind(signal, Basis.DIRECT, Boundary.PRODUCTION)) for signal in Signal),
        "mw storage",
        "weather temperature_k",
        "something else",
    ]
)
VALUES = st.floats(0, 2000) | st.floats() | st.sampled_from([0.0, 300.0])


@st.composite
def any_steps(draw: st.DrawFn) -> Steps:
    rows = draw(st.lists(st.tuples(st.integers(-60, 60), st.integers(-1, 3), VALUES), max_size=40))
    start = NOW_MS + np.array([row[0] for row in rows], np.int64) * HOUR_MS
    end = start + np.array([row[1] for row in rows], np.int64) * HOUR_MS
    return Steps(start, end, np.array([row[2] for row in rows], float))


@st.composite
def usuals(draw: st.DrawFn) -> Usual:
    values = draw(st.lists(st.floats(0, 2000), max_size=30))
    issued = draw(st.none() | st.integers(-99, 9).map(lambda h: NOW + timedelta(hours=h)))
    if not values:
        return Usual(issued_at=issued)
    start = NOW_MS - np.arange(len(values), 0, -1) * HOUR_MS
    return described(Steps(start, start + HOUR_MS, np.array(values)), issued)


def triples(steps: Steps) -> set[tuple[int, int, float]]:
    return set(zip(steps.start_ms.tolist(), steps.end_ms.tolist(), steps.gco2_per_kwh.tolist(), strict=True))


@given(any_steps(), QUANTITIES, usuals(), st.integers(-120, 3))
def test_nothing_is_made_up_and_nothing_unsound_is_kept(
    steps: Steps, quantity: str, usual: Usual, issued_h: int
) -> None:
    issued_at = NOW + timedelta(hours=issued_h)
    issued = Issued(quantity, issued_at, steps, steps.gco2_per_kwh - 1, steps.gco2_per_kwh + 1)
    fetched = Fetched((Observed(quantity, steps),), (issued,), ("a note",))
    outcome = checked(fetched, lambda _: usual, NOW)
    assert outcome.fetched.notes == ("a note",)
    observed = [each.steps for each in outcome.fetched.observed]
    for kept in [*observed, *(each.steps for each in outcome.fetched.issued)]:
        assert triples(kept) <= triples(steps)
        assert len(kept.start_ms) > 0
        assert (kept.start_ms[1:] >= kept.end_ms[:-1]).all()
        assert (kept.end_ms > kept.start_ms).all()
        assert np.isfinite(kept.gco2_per_kwh).all()
    for seen in outcome.fetched.observed:
        assert (seen.steps.end_ms <= NOW_MS).all()
    for told in outcome.fetched.issued:
        assert told.p10 is None or np.array_equal(told.p10, told.steps.gco2_per_kwh - 1)
        assert told.p90 is None or np.array_equal(told.p90, told.steps.gco2_per_kwh + 1)
    lost = len(fetched.observed) > len(outcome.fetched.observed)
    ended = (steps.end_ms <= NOW_MS).any() if len(steps.end_ms) else False
    assert outcome.remarks or not (lost and ended)


@given(any_steps(), QUANTITIES, usuals())
def test_what_was_kept_once_is_kept_again(steps: Steps, quantity: str, usual: Usual) -> None:
    once = checked(Fetched((Observed(quantity, steps),)), lambda _: usual, NOW)
    again = checked(once.fetched, lambda _: usual, NOW)
    for before, after in zip(once.fetched.observed, again.fetched.observed, strict=False):
        assert triples(after.steps) <= triples(before.steps)
    assert not any("sorted" in text or "repeated" in text for text in again.remarks)
