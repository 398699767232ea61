"""Which forecaster is used for a zone, and what is said about why."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.forecasting.models.pasts import DAY_H, QUANTITY, ZONE, past, small
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.models.baselines import Baseline, SameHourMean, Yesterday
from tidewatt.forecasting.models.forecaster import HOUR_MS
from tidewatt.forecasting.models.shelf import GOOD_FOR, Own, Shelf, preferred
from tidewatt.forecasting.models.stored import path_of, save
from tidewatt.forecasting.quantity import intensity

KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
PAST = past(81 * DAY_H)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    assert intensity(KIND) == QUANTITY
    return Shelf(tmp_path)


def put(shelf: Shelf, captured: Mapping[str, float], zone: str = ZONE) -> Path:
    path = path_of(shelf.folder, ZONE, QUANTITY)
    save(replace(small(), zone=zone, captured=captured, judged_days=28.0), path)
    return path


def own(shelf: Shelf, hours: int = 24) -> Own:
    found = shelf.own(ZONE, KIND, PAST, hours)
    assert found is not None
    return found


def is_by(found: Own, baseline: Baseline) -> bool:
    made = baseline.predict(PAST, len(found.prediction.gco2_per_kwh))
    return made is not None and np.array_equal(made.gco2_per_kwh, found.prediction.gco2_per_kwh)


def test_the_model_is_used_where_it_captured_more(shelf: Shelf) -> None:
    put(shelf, {"gradient boosting": 0.712, "7-day same-hour mean": 0.634, "blend": 0.6, "yesterday": 0.5})
    found = own(shelf)
    assert found.label == (
        "gradient boosting of 2022-03-22, 71 % of the possible saving in the last 28 days"
        " against 63 % of the 7-day same-hour mean"
    )
    made = small().predict(PAST, 24)
    assert made is not None
    assert np.array_equal(found.prediction.gco2_per_kwh, made.gco2_per_kwh)
    assert found.prediction.p10 is not None


def test_a_blend_is_used_where_it_captured_more_than_each_plain_forecast(shelf: Shelf) -> None:
    put(shelf, {"gradient boosting": 0.71, "7-day same-hour mean": 0.70, "yesterday": 0.3, "blend": 0.72})
    found = own(shelf)
    assert found.label == (
        "gradient boosting of 2022-03-22 blended with 29 % 7-day same-hour mean, 72 % of the possible saving"
        " in the last 28 days against 70 % of the 7-day same-hour mean"
    )
    model, plain = small().predict(PAST, 24), SameHourMean().predict(PAST, 24)
    assert model is not None
    assert plain is not None
    low, high = (each(model.gco2_per_kwh, plain.gco2_per_kwh) for each in (np.minimum, np.maximum))
    made = found.prediction
    assert ((low <= made.gco2_per_kwh) & (made.gco2_per_kwh <= high)).all()
    assert made.p10 is not None
    assert made.p90 is not None
    assert ((made.p10 <= made.gco2_per_kwh) & (made.gco2_per_kwh <= made.p90)).all()


def test_a_baseline_that_captured_more_is_used_instead(shelf: Shelf) -> None:
    put(shelf, {"gradient boosting": 0.4, "7-day same-hour mean": 0.3, "yesterday": 0.45})
    found = own(shelf)
    assert is_by(found, Yesterday())
    assert found.label == (
        "yesterday, 45 % of the possible saving in the last 28 days against 40 % of the gradient boosting"
    )


def test_a_tie_goes_to_the_plainer(shelf: Shelf) -> None:
    put(shelf, {"gradient boosting": 0.4, "7-day same-hour mean": 0.4})
    assert is_by(own(shelf), SameHourMean())


def test_where_nothing_could_be_saved_the_mean_is_used(shelf: Shelf) -> None:
    put(shelf, {})
    found = own(shelf)
    assert is_by(found, SameHourMean())
    assert found.label == "7-day same-hour mean; nothing could be saved lately"
    assert preferred(replace(small(), captured={"yesterday": 1.0})).name == SameHourMean().name


def test_a_refused_file_gives_the_mean_and_the_reason(shelf: Shelf) -> None:
    path = put(shelf, {"gradient boosting": 1.0})
    path.chmod(0o666)
    found = own(shelf)
    assert is_by(found, SameHourMean())
    assert "can be written by others" in found.label


def test_a_model_under_the_name_of_another_zone_is_refused(shelf: Shelf) -> None:
    put(shelf, {"gradient boosting": 1.0}, zone="DE")
    assert "is the model of DE" in own(shelf).label


def test_an_old_model_is_not_used(shelf: Shelf) -> None:
    put(shelf, {"gradient boosting": 1.0})
    gap_ms = round(GOOD_FOR.total_seconds() * 1000) + HOUR_MS
    found = shelf.own(
        ZONE, KIND, replace(PAST, start_ms=PAST.start_ms + gap_ms, now_ms=PAST.now_ms + gap_ms), 24
    )
    assert found is not None
    assert found.label == "7-day same-hour mean; the model of 2022-03-22 is too old"


def test_a_model_that_was_trained_after_the_moment_asked_about_is_not_used(shelf: Shelf) -> None:
    put(shelf, {"gradient boosting": 1.0})
    hours = 70 * DAY_H
    earlier = replace(PAST, gco2_per_kwh=PAST.gco2_per_kwh[:hours], now_ms=PAST.start_ms + hours * HOUR_MS)
    found = shelf.own(ZONE, KIND, earlier, 24)
    assert found is not None
    assert found.label == "7-day same-hour mean; the model of 2022-03-22 is younger"


def test_after_silent_days_the_mean_of_what_is_known_is_used(shelf: Shelf) -> None:
    put(shelf, {"gradient boosting": 1.0})
    found = shelf.own(ZONE, KIND, replace(PAST, now_ms=PAST.now_ms + 60 * HOUR_MS), 24)
    assert found is not None
    assert found.label == "7-day same-hour mean; too little is known for the model"


def test_without_a_model_nothing_is_said(shelf: Shelf) -> None:
    assert shelf.own(ZONE, KIND, PAST, 24) is None
    put(shelf, {"gradient boosting": 1.0})
    assert shelf.own(ZONE, replace(KIND, basis=Basis.DIRECT), PAST, 24) is None
    assert shelf.own("DE", KIND, PAST, 24) is None


def test_a_new_model_is_seen_and_an_unchanged_one_not_read_again(shelf: Shelf) -> None:
    put(shelf, {"gradient boosting": 0.9})
    first = shelf.model(ZONE, KIND)
    assert shelf.model(ZONE, KIND) is first
    path = put(shelf, {"yesterday": 0.9, "gradient boosting": 0.1})
    os.utime(path, ns=(1, 1))
    assert is_by(own(shelf), Yesterday())
    path.unlink()
    assert shelf.model(ZONE, KIND) is None
