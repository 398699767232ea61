"""What of a fetch is believed: each wrong thing is left out or refused, and a reason is given."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tidewatt.forecasting.feeds.feed import Fetched, Issued, Observed
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.plausibility import Checked, checked
from tidewatt.forecasting.quantity import intensity
from tidewatt.forecasting.series import Intensities, Milliseconds, Steps, instant, milliseconds
from tidewatt.forecasting.usual import Usual, described, usual

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000
AVERAGE = intensity(Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION))
DIRECT = intensity(Kind(Signal.AVERAGE, Basis.DIRECT, Boundary.PRODUCTION))
MARGINAL = intensity(Kind(Signal.MARGINAL, Basis.DIRECT, Boundary.CONSUMPTION, "CO2"))
NAN = float("nan")
DAY = [200 + 10 * hour for hour in range(24)]


def steps(at: datetime, *values: float, step_ms: int = HOUR_MS) -> Steps:
    start = milliseconds(at) + np.arange(len(values)) * step_ms
    return Steps(start, start + step_ms, np.array(values, float))


USUAL = described(steps(NOW - 7 * 24 * HOUR, *DAY * 7))  # 200 to 430 g, 315 g in the mean


def seen(*values: float, quantity: str = AVERAGE, usual: Usual = USUAL) -> Checked:
    """A fetch of observations that end now, checked."""
    fetched = Fetched((Observed(quantity, steps(NOW - len(values) * HOUR, *values)),))
    return checked(fetched, lambda _: usual, NOW)


def told(*values: float, issued_at: datetime = NOW, usual: Usual = USUAL) -> Checked:
    """A forecast of the hours from now on, checked."""
    return checked(Fetched(issued=(Issued(AVERAGE, issued_at, steps(NOW, *values)),)), lambda _: usual, NOW)


def kept(outcome: Checked) -> list[float]:
    series = [each.steps for each in outcome.fetched.observed]
    series += [each.steps for each in outcome.fetched.issued]
    return [float(value) for each in series for value in each.gco2_per_kwh]


def test_what_is_usual_passes_without_a_word() -> None:
    for outcome in (seen(*DAY), told(*DAY * 3), seen(*DAY, usual=Usual()), seen(70, 900)):
        assert outcome.remarks == ()
    assert kept(seen(*DAY)) == DAY
    assert kept(seen(70, 900)) == [70, 900]


@pytest.mark.parametrize(
    ("values", "left", "says"),
    [
        ((300, NAN, 310), [300, 310], "1 without a value"),
        ((300, float("inf"), 310), [300, 310], "1 without a value"),
        ((300, -1, 310), [300, 310], "not between 0 and 2000"),
        ((300, 2001, 310), [300, 310], "not between 0 and 2000"),
        ((3000, 2900, 310), [], "another unit"),
        ((300, 0, 0, 310), [300, 310], "2 zeros where 315 g is usual"),
        ((0, 0, 0), [], "3 zeros"),
        ((300, 1700, 310), [300, 310], "1 values far from the 315 g"),
        ((300, 40, 310), [300, 310], "1 values far from the 315 g"),
        ((30, 31, 32), [], "at 31 g, far from the 315 g of the last days: refused"),
        ((1900, 1800, 1700), [], "at 1800 g, far from the 315 g of the last days: refused"),
    ],
)
def test_what_cannot_be_is_left_open_or_refused(
    values: tuple[float, ...], left: list[float], says: str
) -> None:
    for outcome in (seen(*values), told(*values)):
        assert kept(outcome) == left
        assert says in "; ".join(outcome.remarks)


def test_without_a_past_only_the_impossible_and_lone_spikes_are_left_out() -> None:
    outcome = seen(300, 1700, 310, 0, 320, -5, 300, 0, 0, usual=Usual())
    assert kept(outcome) == [300, 310, 320, 300, 0, 0]
    assert "2 spikes" in "; ".join(outcome.remarks)


def test_one_more_kwh_may_cause_nothing_at_all() -> None:
    outcome = seen(300, 0, 0, 5, 310, quantity=MARGINAL)
    assert (kept(outcome), outcome.remarks) == ([300, 0, 0, 5, 310], ())
    assert kept(seen(300, 1900, quantity=MARGINAL)) == [300]


def test_at_the_stack_a_windy_week_may_leave_next_to_nothing() -> None:
    assert kept(seen(300, 40, 30, 20, quantity=DIRECT)) == [300, 40, 30, 20]
    assert kept(seen(300, 12, 300, 0, quantity=DIRECT)) == [300, 300]


def test_a_zone_that_was_at_zero_lately_may_be_so_again() -> None:
    often = described(steps(NOW - 48 * HOUR, *[0, 100] * 24))
    assert kept(seen(0, 90, 0, usual=often)) == [0, 90, 0]


def test_a_past_of_zeros_is_no_measure() -> None:
    assert kept(seen(300, 310, usual=described(steps(NOW - 48 * HOUR, *[0] * 48)))) == [300, 310]


def test_a_feed_that_stands_still_for_a_day_is_not_believed() -> None:
    stuck = [301.0] * 30
    assert kept(seen(*DAY, *stuck)) == DAY
    assert "30 values exactly the same for 24 h or longer" in seen(*stuck).remarks[0]
    assert kept(seen(*[301.0] * 23)) == [301.0] * 23


def test_standing_still_is_counted_from_what_is_kept_already() -> None:
    before = described(steps(NOW - 73 * HOUR, *DAY, *DAY, *[301.0] * 23))
    for hours, left in ((2, []), (1, [301.0])):  # joined to what is kept, and not
        after = Fetched((Observed(AVERAGE, steps(NOW - hours * HOUR, *[301] * hours)),))
        assert kept(checked(after, lambda _: before, NOW)) == left


def test_a_zone_that_never_varied_may_stand_still() -> None:
    always = described(steps(NOW - 48 * HOUR, *[490.0] * 48))
    assert kept(seen(*[490.0] * 30, usual=always)) == [490.0] * 30
    assert kept(seen(*[490.0] * 30, usual=Usual())) == [490.0] * 30


def test_what_has_not_ended_is_no_observation() -> None:
    coming = Fetched((Observed(AVERAGE, steps(NOW - 1.5 * HOUR, 300, 301, 302)),))
    outcome = checked(coming, lambda _: USUAL, NOW)
    assert kept(outcome) == [300]
    assert "1 observations of times to come" in outcome.remarks[0]
    running = Fetched((Observed(AVERAGE, steps(NOW - 1.5 * HOUR, 300, 301)),))
    assert checked(running, lambda _: USUAL, NOW).remarks == ()


def test_unordered_and_repeated_steps_are_put_right() -> None:
    plain = steps(NOW - 3 * HOUR, 1, 300, 310)
    order = np.array([2, 0, 1, 0])
    values = np.array([310.0, 290.0, 300.0, 320.0])
    mixed = Steps(plain.start_ms[order], plain.end_ms[order], values)
    outcome = checked(Fetched((Observed(AVERAGE, mixed),)), lambda _: USUAL, NOW)
    assert kept(outcome) == [320, 300, 310]
    assert [text.partition(": ")[2] for text in outcome.remarks] == [
        "out of order: sorted",
        "1 repeated: the last of each counts",
    ]


@pytest.mark.parametrize("wrong", ["overlap", "backwards", "count"])
def test_steps_that_contradict_each_other_are_refused(wrong: str) -> None:
    plain = steps(NOW - 3 * HOUR, 300, 310, 320)
    broken = {
        "overlap": replace(plain, start_ms=plain.start_ms - np.array([0, 0, 1])),
        "backwards": replace(plain, end_ms=plain.start_ms),
        "count": replace(plain, gco2_per_kwh=plain.gco2_per_kwh[1:]),
    }[wrong]
    for fetched in (Fetched((Observed(AVERAGE, broken),)), Fetched(issued=(Issued(AVERAGE, NOW, broken),))):
        outcome = checked(fetched, lambda _: USUAL, NOW - 3 * HOUR)
        assert kept(outcome) == []
        assert outcome.remarks


@pytest.mark.parametrize(
    ("issued_at", "held", "passes", "says"),
    [
        (NOW + 4 * HOUR / 60, None, True, ""),
        (NOW + 6 * HOUR / 60, None, False, "still to come"),
        (NOW - HOUR, NOW - 2 * HOUR, True, ""),
        (NOW - HOUR, NOW - HOUR, True, ""),
        (NOW - 2 * HOUR, NOW - HOUR, False, "older than the one before"),
        (NOW - 27 * HOUR, None, True, "old, kept as such"),
        (NOW - 97 * HOUR, None, False, "4 days ago"),
    ],
)
def test_the_time_of_an_issue_is_believed_within_limits(
    issued_at: datetime, held: datetime | None, passes: bool, says: str
) -> None:
    outcome = told(*DAY, issued_at=issued_at, usual=replace(USUAL, issued_at=held))
    assert bool(kept(outcome)) is passes
    assert says in "; ".join(outcome.remarks)
    assert bool(outcome.remarks) is bool(says)


def test_a_forecast_may_begin_in_the_past_but_not_end_there() -> None:
    begun = Fetched(issued=(Issued(AVERAGE, NOW, steps(NOW - 2 * HOUR, 300, 310, 320)),))
    assert kept(checked(begun, lambda _: USUAL, NOW)) == [300, 310, 320]
    over = Fetched(issued=(Issued(AVERAGE, NOW, steps(NOW - 2 * HOUR, 300, 310)),))
    assert checked(over, lambda _: USUAL, NOW).remarks[0].endswith("all of it is past: refused")


def test_quantiles_stay_beside_their_values_or_go() -> None:
    def with_band(p10: list[int], p90: list[int]) -> Checked:
        issued = Issued(AVERAGE, NOW, steps(NOW, 300, 0, 310), np.array(p10), np.array(p90))
        return checked(Fetched(issued=(issued,)), lambda _: USUAL, NOW)

    [good] = with_band([1, 2, 3], [400, 500, 600]).fetched.issued
    assert good.p10 is not None
    assert good.p90 is not None
    assert (good.p10.tolist(), good.p90.tolist()) == ([1, 3], [400, 600])
    for p10, p90 in (([1, 2, 700], [400, 500, 600]), ([-1, 2, 3], [4, 5, 6]), ([1], [2])):
        outcome = with_band(p10, p90)
        assert (outcome.fetched.issued[0].p10, outcome.fetched.issued[0].p90) == (None, None)
        assert "quantiles" in "; ".join(outcome.remarks)


@pytest.mark.parametrize(
    ("quantity", "values", "left"),
    [
        ("mw storage", (-500, 0, 700), [-500, 0, 700]),
        ("mw gas", (0, 9e9, 3), [0, 3]),
        ("weather temperature_k", (270, 15, 280), [270, 280]),
        ("weather wind_m_s", (0, 0, 0), [0, 0, 0]),
    ],
)
def test_power_and_weather_have_ranges_of_their_own(
    quantity: str, values: tuple[float, ...], left: list[float]
) -> None:
    assert kept(seen(*values, quantity=quantity)) == left


@pytest.mark.parametrize(
    ("zone", "code", "column", "least", "most"),
    [
        ("ES", "SPA", "ci_direct", 0.95, 0.30),
        ("AT", "AT", "ci_direct", 1.0, 0.001),
        ("NL", "NL", "ci_direct", 1.0, 0.001),
        ("US-NW-PACW", "PACW", "ci_lifecycle", 1.0, 0.001),
        ("US-FLA-FPL", "FPL", "ci_lifecycle", 1.0, 0.001),
        ("DE", "DE", "ci_direct", 1.0, 0.0),
        ("US-CAL-CISO", "CISO", "ci_direct", 1.0, 0.0),
    ],
)
def test_real_feeds_lose_their_zeros_and_little_else(
    shared_data: Path, zone: str, code: str, column: str, least: float, most: float
) -> None:
    """A year and a half as fetched day by day, each with the day before it again."""
    start_ms, values = recorded(shared_data, code, column)
    basis = Basis.DIRECT if column == "ci_direct" else Basis.LIFECYCLE
    quantity = intensity(Kind(Signal.AVERAGE, basis, Boundary.PRODUCTION))
    kept_so_far = Kept(start_ms, np.full(len(values), NAN))
    for first in range(24, len(values) - 24, 24):
        mine = slice(first - 24, first + 24)
        fetched = Steps(start_ms[mine], start_ms[mine] + HOUR_MS, values[mine])
        now = instant(int(fetched.end_ms[-1]))
        measure = usual(kept_so_far, "EIA", zone, quantity, now)
        outcome = checked(Fetched((Observed(quantity, fetched),)), lambda _, m=measure: m, now)  # type: ignore[misc]
        for each in outcome.fetched.observed:
            at = np.searchsorted(start_ms, each.steps.start_ms)
            kept_so_far.values[at] = each.steps.gco2_per_kwh
    left_out, zero = np.isnan(kept_so_far.values[:first]), values[:first] == 0
    assert left_out[zero].sum() >= least * zero.sum()
    assert left_out.mean() <= most


@dataclass
class Kept:
    """What was believed so far: hours and values, NaN where nothing is."""

    start_ms: Milliseconds
    values: Intensities

    def observations(
        self, source: str, zone: str, quantity: str, start: datetime, end: datetime, now: datetime
    ) -> Steps:
        mine = slice(*np.searchsorted(self.start_ms, [milliseconds(start), milliseconds(end)]).tolist())
        there = ~np.isnan(self.values[mine])
        start_ms = self.start_ms[mine][there]
        return Steps(start_ms, start_ms + HOUR_MS, self.values[mine][there])

    def issue(self, source: str, zone: str, quantity: str, now: datetime) -> Issued | None:
        return None


def recorded(folder: Path, zone: str, column: str) -> tuple[Milliseconds, Intensities]:
    """Starts, Unix ms, and values of a zone from 2021 on."""
    import pandas as pd

    frame = pd.read_parquet(
        folder / "production_mix_hourly_42zones_2019_2022.parquet",
        columns=["ts", column],
        filters=[("zone", "==", zone)],
    ).sort_values("ts")
    frame = frame[frame.ts >= pd.Timestamp("2021-01-01", tz="UTC")]
    return frame.ts.dt.as_unit("ms").astype("int64").to_numpy(), frame[column].to_numpy(float)
