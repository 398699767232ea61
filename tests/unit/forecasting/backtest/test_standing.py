"""How contenders stand over several zones, in figures and in a picture."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.forecasting.backtest.sayings import DAY_H, T0_MS, Repeating, history, past, shape
from tidewatt.forecasting.backtest.issuing import DAY_MS, Issues, issue
from tidewatt.forecasting.backtest.picture import draw
from tidewatt.forecasting.backtest.standing import possible, standings
from tidewatt.forecasting.backtest.trial import Trial, Work, judge
from tidewatt.forecasting.errors import ForecastError

MOMENTS = T0_MS + DAY_MS * np.arange(2, 14)
SHORT = Work(4, 24, False)


def trial(level: float, error: float) -> Trial:
    """A zone of that mean; `good` is off by a share, `bad` by thrice as much, upside down."""
    values = shape(20 * DAY_H) * level / 300
    made = issue(Repeating("good", band=True), history(values), MOMENTS, 96)
    good = replace(made, predicted=made.predicted * (1 + error))
    bad = Issues("bad", MOMENTS, (2 * level - made.predicted) * (1 + 3 * error))
    return judge(past(values), [bad, good])


def test_zones_count_alike_and_clean_ones_in_grams() -> None:
    trials = [trial(300, 0.1), trial(500, 0.2), trial(600, 0.3), trial(20, 5)]
    best, worst = standings(trials)
    assert (best.name, best.zones, worst.name) == ("good", 4, "bad")
    middle = trials[1].verdicts[0]
    assert middle.name == "good"
    assert best.mape_percent == middle.errors.mape_percent
    assert best.mape_by_day == tuple(day.mape_percent for day in middle.by_day)
    assert best.clean_mae_g == trials[3].verdicts[0].errors.mae_g
    assert (worst.worst_captured or 0) < 0 < (best.worst_captured or 0)
    assert best.captured[SHORT] == pytest.approx(middle.captured[SHORT].captured, abs=0.05)
    assert possible(trials)[SHORT] == pytest.approx(trials[0].verdicts[0].captured[SHORT].possible, abs=0.02)


def test_the_same_figures_make_the_same_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `pictures` is not installed")
    found = standings([trial(300, 0.1)])
    first, second = (
        draw(tmp_path / name, found, title="DE", source="recorded").read_bytes()
        for name in ("a.svg", "b.svg")
    )
    assert first == second
    assert draw(tmp_path / "c.png", found, title="DE", source="recorded").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_drawn_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ForecastError, match="nothing to draw"):
        draw(tmp_path / "a.png", [], title="", source="")
    found = standings([trial(300, 0.1)])
    with pytest.raises(ForecastError, match=r"a\.gif: pictures are \.svg or \.png"):
        draw(tmp_path / "a.gif", found, title="", source="")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ForecastError, match=r"pip install 'tidewatt\[pictures\]'"):
        draw(tmp_path / "a.png", found, title="", source="")
