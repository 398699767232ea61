"""Energy from a site's Prometheus: what is asked for, and what becomes of the answers."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kubernetes.metrics import Metrics, served
from tidewatt.backends.backend import BackendError
from tidewatt.backends.prometheus import EnergySeries, PrometheusOptions, _cumulative, energies

WORDS = {"namespace": "tidewatt-jobs", "pod": "tw-1-1", "node": "n1"}


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    with served() as found:
        yield found


def options(metrics: Metrics, unit: str = "J", **more: Any) -> PrometheusOptions:
    series = {"component": "cpu", "query": 'e{pod="$pod"}', "unit": unit, "source": "Kepler"}
    return PrometheusOptions.model_validate({"url": metrics.url, "series": [series]} | more)


def test_counters_of_all_series_are_added_and_begin_at_nothing(metrics: Metrics) -> None:
    metrics.result = [
        {"metric": {"cpu": "0"}, "values": [[100, "50"], [115, "80"], [130, "110"]]},
        {"metric": {"cpu": "1"}, "values": [[100, "1"], [115, "2"], [130, "3"]]},
    ]
    [found] = energies(options(metrics), WORDS, 100, 130)
    assert found.points == ((100_000, 0), (115_000, 31_000_000), (130_000, 62_000_000))
    assert found.counted
    assert metrics.asked[0]["query"] == ['e{pod="tw-1-1"}']


def test_counter_that_began_anew_loses_nothing_that_it_showed(metrics: Metrics) -> None:
    metrics.result = [{"values": [[0, "5000"], [15, "9000"], [30, "1000"]]}]
    [found] = energies(options(metrics, "mJ"), WORDS, 0, 30)
    assert [used for _, used in found.points] == [0, 4_000_000, 5_000_000]


def test_power_is_integrated_and_said_to_be_modelled(metrics: Metrics) -> None:
    metrics.result = [{"values": [[0, "100"], [15, "200"], [30, "100"]]}]
    [found] = energies(options(metrics, "W"), WORDS, 0, 30)
    assert found.points[-1] == (30_000, 4_500_000_000)
    assert not found.counted


def test_hole_in_a_power_series_adds_nothing(metrics: Metrics) -> None:
    metrics.result = [{"values": [[0, "100"], [15, "100"], [900, "100"]]}]
    [found] = energies(options(metrics, "W"), WORDS, 0, 900)
    assert found.points[-1][1] == 1_500_000_000


@pytest.mark.parametrize("values", [[], [[0, "5"]], [[0, "NaN"], [15, "-1"], [30, "+Inf"]]])
def test_what_is_not_known_stays_missing(metrics: Metrics, values: list[Any]) -> None:
    metrics.result = [{"values": values}]
    assert energies(options(metrics), WORDS, 0, 30) == []


def test_token_comes_from_a_variable(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_TOKEN", "open sesame")
    energies(options(metrics, token_env="PROMETHEUS_TOKEN"), WORDS, 0, 30)
    assert metrics.tokens == ["Bearer open sesame"]


@pytest.mark.parametrize(("status", "transient"), [(503, True), (500, True), (429, True)])
def test_busy_prometheus_is_asked_again(metrics: Metrics, status: int, transient: bool) -> None:
    metrics.status = status
    with pytest.raises(BackendError) as told:
        energies(options(metrics), WORDS, 0, 30)
    assert told.value.transient is transient


def test_answer_of_another_kind_is_refused(metrics: Metrics) -> None:
    metrics.kind = "vector"
    with pytest.raises(BackendError, match="vector"):
        energies(options(metrics), WORDS, 0, 30)


def test_words_that_would_change_the_query_are_refused(metrics: Metrics) -> None:
    with pytest.raises(BackendError, match="cannot stand in a query"):
        energies(options(metrics), WORDS | {"pod": 'x"} or vector(1)'}, 0, 30)
    assert metrics.asked == []


amounts = st.lists(st.floats(0, 1e9, allow_nan=False), min_size=2, max_size=30)


@given(amounts, st.sampled_from(["J", "mJ", "W", "mW"]))
def test_cumulative_energy_never_falls(values: list[float], unit: str) -> None:
    samples = [(15.0 * at, value) for at, value in enumerate(values)]
    found = list(_cumulative(samples, unit, 15).values())
    assert found[0] == 0
    assert found == sorted(found)


@given(amounts)
def test_rising_counter_gives_its_difference(values: list[float]) -> None:
    samples = [(15.0 * at, value) for at, value in enumerate(sorted(values))]
    found = list(_cumulative(samples, "J", 15).values())
    assert found[-1] == pytest.approx((max(values) - min(values)) * 1e6, rel=1e-9, abs=1)


def test_series_says_what_it_covers() -> None:
    with pytest.raises(ValueError, match="source"):
        EnergySeries.model_validate({"component": "gpu", "query": "x", "unit": "J"})
