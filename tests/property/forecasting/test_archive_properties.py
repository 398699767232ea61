"""The archive answers as plain lists would that remember everything, whatever is put in."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tidewatt.forecasting.packing import UNKNOWN, packed, thousandths, units, unpacked
from tidewatt.forecasting.revisions import joined, none, read
from tidewatt.forecasting.series import Steps, milliseconds

T0 = datetime(2026, 3, 1, 20, tzinfo=UTC)
T0_MS = milliseconds(T0)
QUARTER_MS = 900_000
WHOLE = st.integers(int(UNKNOWN), 2**63 - 1)


@given(st.lists(st.tuples(WHOLE, WHOLE, WHOLE), max_size=50))
def test_packed_numbers_come_back(rows: list[tuple[int, int, int]]) -> None:
    columns = [np.array(column, np.int64) for column in zip(*rows, strict=True)] or [
        np.empty(0, np.int64)
    ] * 3
    back = unpacked(packed(*columns), 3)
    assert back is not None
    assert all(np.array_equal(a, b) for a, b in zip(columns, back, strict=True))


@given(st.binary(max_size=200))
def test_damaged_bytes_never_raise(content: bytes) -> None:
    assert unpacked(content, 3) is None or len(content)


@given(st.lists(st.floats(), max_size=20))
def test_thousandths_are_exact_or_unknown(values: list[float]) -> None:
    given_values = np.array(values, float)
    back = units(thousandths(given_values))
    usual = np.isfinite(given_values) & (np.abs(given_values) < 4e12)
    assert np.isnan(back[~np.isfinite(given_values)]).all()
    assert (np.abs(back[usual] - given_values[usual]) <= 0.0005 + 1e-9 * np.abs(given_values[usual])).all()


@st.composite
def fetches(draw: st.DrawFn) -> list[Steps]:
    """Fetches of steps of 15, 30 or 60 minutes that lie over each other."""
    made = []
    for _ in range(draw(st.integers(1, 6))):
        width, first = draw(st.sampled_from([1, 2, 4])), draw(st.integers(0, 30))
        which = sorted(draw(st.sets(st.integers(0, 8), min_size=1)))
        start = T0_MS + (first + np.array(which) * width) * QUARTER_MS
        values = draw(st.lists(st.integers(0, 3), min_size=len(which), max_size=len(which)))
        made.append(Steps(start, start + width * QUARTER_MS, np.array(values, float)))
    return made


@given(fetches(), st.integers(0, 8), st.integers(0, 80), st.booleans())
def test_what_was_known_is_what_a_plain_list_remembers(
    made: list[Steps], upto: int, ended: int, as_received: bool
) -> None:
    kept, now_ms = none(), upto if as_received else T0_MS + ended * QUARTER_MS
    quarters: dict[int, float] = {}
    for received_ms, steps in enumerate(shift(each, as_received) for each in made):
        news = kept.news(steps, received_ms)
        again = read(joined([kept, news]).packed())
        assert again is not None
        kept = again
        assert not len(kept.news(steps, received_ms).start_ms)
        if not as_received or received_ms <= now_ms:
            quarters |= painted(steps, now_ms)
    known = kept.known(now_ms, now_ms if as_received else None)
    assert (known.start_ms[1:] >= known.end_ms[:-1]).all()
    assert painted(known, now_ms) == quarters


def shift(steps: Steps, past: bool) -> Steps:
    """The steps, long before zero where they are to have ended whenever they are received."""
    off = T0_MS + 1000 * QUARTER_MS if past else 0
    return Steps(steps.start_ms - off, steps.end_ms - off, steps.gco2_per_kwh)


def painted(steps: Steps, now_ms: int) -> dict[int, float]:
    """The value of each quarter of an hour, of steps that had ended."""
    quarters: dict[int, float] = {}
    for start, end, value in zip(
        steps.start_ms.tolist(), steps.end_ms.tolist(), steps.gco2_per_kwh.tolist(), strict=True
    ):
        if end <= now_ms:
            quarters |= dict.fromkeys(range(start, end, QUARTER_MS), value)
    return quarters
