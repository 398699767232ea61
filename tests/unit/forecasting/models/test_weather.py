"""Weather is what could be known at the moment, and nothing that was issued later."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.forecasting.models.pasts import DAY_H, START_MS
from tests.unit.forecasting.models.skies import LATE_H, LEADS_H, issues, wind_m_s, windy
from tidewatt.forecasting.models.forecaster import HOUR_MS, WeatherIssues
from tidewatt.forecasting.models.weather import Sky, columns, same_hours

DAYS = 20
WIND = wind_m_s(DAYS * DAY_H + LEADS_H)
PLACE = (42.3, -71.8)


def ms(hour: int) -> np.ndarray:
    return np.array([START_MS + hour * HOUR_MS])


def ahead(hour: int, hours: int = 96) -> np.ndarray:
    return ms(hour)[:, None] + HOUR_MS * np.arange(hours)


def numbered() -> WeatherIssues:
    """Each issue says its own number of every hour."""
    made = issues(DAYS, wind_m_s=WIND)
    return replace(made, values={"wind_m_s": np.repeat(np.arange(DAYS, dtype=float)[:, None], LEADS_H, 1)})


@pytest.mark.parametrize(("hour", "issue"), [(10 * DAY_H + LATE_H - 1, 9), (10 * DAY_H + LATE_H, 10)])
def test_the_newest_issue_is_used_from_when_it_is_available(hour: int, issue: int) -> None:
    said = Sky(numbered()).ahead("wind_m_s", ms(hour), ahead(hour, 24))
    assert (said == issue).all()


def test_an_hour_of_the_past_is_as_the_issue_said_that_was_newest_when_it_began() -> None:
    past = Sky(numbered()).past("wind_m_s")
    assert np.isnan(past[:LATE_H]).all()
    assert (past[LATE_H : DAY_H + LATE_H] == 0).all()
    assert past[DAY_H + LATE_H] == 1


def test_hours_beyond_the_newest_issue_are_not_known() -> None:
    hour = 10 * DAY_H + LATE_H
    said = Sky(issues(DAYS, wind_m_s=WIND)).ahead("wind_m_s", ms(hour), ahead(hour, LEADS_H))[0]
    assert np.array_equal(said[: LEADS_H - LATE_H], WIND[hour : 10 * DAY_H + LEADS_H])
    assert np.isnan(said[LEADS_H - LATE_H :]).all()


def test_an_issue_of_later_changes_nothing() -> None:
    honest = windy(DAYS).weather
    assert honest is not None
    hour = 12 * DAY_H + 7
    later = honest.available_ms > ms(hour)[0]
    tempted = replace(
        honest, values={name: np.where(later[:, None], 1e9, said) for name, said in honest.values.items()}
    )
    names, seen = columns(honest, ms(hour), ahead(hour), *PLACE)
    assert later.any()
    assert len(set(names)) == len(names) == seen.shape[-1]
    assert np.array_equal(seen, columns(tempted, ms(hour), ahead(hour), *PLACE)[1], equal_nan=True)


def test_many_moments_at_once_are_as_each_alone() -> None:
    weather = windy(DAYS).weather
    assert weather is not None
    hours = [10 * DAY_H, 11 * DAY_H + 3, 15 * DAY_H + 20]
    moments, targets = np.concatenate([ms(h) for h in hours]), np.concatenate([ahead(h) for h in hours])
    together = columns(weather, moments, targets, *PLACE)[1]
    for row in range(len(hours)):
        alone = columns(weather, moments[row : row + 1], targets[row : row + 1], *PLACE)[1]
        assert np.allclose(alone[0], together[row], equal_nan=True)


def test_a_source_without_some_variables_gives_what_it_has() -> None:
    names, seen = columns(issues(DAYS, wind_m_s=WIND), ms(240), ahead(240), *PLACE)
    assert "wind power against the last week" in names
    assert not [name for name in names if "temperature" in name or "sky" in name]
    assert seen.shape == (1, 96, len(names))


def test_no_issues_give_no_features() -> None:
    none = WeatherIssues(np.empty(0, np.int64), np.empty(0, np.int64), {"wind_m_s": np.empty((0, 5))})
    names, seen = columns(none, ms(240), ahead(240), *PLACE)
    assert names == ()
    assert seen.shape == (1, 96, 0)


def test_the_same_hours_lie_before_the_moment_at_the_targets_time_of_day() -> None:
    moment = ms(100)
    newest = same_hours(moment, ahead(100, 60))
    assert (newest < moment[0]).all()
    assert (newest >= moment[0] - DAY_H * HOUR_MS).all()
    assert ((ahead(100, 60) - newest) % (DAY_H * HOUR_MS) == 0).all()
