"""What is frozen of a place at launch, and what inventories and receipts make of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.scheduler.office import Office, office
from tidewatt.backends.clock import time_ms
from tidewatt.backends.meters.reading import How
from tidewatt.scheduler.accounting.inventory import OWN_PROJECT
from tidewatt.scheduler.accounting.phases import Phase
from tidewatt.scheduler.accounting.profile import Cell
from tidewatt.scheduler.accounting.receipt import Settlement
from tidewatt.scheduler.daemon.hours import Inventory
from tidewatt.scheduler.daemon.premises import embodied_view
from tidewatt.scheduler.jobs import SettlementState
from tidewatt.scheduler.schemas import JobView

A100 = "NVIDIA A100-SXM4-40GB"
KWH_UJ = 3_600_000_000_000
REGION = {
    "name": "local",
    "site": "Main Street 1",
    "cloud": "aws",
    "embodied": {"server_gpus": 8, "server_cpus": 64},
}


def done(made: Office, **asked: object) -> int:
    """A job that ran for 70 s."""
    number = made.submit(project="vision", **asked).job.id
    made.round()
    made.shift(70)
    assert made.job(number).state == "done"
    return number


def settle(made: Office, number: int, energy_uj: int | None, *cells: Cell) -> None:
    now = made.site.clock.now()
    account = Settlement(
        SettlementState.FINAL, now, "2", energy_uj, energy_uj, 1_000_000, "assumed", (), (), 0, None, 0, None,
        ((f"{number}.1", "sha256:1"),), (), cells,
    )  # fmt: skip
    with made.store.transaction() as transaction:
        transaction.set_settlement(number, SettlementState.FINAL, account.record(), time_ms(now))


def cell(made: Office, number: int, energy_uj: int) -> Cell:
    start_ms = made.store.attempts([number])[number][0].launched_ms
    return Cell(
        f"{number}.1", "local", "gpu", How.MEASURED, Phase.RUNNING, start_ms, start_ms + 60_000, energy_uj, 0,
        True, 0,
    )  # fmt: skip


def test_place_and_server_are_those_of_the_launch(tmp_path: Path) -> None:
    with office(tmp_path, A100, region=[REGION]) as made:
        number = done(made, gpus=1)
        factors = made.store.attempts([number])[number][0].factors
        assert (factors["site"], factors["cloud"], factors["gpu_model"]) == ("Main Street 1", "aws", A100)
        assert (factors["hardware"]["server_gpus"], factors["hardware"]["server_cpus"]) == (8, 64)


def test_receipt_has_the_share_of_the_hardware_of_real_seconds(tmp_path: Path) -> None:
    with office(tmp_path, A100, region=[REGION]) as made:
        number = done(made, gpus=1)
        settle(made, number, KWH_UJ)
        view = made.service.view(str(number))
        assert isinstance(view, JobView)
        assert view.settlement is not None
        made_g = view.settlement.embodied
        [attempt] = made.store.attempts([number])[number]
        assert attempt.ended_ms is not None
        hours = (attempt.ended_ms - attempt.launched_ms) / 3_600_000
        assert made_g is not None
        assert made_g.central_g == pytest.approx((319_000 + 125_000) * hours / (4 * 8760), rel=1e-4)
        replayed = replace(attempt, factors={**attempt.factors, "replay_factor_milli": 600_000})
        shorter = embodied_view(made.job(number), [replayed])
        assert shorter is not None
        assert shorter.central_g == pytest.approx(made_g.central_g / 600, rel=0.01)


def test_hours_of_jobs_stand_beside_what_no_hour_can_hold(tmp_path: Path) -> None:
    with office(tmp_path, A100, region=[REGION]) as made:
        first, unmetered, earlier = (done(made, gpus=1) for _ in range(3))
        settle(made, first, KWH_UJ, cell(made, first, KWH_UJ))
        settle(made, unmetered, None)
        settle(made, earlier, 2 * KWH_UJ)
        own = {
            "hour_ms": time_ms(made.site.clock.now()) // 3_600_000 * 3_600_000,
            "region": "local",
            "energy_uj": {"cpu": KWH_UJ // 1000},
            "emissions_ug": {"average": 5},
            "sources": {"average": "grid.csv"},
            "pue_micro": 1_500_000,
            "pue_source": "site",
        }
        with made.store.transaction() as transaction:
            transaction.append(time_ms(made.site.clock.now()), "own", {**own, "energy_uj": {"cpu": 1}})
            transaction.append(time_ms(made.site.clock.now()), "own", own)  # the last one counts
        found = Inventory(made.site, made.store).since(None)
        assert (found.jobs, found.unmetered_jobs, found.jobs_without_hours) == (3, 1, 1)
        assert found.kwh_without_hours == 2.0
        [ours] = [hour for hour in found.hours if hour.project == "vision"]
        assert (ours.it_kwh, ours.scope, ours.cloud, ours.location_based_g) == (1.0, 3, "aws", None)
        [tidewatt] = [hour for hour in found.hours if hour.project == OWN_PROJECT]
        assert (tidewatt.it_kwh, tidewatt.facility_kwh) == (0.001, 0.0015)
        assert tidewatt.location_based_g == 5e-6
        assert Inventory(made.site, made.store).since(1).jobs == 0
