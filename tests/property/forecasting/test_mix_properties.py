"""Intensities of generation mixes under all inputs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tidewatt.forecasting.kind import Basis
from tidewatt.forecasting.mix import GCO2_PER_KWH, intensity
from tidewatt.forecasting.quantity import FUELS

powers = st.lists(st.floats(-500, 50_000, allow_nan=False, width=32), min_size=3, max_size=3)
mixes = st.dictionaries(st.sampled_from(FUELS), powers, min_size=1)


@given(mixes, st.sampled_from([*Basis]))
def test_an_intensity_lies_between_the_cleanest_and_the_dirtiest_factor(
    mw: dict[str, list[float]], basis: Basis
) -> None:
    value = intensity({fuel: np.array(power, float) for fuel, power in mw.items()}, basis)
    known = value[~np.isnan(value)]
    factors = GCO2_PER_KWH[basis].values()
    assert ((known >= min(factors) - 1e-6) & (known <= max(factors) + 1e-6)).all()
