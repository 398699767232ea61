"""Carbon intensity of a generation mix."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tidewatt.forecasting.kind import Basis, Boundary, Signal
from tidewatt.forecasting.mix import GCO2_PER_KWH, generation_mw, intensity, kind, method
from tidewatt.forecasting.quantity import FUELS

COLUMNS = {
    "mw_coal": "coal",
    "mw_nat_gas": "gas",
    "mw_oil": "oil",
    "mw_biomass": "biomass",
    "mw_geothermal": "geothermal",
    "mw_hydro": "hydro",
    "mw_nuclear": "nuclear",
    "mw_solar": "solar",
    "mw_wind": "wind",
}


def mix(**mw: float | list[float]) -> dict[str, np.ndarray]:
    return {fuel: np.atleast_1d(np.array(values, float)) for fuel, values in mw.items()}


def test_half_coal_half_wind_is_half_of_coals_factor_and_half_of_winds() -> None:
    assert intensity(mix(coal=500.0, wind=500.0), Basis.LIFECYCLE) == pytest.approx([(820 + 11) / 2])
    assert intensity(mix(coal=500.0, wind=500.0), Basis.DIRECT) == pytest.approx([380])


def test_storage_neither_emits_nor_dilutes() -> None:
    with_storage = mix(gas=300.0, storage=900.0)
    assert intensity(with_storage, Basis.LIFECYCLE) == pytest.approx([490])
    assert generation_mw(with_storage) == pytest.approx([300])


def test_a_plants_own_use_at_night_is_no_generation() -> None:
    assert intensity(mix(solar=-4.0, gas=100.0), Basis.LIFECYCLE) == pytest.approx([490])


def test_an_hour_without_generation_is_unknown_not_zero() -> None:
    assert np.isnan(intensity(mix(coal=0.0, gas=0.0), Basis.LIFECYCLE)).all()
    assert np.isnan(intensity({}, Basis.DIRECT)).all()
    assert np.isnan(intensity(mix(storage=5.0), Basis.DIRECT)).all()


def test_an_hour_in_which_a_usual_fuel_is_missing_is_unknown() -> None:
    value = intensity(mix(coal=[500, np.nan, 500], wind=[500, 500, 500]), Basis.LIFECYCLE)
    assert np.isnan(value).tolist() == [False, True, False]


def test_an_hour_in_which_a_fuel_of_little_weight_is_missing_is_known() -> None:
    value = intensity(mix(coal=[500, 500, 500], oil=[1, np.nan, 1]), Basis.LIFECYCLE)
    assert value[1] == pytest.approx(820)


def test_imports_and_demand_beside_the_mix_are_passed_over() -> None:
    assert intensity(mix(gas=100.0, imports=900.0, demand=1000.0), Basis.DIRECT) == pytest.approx([370])


def test_every_fuel_but_storage_has_a_factor_of_both_bases_and_lifecycle_is_never_below_direct() -> None:
    for factors in GCO2_PER_KWH.values():
        assert {*factors} == {*FUELS} - {"storage"}
    for fuel, direct in GCO2_PER_KWH[Basis.DIRECT].items():
        assert direct <= GCO2_PER_KWH[Basis.LIFECYCLE][fuel]


def test_the_kind_says_what_the_number_means() -> None:
    told = kind(Basis.LIFECYCLE)
    assert (told.signal, told.boundary, told.gas) == (Signal.AVERAGE, Boundary.PRODUCTION, "CO2eq")
    assert "lifecycle" in method(Basis.LIFECYCLE)
    assert "IPCC 2014" in method(Basis.DIRECT)


@pytest.mark.parametrize(
    ("basis", "column"), [(Basis.LIFECYCLE, "ci_lifecycle"), (Basis.DIRECT, "ci_direct")]
)
def test_carboncasts_intensities_of_42_zones_are_recomputed_from_their_mixes(
    basis: Basis, column: str, shared_data: Path
) -> None:
    table = pq.read_table(
        shared_data / "production_mix_hourly_42zones_2019_2022.parquet",
        columns=[column, *COLUMNS, "mw_other", "mw_unknown", "zone"],
        filters=(pc.field("ts") >= datetime(2021, 1, 1, tzinfo=UTC))
        & (pc.field("ts") < datetime(2021, 4, 1, tzinfo=UTC))
        & (pc.field("zone") != "CH"),  # its column of direct intensity is always zero
    )
    numbers = {
        name: np.nan_to_num(table[name].to_numpy().astype(float))
        for name in [*COLUMNS, "mw_other", "mw_unknown"]
    }
    mw = {fuel: numbers[name] for name, fuel in COLUMNS.items()}
    mw["other"] = numbers["mw_other"] + numbers["mw_unknown"]
    told = table[column].to_numpy().astype(float)
    known = generation_mw(mw) > 0
    error = np.abs(intensity(mw, basis)[known] - told[known])
    assert known.sum() > 80_000
    assert np.nanmean(error) < 0.03
