"""Which signal decides, and which other one has a say."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps
from tidewatt.scheduler.planning.signals import beside, binds, deciding

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NEXT = NOW + timedelta(hours=1)


def outlook(signal: Signal, *sources: str) -> Outlook:
    start = int(NOW.timestamp() * 1000)
    steps = Steps(np.array([start]), np.array([start + 3_600_000]), np.array([300.0]))
    segments = tuple(Segment(NOW, NEXT, Rung.OWN, source) for source in sources)
    return Outlook("DE", Kind(signal, Basis.DIRECT, Boundary.CONSUMPTION), steps, segments)


@pytest.mark.parametrize(
    ("policy", "region", "own", "other"),
    [
        ("average", "", Signal.AVERAGE, None),
        ("marginal", "", Signal.MARGINAL, None),
        ("both", "", Signal.AVERAGE, Signal.MARGINAL),
        ("both", "marginal", Signal.MARGINAL, None),
        ("average", "both", Signal.AVERAGE, Signal.MARGINAL),
    ],
)
def test_regions_word_is_over_the_policys(
    policy: str, region: str, own: Signal, other: Signal | None
) -> None:
    assert (deciding(policy, region), beside(policy, region)) == (own, other)


def test_marginal_signal_of_a_source_binds() -> None:
    assert binds(outlook(Signal.MARGINAL, "watttime"))
    assert binds(outlook(Signal.MARGINAL, "watttime", "modelled marginal profile of DE"))


def test_average_that_stands_in_and_what_is_only_modelled_do_not_bind() -> None:
    assert not binds(None)
    assert not binds(outlook(Signal.AVERAGE, "entsoe"))
    assert not binds(outlook(Signal.MARGINAL, "modelled marginal from 28 days of generation by fuel"))


def test_chain_without_sources_has_no_marginal_signal_that_binds() -> None:
    modelled = Chain().outlook("DE", Signal.MARGINAL, NOW, NEXT)
    assert modelled is not None
    assert modelled.kind.signal is Signal.MARGINAL
    assert not binds(modelled)
