"""What a node draws beyond its components, and whose it is."""

from pathlib import Path

import pytest

from tests.nvml.kept import NOON_MS, Kept, dram, gpu, model, package
from tidewatt.backends.meters.balance import Allocation, account
from tidewatt.backends.meters.energy import usage
from tidewatt.backends.meters.reading import Device, How, Usage

J = 1_000_000
NODE = Device("node:IPMI DCMI", "node", How.MEASURED, "IPMI DCMI")
COUNTER = Device("node:PDU", "node", How.MEASURED, "PDU")


def overhead_j(used: Usage) -> tuple[float, float]:
    columns = used.columns("node overhead")
    return columns.active_uj.sum() / J, columns.idle_uj.sum() / J


def test_remainder_goes_with_active_and_idle_energy_of_the_components(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu("GPU-a"), gpu("GPU-b"), NODE))
    kept.power_mw = {NODE.key: 220_000}
    kept.tick(0, d0=0, d1=0)
    for _ in range(3):
        kept.tick(10, d0=60, d1=60)  # nothing runs
    kept.work(0, a1_1=0, a2_1=0).read("start 1.1")
    kept.power_mw[NODE.key] = 900_000
    kept.read()  # from now on
    start_ms = kept.time_ms
    for _ in range(6):
        kept.tick(10, d0=360, d1=160)
    used = usage(tmp_path, "1.1", ["GPU-a"], start_ms, kept.time_ms)
    # The node's rest is 100 W at idle; in the run 900 - 520 = 380 W, of which 280 W are active.
    active_j, idle_j = overhead_j(used)
    assert active_j == pytest.approx(280 * 60 * 300 / 400)
    assert idle_j == pytest.approx(100 * 60 * 60 / 120)
    assert set(used.columns("node overhead").how.tolist()) == {0}, "all of it is measured"
    assert used.coverage["node overhead"] == 1.0
    assert used.sources["node overhead"] == (
        "IPMI DCMI, less the metered components, shared by their active and idle energy"
    )
    assert not [note for note in used.notes if "components only" in note]


def test_without_a_node_meter_it_is_said(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(),)).tick(0, d0=0).tick(10, d0=100)
    used = usage(tmp_path, "1.1", ["GPU-a"], NOON_MS, kept.time_ms)
    assert "components only: node overhead not measured" in used.notes
    assert "node overhead" not in used.components


def test_remainder_beside_a_modelled_component_is_modelled(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(), model(), NODE)).work(0, a1_1=0)
    kept.power_mw = {NODE.key: 500_000}
    kept.tick(0, d0=0, d1=0).work(4000, a1_1=4000).tick(10, d0=300, d1=40)
    used = usage(tmp_path, "1.1", ["GPU-a"], NOON_MS, kept.time_ms)
    assert set(used.columns("node overhead").how.tolist()) == {1}


def test_node_that_says_less_than_its_components_is_flagged_and_never_negative(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(), NODE), power_mw={NODE.key: 200_000}).tick(0, d0=0)
    kept.tick(10, d0=100).read()
    kept.power_mw[NODE.key] = 50_000
    kept.read().tick(10, d0=300)
    used = usage(tmp_path, "1.1", ["GPU-a"], NOON_MS, kept.time_ms)
    assert sum(overhead_j(used)) == pytest.approx(1000, abs=1)
    assert any("less than its components" in note and "2500 J" in note for note in used.notes)
    assert used.columns("node overhead").active_uj.min() >= 0


def test_node_that_fell_silent_covers_less_of_the_run(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(), NODE), power_mw={NODE.key: 200_000}).tick(0, d0=0)
    for _ in range(5):
        kept.tick(10, d0=100)
    del kept.power_mw[NODE.key]
    for _ in range(5):
        kept.tick(10, d0=100)
    used = usage(tmp_path, "1.1", ["GPU-a"], NOON_MS, kept.time_ms)
    assert used.coverage["node overhead"] == pytest.approx(0.5)
    assert sum(overhead_j(used)) == pytest.approx(5000)
    assert used.coverage["gpu"] == 1.0


def test_unknown_component_leaves_the_remainder_unknown_rather_than_large(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(), dram(), NODE), power_mw={NODE.key: 500_000})
    kept.tick(0, d0=0, d1=0).tick(10, d0=100, d1=20)
    del kept.energy_uj[dram().key]
    kept.tick(10, d0=100)
    used = usage(tmp_path, "1.1", ["GPU-a"], NOON_MS, kept.time_ms)
    assert used.coverage["node overhead"] == pytest.approx(0.5)


def test_counter_in_big_steps_is_divided_over_the_time_between_them(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(), COUNTER)).tick(0, d0=0)
    kept.energy_uj[COUNTER.key] = 5 * 36_000 * J
    kept.read()
    del kept.energy_uj[COUNTER.key]
    for _ in range(6):
        kept.tick(10, d0=400)
    kept.energy_uj[COUNTER.key] = 6 * 36_000 * J  # 0.01 kWh more
    kept.read()
    used = usage(tmp_path, "1.1", ["GPU-a"], NOON_MS, kept.time_ms)
    assert sum(overhead_j(used)) == 36_000 - 24_000
    assert used.coverage["node overhead"] == 1.0


def test_what_nobody_had_of_the_node_is_idle_or_rest(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu("GPU-a"), gpu("GPU-b"), package(), NODE), power_mw={NODE.key: 400_000})
    kept.work(0, a1_1=0).tick(0, d0=0, d1=0, d2=0)
    for _ in range(4):
        kept.work(40_000, a1_1=10_000).tick(10, d0=100, d1=50, d2=80)
    run = NOON_MS, kept.time_ms
    balance = account(tmp_path, [Allocation("1.1", ("GPU-a",), *run)], *run)
    whole = sum(balance.total.values())
    assert whole == 400 * 40 * J, "the components and the node's rest are what the node used"
    for component in balance.components:
        assert sum(balance.parts(component)) == balance.total[component]
        assert min(balance.parts(component)) >= 0
