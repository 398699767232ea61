"""Forecasting under all inputs: no future is seen, integrals add up, outlooks have no holes."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.fake import FakeProvider
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.layers import Layer, compose
from tidewatt.forecasting.recorded import FileProvider
from tidewatt.forecasting.series import (
    Forecast,
    Outlook,
    Rung,
    Series,
    Steps,
    clip,
    empty,
    holes,
    instant,
    integrate,
    milliseconds,
    stepped,
)

T0 = datetime(2026, 3, 10, tzinfo=UTC)
T0_MS = milliseconds(T0)
MINUTE_MS = 60_000
KINDS = [Kind(signal, basis, boundary) for signal in Signal for basis in Basis for boundary in Boundary]
minutes = st.integers(-3 * 24 * 60, 3 * 24 * 60)
intensity = st.floats(0, 2000, allow_nan=False, width=32)


@st.composite
def stepwise(draw: st.DrawFn, most: int = 12) -> Steps:
    """Steps of 5 to 120 minutes with holes."""
    at = draw(minutes)
    starts, ends, values = [], [], []
    for _ in range(draw(st.integers(0, most))):
        at += draw(st.sampled_from([0, 0, 0, 5, 300]))
        starts.append(at)
        at += draw(st.sampled_from([5, 15, 30, 60, 120]))
        ends.append(at)
        values.append(draw(intensity))
    start, end = (T0_MS + np.array(edge, np.int64) * MINUTE_MS for edge in (starts, ends))
    return stepped(start, end, np.array(values, float))


def moment(at_min: int) -> datetime:
    return T0 + timedelta(minutes=at_min)


@given(stepwise(), st.lists(minutes, min_size=3, max_size=3))
def test_integrals_of_parts_add_up(steps: Steps, cuts: list[int]) -> None:
    a, b, c = (moment(at) for at in sorted(cuts))
    whole, left, right = integrate(steps, a, c), integrate(steps, a, b), integrate(steps, b, c)
    assert whole.covered_ms == left.covered_ms + right.covered_ms
    assert whole.gms_per_kwh == pytest.approx(left.gms_per_kwh + right.gms_per_kwh)


@given(stepwise(), minutes, st.integers(1, 4000))
def test_holes_and_cover_fill_any_stretch(steps: Steps, start_min: int, length_min: int) -> None:
    start, end = moment(start_min), moment(start_min + length_min)
    hole_ms = sum((b - a) // timedelta(milliseconds=1) for a, b in holes(steps, start, end))
    assert hole_ms + integrate(steps, start, end).covered_ms == length_min * MINUTE_MS
    assert integrate(clip(steps, start, end), start, end) == integrate(steps, start, end)


@given(st.lists(st.tuples(st.sampled_from(KINDS), stepwise()), min_size=1, max_size=4))
def test_kinds_are_never_mixed(parts: list[tuple[Kind, Steps]]) -> None:
    layers = [Layer(kind, Rung.LIVE, "some source", steps) for kind, steps in parts]
    until = T0 + timedelta(days=1)
    if not all(layer.kind.continues(layers[0].kind) for layer in layers):
        with pytest.raises(ForecastError, match="kinds are never mixed"):
            compose("DE", layers, T0, until)
    elif integrate(layers[0].steps, T0, until).covered_ms:
        assert compose("DE", layers, T0, until).kind == layers[0].kind


def whole(outlook: Outlook, start: datetime, end: datetime) -> None:
    """No holes, and segments that meet exactly."""
    assert holes(outlook.steps, start, end) == []
    assert integrate(outlook.steps, start, end).covered_ms == (end - start) // timedelta(milliseconds=1)
    assert (outlook.segments[0].start, outlook.segments[-1].end) == (start, end)
    assert all(a.end == b.start for a, b in pairwise(outlook.segments))
    assert np.isfinite(outlook.steps.gco2_per_kwh).all()
    edges = {*outlook.steps.start_ms.tolist(), *outlook.steps.end_ms.tolist()}
    assert all(milliseconds(segment.start) in edges for segment in outlook.segments)


@st.composite
def providers(draw: st.DrawFn) -> list[FakeProvider]:
    """Up to three providers, each with some kinds of observations and forecasts."""
    made = []
    for number in range(draw(st.integers(0, 3))):
        kinds = draw(st.lists(st.sampled_from(KINDS), max_size=2, unique=True))
        name = f"source {number}"
        series = [Series("DE", kind, name, draw(stepwise())) for kind in kinds]
        issued = [
            (draw(st.sampled_from(KINDS)), moment(draw(minutes))) for _ in range(draw(st.integers(0, 2)))
        ]
        forecasts = [Forecast("DE", kind, name, at, draw(stepwise())) for kind, at in issued]
        made.append(FakeProvider(name, series, forecasts, hindsight=draw(st.booleans())))
    return made


@given(providers(), st.sampled_from(Signal), minutes, st.integers(1, 4000))
def test_outlooks_have_no_holes_and_one_kind(
    sources: list[FakeProvider], signal: Signal, now_min: int, length_min: int
) -> None:
    now, until = moment(now_min), moment(now_min + length_min)
    outlook = Chain(sources).outlook("DE", signal, now, until)
    assert outlook is not None
    whole(outlook, now, until)
    assert outlook.kind.signal is signal or "average only" in outlook.note


def known(steps: Steps, now_ms: int) -> Steps:
    """Only what had ended at `now_ms`."""
    past = steps.end_ms <= now_ms
    return Steps(steps.start_ms[past], steps.end_ms[past], steps.gco2_per_kwh[past])


def same(a: Outlook | None, b: Outlook | None) -> None:
    assert (a is None) == (b is None)
    if a is not None and b is not None:
        assert a.segments == b.segments
        assert (a.kind, a.note) == (b.kind, b.note)
        assert a.steps.start_ms.tolist() == b.steps.start_ms.tolist()
        assert a.steps.gco2_per_kwh.tolist() == b.steps.gco2_per_kwh.tolist()


@given(providers(), st.sampled_from(Signal), minutes)
def test_the_future_changes_nothing_that_is_answered_now(
    sources: list[FakeProvider], signal: Signal, now_min: int
) -> None:
    now = moment(now_min)
    for source in sources:
        source.hindsight = False
    blind = [
        FakeProvider(
            source.name,
            [Series(s.zone, s.kind, s.source, known(s.steps, milliseconds(now))) for s in source.series],
            [f for f in source.forecasts if f.issued_at <= now],
        )
        for source in sources
    ]
    until = now + timedelta(hours=30)
    same(Chain(sources).outlook("DE", signal, now, until), Chain(blind).outlook("DE", signal, now, until))


@given(st.lists(st.tuples(st.integers(0, 200), intensity), min_size=1, max_size=30), st.data())
def test_rows_planted_after_now_change_nothing_that_a_file_answers(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, float]], data: st.DataObject
) -> None:
    now_h = data.draw(st.integers(0, 200))
    now = T0 + timedelta(hours=now_h)
    table = dict(rows)
    folder = tmp_path_factory.mktemp("grid")
    kind = Kind(Signal.AVERAGE, Basis.DIRECT, Boundary.PRODUCTION)
    answers = []
    for name, last in (("all.csv", 10_000), ("past.csv", now_h)):
        lines = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary,issued_at"]
        for hour, value in table.items():
            start = (T0 + timedelta(hours=hour)).isoformat()
            if hour + 1 <= last:
                lines.append(f"DE,{start},3600,{value},average,direct,production,")
            if hour <= last:
                lines.append(f"DE,{start},3600,{value},average,direct,production,{start}")
        lines.append(f"DE,{(T0 - timedelta(days=9)).isoformat()},3600,1,average,direct,production,")
        (folder / name).write_text("\n".join(lines) + "\n")
        provider = FileProvider(folder / name)
        seen = provider.observations("DE", kind, T0, T0 + timedelta(days=99), now).steps
        forecast = provider.forecast("DE", kind, now)
        answers.append(
            (
                seen.start_ms.tolist(),
                seen.gco2_per_kwh.tolist(),
                forecast and (forecast.issued_at, forecast.steps.gco2_per_kwh.tolist()),
            )
        )
    assert answers[0] == answers[1]


@given(providers(), st.lists(st.integers(0, 600), min_size=2, max_size=6))
def test_an_outlook_does_not_depend_on_what_was_asked_before(
    sources: list[FakeProvider], path: list[int]
) -> None:
    for source in sources:
        source.hindsight = False
    chain = Chain([Still(source) for source in sources])
    for at in path:
        now = moment(at)
        until = now + timedelta(hours=20)
        same(
            chain.outlook("DE", Signal.AVERAGE, now, until),
            Chain(sources).outlook("DE", Signal.AVERAGE, now, until),
        )


class Still:
    """A provider whose version tells exactly what is available."""

    def __init__(self, inner: FakeProvider) -> None:
        self.inner, self.name, self.hindsight = inner, inner.name, inner.hindsight
        self.kinds, self.observations, self.forecast = inner.kinds, inner.observations, inner.forecast

    def version(self, zone: str, now: datetime) -> object:
        now_ms = milliseconds(now)
        ended = tuple(int((s.steps.end_ms <= now_ms).sum()) for s in self.inner.series)
        return ended, tuple(f.issued_at <= now for f in self.inner.forecasts)


def test_instant_and_milliseconds_are_inverse() -> None:
    assert instant(milliseconds(T0)) == T0
    assert len(empty().start_ms) == 0
