"""What electricity cost: cells at the prices of their hours, and what has no price told apart."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.trying import past
from tidewatt.backends.clock import time_ms
from tidewatt.backends.meters.reading import How
from tidewatt.scheduler.accounting.phases import Phase
from tidewatt.scheduler.accounting.profile import Cell, cell_records
from tidewatt.scheduler.cli.cost_text import cost_lines
from tidewatt.scheduler.cost_schema import CostsView
from tidewatt.scheduler.daemon.callers import Caller, asking
from tidewatt.scheduler.daemon.costing import Costs
from tidewatt.scheduler.daemon.trying_views import Trying
from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.policies.opening import parse_hours
from tidewatt.scheduler.prices.recorded import Recorded
from tidewatt.scheduler.prices.tariff import BandTariff, RecordedTariff
from tidewatt.scheduler.prices.tariffs import Priced
from tidewatt.scheduler.region import PriceStep, Region
from tidewatt.scheduler.store.records import JobRecord
from tidewatt.scheduler.try_schema import TryRequest

MONDAY = datetime(2026, 3, 2, 6, tzinfo=UTC)
KWH_UJ = 3_600_000_000_000
BANDS = BandTariff(0.20, (((parse_hours("Mon-Fri 06:30-20:00"),), 0.40),), ZoneInfo("UTC"))
ADA, BEN = (
    Caller(uid, uid, frozenset(), name, operator=False) for uid, name in ((1001, "ada"), (1002, "ben"))
)


def job(number: int, *regions: str, uid: int = 1001, **more: Any) -> JobRecord:
    """A job that drew 1 kWh in each region from 6:00 to 7:00, a quarter of it idle, at a PUE of 1.5."""
    start, end = time_ms(MONDAY), time_ms(MONDAY + timedelta(hours=1))
    drawn = KWH_UJ * 3 // 4, KWH_UJ // 4
    cells = [
        Cell(f"{number}.1", each, "cpu", How.MEASURED, Phase.RUNNING, start, end, *drawn, True, 0)
        for each in regions
    ]
    account = {"profile": cell_records(cells), "pue_micro": 1_500_000}
    return replace(past.job(number, MONDAY), settlement=account, ended_ms=end, uid=uid, **more)


def costs(*jobs: JobRecord, **tariffs: Any) -> Costs:
    regions = [Region(name) for name in ("home", "north")]
    found = {name: Priced(each, "EUR") for name, each in tariffs.items()}
    board = SimpleNamespace(stated=regions, price=lambda region: found.get(region.name))
    site = SimpleNamespace(board=board, clock=SimpleNamespace(now=lambda: MONDAY + timedelta(days=1)))
    store = SimpleNamespace(ended=lambda _before, _at_once: iter([list(jobs)]))
    return Costs(SimpleNamespace(site=site, store=store))  # type: ignore[arg-type]


def only(found: CostsView) -> Any:
    [group] = found.groups
    return group


def test_hour_in_which_the_price_changes_is_divided_by_time() -> None:
    group = only(costs(job(1, "home"), home=BANDS).since(None, "none"))
    assert group.cost == pytest.approx(1.5 * (0.20 + 0.40) / 2)
    assert (group.priced_kwh, group.unpriced_kwh) == (pytest.approx(1.5), 0)


def test_energy_without_a_price_is_told_apart_and_never_free() -> None:
    found = costs(job(1, "home", "north"), home=BANDS).since(None, "none")
    group = only(found)
    assert (group.priced_kwh, group.unpriced_kwh) == (pytest.approx(1.5), pytest.approx(1.5))
    said = list(cost_lines(found.model_dump(mode="json")))
    assert said[0] == "electricity: 0.45 EUR for 1.5 kWh, PUE included; 1.5 kWh have no price"
    assert said[1] == "prices: home: by the time of use, as stated"
    nothing = costs(job(1, "north"), home=BANDS).since(None, "none")
    assert only(nothing).cost is None
    assert (
        next(cost_lines(nothing.model_dump(mode="json"))) == "electricity: not known; 1.5 kWh have no price"
    )


def test_price_that_is_assumed_is_told() -> None:
    before = PriceStep(time_ms(MONDAY) - 3_600_000, time_ms(MONDAY), 0.5)
    tariff = RecordedTariff(Recorded((before,), "EUR"), "recorded in x.csv")
    group = only(costs(job(1, "home"), home=tariff).since(None, "none"))
    assert (group.cost, group.assumed_kwh) == (pytest.approx(0.75), pytest.approx(1.5))


def test_groups_and_what_nobody_metered() -> None:
    bare = replace(past.job(3, MONDAY), settlement={"profile": [], "pue_micro": 1_000_000}, uid=1001)
    jobs = job(1, "home"), job(2, "home", project="speech"), bare
    found = {each.name: each for each in costs(*jobs, home=BANDS).since(None, "project").groups}
    assert {name: each.jobs for name, each in found.items()} == {"vision": 2, "speech": 1}
    assert found["vision"].unmetered_jobs == 1


def test_nobody_sees_what_others_paid() -> None:
    both = costs(job(1, "home"), job(2, "home", uid=1002), home=BANDS)
    with asking(BEN):
        assert [each.name for each in both.since(None, "job").groups] == ["2"]


def test_without_any_price_nothing_is_said() -> None:
    found = costs(job(1, "home")).since(None, "none")
    assert found.groups == ()
    assert list(cost_lines(found.model_dump(mode="json"))) == []


def test_trying_is_for_operators() -> None:
    trying = Trying(SimpleNamespace(site=None))  # type: ignore[arg-type]
    with asking(ADA), pytest.raises(Refused, match="operator"):
        trying.tried(TryRequest(text=""))
