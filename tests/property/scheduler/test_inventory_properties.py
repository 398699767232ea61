"""Hours hold what accounts hold, to the last integer, whatever was metered, where, and on which grid."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.scheduler.test_cells_properties import Grid, grids, runs, settled
from tidewatt.scheduler.accounting.inventory import Amount, Rates, Spot, Where, hours_of, together, views
from tidewatt.scheduler.accounting.metered import AttemptRun

HOUR_MS = 3_600_000


def hours(attempts: Sequence[AttemptRun], grid: Grid, project: str = "nlp") -> dict[Spot, Amount]:
    rates = {zone: Rates(series) for (zone, signal), series in grid.items() if signal == "average"}
    places = {
        run.attempt_id: Where(run.zones["average"], run.pue_micro, run.pue_source, "Frankfurt", "")
        for run in attempts
    }
    cells = settled(attempts, grid, 0).profile
    return hours_of(cells, places, project, lambda zone, _at_ms: rates.get(zone))


@settings(max_examples=25)
@given(runs(), grids())
def test_hours_sum_to_the_account(attempts: list[AttemptRun], grid: Grid) -> None:
    still = [replace(run, move=None) for run in attempts]  # networks are nobody's scope 2
    settlement = settled(still, grid, 0)
    found = hours(still, grid)
    assert sum(each.it_uj for each in found.values()) == (settlement.energy_uj or 0)
    assert sum(each.facility_uj for each in found.values()) == (settlement.facility_uj or 0)
    ledger = next((each for each in settlement.ledgers if each.signal == "average"), None)
    if ledger is not None:
        assert sum(each.emitted_ug for each in found.values()) == ledger.emissions_ug
    assert all(each.unpriced_uj == 0 for each in found.values())


@settings(max_examples=12)
@given(runs(), runs(), grids())
def test_hours_of_several_jobs_are_the_sum_of_each_ones(
    first: list[AttemptRun], second: list[AttemptRun], grid: Grid
) -> None:
    each_ones = [hours(first, grid), hours(second, grid), hours(second, grid, "speech")]
    whole = together(each_ones)
    for name in ("it_uj", "facility_uj", "emitted_ug"):
        parts = sum(getattr(amount, name) for part in each_ones for amount in part.values())
        assert sum(getattr(amount, name) for amount in whole.values()) == parts
    assert list(whole) == sorted(whole)
    assert all(spot.hour_ms % HOUR_MS == 0 for spot in whole)


@settings(max_examples=12)
@given(runs(), grids(), st.sampled_from(["DE", "FR"]))
def test_hours_of_a_zone_that_nobody_observed_have_energy_and_no_grams(
    attempts: list[AttemptRun], grid: Grid, dark: str
) -> None:
    places = {run.attempt_id: Where(run.zones["average"], run.pue_micro, "site") for run in attempts}
    rates = {zone: Rates(series) for (zone, signal), series in grid.items() if signal == "average"}
    cells = settled(attempts, grid, 0).profile
    found = hours_of(cells, places, "", lambda zone, _at_ms: None if zone == dark else rates[zone])
    assert sum(each.it_uj for each in found.values()) == sum(c.active_uj + c.idle_uj for c in cells)
    for line in views(found):
        assert (line.location_based_g is None) == (line.zone == dark or not line.it_kwh)
        assert line.market_based_g is None
