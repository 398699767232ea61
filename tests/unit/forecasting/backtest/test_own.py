"""Own models in a backtest learn from the past alone, and are chosen as the chain chooses them."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.unit.forecasting.backtest.sayings import DAY_H, KIND, T0_MS, history, shape
from tidewatt.forecasting.backtest.issuing import DAY_MS, Issues, issue
from tidewatt.forecasting.backtest.own import CHOSEN, TRAINED, own_forecasters
from tidewatt.forecasting.models.baselines import SameHourMean
from tidewatt.forecasting.models.forecaster import History

MOMENTS = T0_MS + DAY_MS * np.array([5, 16, 18])


def issued(known: History, folder: Path) -> dict[str, Issues]:
    folder.mkdir()
    made = [
        issue(forecaster, known, MOMENTS, 48)
        for forecaster in own_forecasters(KIND, timedelta(days=28), folder)
    ]
    return {issues.name: issues for issues in made}


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Issues]:
    return issued(history(shape(20 * DAY_H)), tmp_path_factory.mktemp("honest") / "models")


def test_neither_training_nor_choice_sees_what_came_later(honest: dict[str, Issues], tmp_path: Path) -> None:
    planted = shape(20 * DAY_H)
    planted[18 * DAY_H :] = 1e6
    tempted = issued(history(planted), tmp_path / "models")
    for name in (TRAINED, CHOSEN):
        assert np.array_equal(honest[name].predicted, tempted[name].predicted, equal_nan=True)
        assert not np.isnan(honest[name].predicted[1:]).any()


def test_while_there_is_too_little_to_learn_from_the_same_hour_mean_is_chosen(
    honest: dict[str, Issues],
) -> None:
    plain = issue(SameHourMean(), history(shape(20 * DAY_H)), MOMENTS, 48)
    assert np.isnan(honest[TRAINED].predicted[0]).all()
    assert np.array_equal(honest[CHOSEN].predicted[0], plain.predicted[0])


def test_a_model_is_stored_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    issued(history(shape(20 * DAY_H)), folder)
    assert [oct(path.stat().st_mode & 0o777) for path in folder.iterdir()] == ["0o600"]
