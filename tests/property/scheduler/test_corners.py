"""The corners of a curve: all of them, with the right grams, however its first and last steps are cut."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps
from tidewatt.scheduler.planning.corners import corners
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.intensity import CostCurve, curve_of

T0 = datetime(2026, 3, 1, tzinfo=UTC)
T0_MS = floor_ms(T0)
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
lengths = st.one_of(
    st.lists(st.just(300_000), min_size=1, max_size=12),
    st.lists(st.sampled_from((300_000, 900_000)), min_size=1, max_size=12),
)
cuts = st.sampled_from((0, 1, 60_000, 299_999))


@st.composite
def curves(draw: st.DrawFn) -> CostCurve:
    widths = draw(lengths)
    widths = [draw(cuts) or widths[0], *widths, draw(cuts) or widths[-1]]
    edges = T0_MS + np.cumsum([0, *widths], dtype=np.int64)
    values = [draw(st.sampled_from((0.0, 35.0, 100.0, 250.5))) for _ in widths]
    end = T0 + timedelta(milliseconds=int(edges[-1] - edges[0]))
    steps = Steps(edges[:-1], edges[1:], np.array(values))
    curve = curve_of(Outlook("DE", KIND, steps, (Segment(T0, end, Rung.LIVE, "drawn"),)))
    assert curve is not None
    return curve


@settings(max_examples=150, deadline=None)
@given(curves(), st.data())
def test_corners_are_all_that_there_are_with_their_grams(curve: CostCurve, data: st.DataObject) -> None:
    span = curve.end_ms - curve.start_ms
    whole = st.integers(1, max(1, span // 300_000)).map(lambda n: min(n * 300_000, span))
    duration = data.draw(st.one_of(st.integers(1, span), whole))
    low = data.draw(st.integers(curve.start_ms, curve.end_ms - duration))
    high = data.draw(st.integers(low, curve.end_ms - duration))
    starts, grams = corners(curve, low, high, duration, [low, high])
    edges = curve.edges_ms.tolist()
    expected = {start for edge in edges for start in (edge, edge - duration) if low <= start <= high}
    assert set(starts.tolist()) == expected | {low, high}
    assert np.allclose(grams, curve.integral(starts, starts + duration), rtol=1e-12, atol=1e-9)
