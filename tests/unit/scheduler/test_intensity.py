"""An outlook as a curve."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps
from tidewatt.scheduler.planning.instants import ceil_ms, floor_ms, length_ms, moment
from tidewatt.scheduler.planning.intensity import CostCurve, curve_of, remarks, source

T0 = datetime(2026, 3, 1, tzinfo=UTC)
T0_MS = floor_ms(T0)
HOUR_MS = 3_600_000
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)


def outlook(
    values: list[float], segments: tuple[Segment, ...] = (), note: str = "", hole: int = -1
) -> Outlook:
    starts = T0_MS + HOUR_MS * np.arange(len(values), dtype=np.int64)
    ends = starts + HOUR_MS
    if hole >= 0:
        ends[hole] -= 60_000
    whole = Segment(T0, T0 + timedelta(hours=len(values)), Rung.LIVE, "file de.csv", T0)
    return Outlook("DE", KIND, Steps(starts, ends, np.array(values)), segments or (whole,), note=note)


def curve(values: list[float]) -> CostCurve:
    made = curve_of(outlook(values))
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("start_h", "end_h", "mean"),
    [(0, 1, 100), (0, 2, 150), (0.5, 1.5, 150), (0.25, 0.75, 100), (0.75, 2.5, (25 + 200 + 200) / 1.75)],
)
def test_mean_weighs_partly_covered_steps(start_h: float, end_h: float, mean: float) -> None:
    start, end = T0_MS + round(start_h * HOUR_MS), T0_MS + round(end_h * HOUR_MS)
    assert curve([100, 200, 400]).mean(start, end) == pytest.approx(mean, rel=1e-12)


def test_integral_is_grams_per_kw() -> None:
    starts = np.array([T0_MS, T0_MS + HOUR_MS // 2], np.int64)
    assert curve([100, 200]).integral(starts, starts + HOUR_MS) == pytest.approx([100, 150])


def test_curve_is_made_once_for_each_outlook() -> None:
    ahead = outlook([1, 2])
    assert curve_of(ahead) is curve_of(ahead)
    assert curve_of(outlook([1, 2])) is not curve_of(ahead)


def test_old_curves_are_forgotten() -> None:
    first = outlook([1])
    made = curve_of(first)
    for _ in range(300):
        curve_of(outlook([1]))
    assert curve_of(first) is not made


def test_hole_ends_what_is_known() -> None:
    made = curve_of(outlook([1, 2, 3], hole=1))
    assert made is not None
    assert made.end_ms == T0_MS + 2 * HOUR_MS - 60_000


@pytest.mark.parametrize("values", [[], [float("nan")]])
def test_nothing_known_is_no_curve(values: list[float]) -> None:
    assert curve_of(outlook(values)) is None
    assert curve_of(None) is None


def test_remarks_name_seam_hindsight_and_note() -> None:
    seam = T0 + timedelta(hours=2)
    parts = (
        Segment(T0, seam, Rung.HINDSIGHT, "file de.csv"),
        Segment(seam, T0 + timedelta(hours=4), Rung.OWN, "mean of the same hours, 7 days"),
    )
    made = curve_of(outlook([1, 2, 3, 4], parts, note="average only"))
    assert made is not None
    assert remarks(made, T0_MS, T0_MS + 4 * HOUR_MS) == (
        "average only",
        "planned in hindsight",
        "continued after 2026-03-01 02:00 UTC by mean of the same hours, 7 days",
    )
    assert remarks(made, T0_MS + 2 * HOUR_MS, T0_MS + 3 * HOUR_MS) == ("average only",)


def test_source_says_rung_and_issue() -> None:
    assert source(outlook([1]).segments[0]) == "file de.csv (live, issued 2026-03-01 00:00 UTC)"


def test_moments_round_to_the_safe_side() -> None:
    odd = T0 + timedelta(microseconds=1500)
    assert (floor_ms(odd) - T0_MS, ceil_ms(odd) - T0_MS) == (1, 2)
    assert length_ms(timedelta(microseconds=1)) == 1
    assert moment(floor_ms(T0)) == T0
