"""The inventory of hours, against numbers worked out by hand."""

import csv

import numpy as np
import pytest

from tests.unit.scheduler.test_settlement import HOUR_UJ, at, ms
from tidewatt.backends.clock import time_ms
from tidewatt.backends.meters.reading import How
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Series, Steps
from tidewatt.scheduler.accounting.inventory import (
    COLUMNS,
    OWN_PROJECT,
    HourView,
    Rates,
    Where,
    hours_of,
    own_hour,
    together,
    views,
)
from tidewatt.scheduler.accounting.phases import Phase
from tidewatt.scheduler.accounting.profile import Cell
from tidewatt.scheduler.exports.hours_table import csv_text

OBSERVED = (400.0, 300.0, float("nan"))  # g/kWh from 10:00


def rates(_zone: str = "DE", _at_ms: int = 0) -> Rates:
    starts = np.array([ms(10 + place) for place in range(len(OBSERVED))], dtype=np.int64)
    steps = Steps(starts, starts + 3_600_000, np.array(OBSERVED))
    return Rates(Series("DE", Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION), "grid.csv", steps))


def cell(start_h: float, end_h: float, watts: int, component: str = "gpu", attempt: str = "7.1") -> Cell:
    uj = round(watts * (end_h - start_h) * HOUR_UJ)
    return Cell(
        attempt, "local", component, How.MEASURED, Phase.RUNNING, ms(start_h), ms(end_h), uj, 0, True, 0
    )


def lines(*cells: Cell, cloud: str | None = "", pue: float = 1.2) -> list[HourView]:
    where = Where("DE", round(pue * 1e6), "site meter 2025", "Frankfurt", cloud)
    places = {each.attempt_id: where for each in cells}
    return list(views(together([hours_of(cells, places, "nlp", rates)])))


def test_an_hour_has_energy_with_and_without_pue_and_the_grams_of_its_own_intensity() -> None:
    first, second = lines(cell(10, 11, 200), cell(10.5, 11, 100, "cpu"), cell(11, 11.5, 200))
    assert (first.hour_utc, second.hour_utc) == ("2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z")
    assert (first.it_kwh, second.it_kwh) == (0.25, 0.1)
    assert (first.facility_kwh, second.facility_kwh) == (0.3, 0.12)
    assert (first.location_based_g, second.location_based_g) == (0.3 * 400, 0.12 * 300)
    assert first.average_gco2_per_kwh == pytest.approx(400)
    assert first.intensity_source == "grid.csv (average lifecycle CO2eq, production)"


def test_hour_that_was_not_observed_has_energy_alone() -> None:
    [line] = lines(cell(12, 13, 200))
    assert (line.it_kwh, line.location_based_g, line.average_gco2_per_kwh) == (0.2, None, None)
    assert line.intensity_source == "not observed"


@pytest.mark.parametrize(
    ("cloud", "scope", "basis"), [("", 2, "stated"), ("aws", 3, "stated"), (None, 2, "assumed: own hardware")]
)
def test_own_hardware_is_scope_2_and_a_cloud_is_scope_3(cloud: str | None, scope: int, basis: str) -> None:
    [line] = lines(cell(10, 11, 200), cloud=cloud)
    assert (line.scope, line.scope_basis, line.site) == (scope, basis, "Frankfurt")


def test_market_based_column_is_there_and_empty() -> None:
    text = csv_text([each.model_dump() for each in lines(cell(10, 11, 200))])
    [row] = csv.DictReader(text.splitlines())
    assert tuple(row) == COLUMNS
    assert row["market_based_g"] == ""


def test_what_tidewatt_itself_used_is_a_project_of_its_own() -> None:
    payload = {
        "hour_ms": time_ms(at(10)),
        "region": "local",
        "energy_uj": {"cpu": HOUR_UJ, "dram": HOUR_UJ},
        "emissions_ug": {"average": 960, "marginal": 1},
        "sources": {"average": "grid.csv"},
    }
    spot, amount = own_hour(payload, Where("DE", 1_200_000, "site"))
    assert (spot.project, amount.it_uj, amount.facility_uj) == (OWN_PROJECT, 2 * HOUR_UJ, 2.4 * HOUR_UJ)
    assert (amount.emitted_ug, amount.unpriced_uj) == (960, 0)
    _, unknown = own_hour(payload | {"emissions_ug": {}}, Where("DE", 1_200_000, "site"))
    assert unknown.unpriced_uj == 2 * HOUR_UJ
