"""What an engine reports of an attempt is charged to it, whole, and never twice."""

from pathlib import Path

import pytest

from tidewatt.backends.clock import Clock
from tidewatt.backends.meters import reported
from tidewatt.backends.meters.energy import usage
from tidewatt.backends.meters.excerpt import export
from tidewatt.backends.meters.journal import Header, Journal
from tidewatt.backends.meters.reading import Device, How, Reading, Usage

START_MS = 1_773_100_800_000
END_MS = START_MS + 600_000
NODE = Device("attempt:node", "node", How.MEASURED, "sacct ConsumedEnergy: the whole node, GPUs not included")


def active_uj(used: Usage, component: str) -> int:
    return int(used.columns(component).active_uj.sum())


def test_nodes_energy_is_charged_whole_and_its_idle_draw_is_said_to_be_unknown(tmp_path: Path) -> None:
    points = [(START_MS, 0), (START_MS + 60_000, 9_000_000_000), (END_MS, 90_000_000_000)]
    reported.write(tmp_path, "1.1", NODE, points, Clock())
    used = usage(tmp_path, "1.1", (), START_MS, END_MS)
    assert used.coverage == {"node": 1.0}
    assert active_uj(used, "node") == 90_000_000_000
    assert used.sources["node"] == NODE.source
    assert any("idle draw is not known" in note for note in used.notes)


def test_report_of_a_replay_covers_the_run_on_its_clock(tmp_path: Path) -> None:
    clock = Clock(1_700_000_000_000, START_MS, 3600.0)
    reported.write(tmp_path, "1.1", NODE, [(START_MS, 0), (END_MS, 7_000_000)], clock)
    used = usage(tmp_path, "1.1", (), START_MS, END_MS)
    assert (used.coverage["node"], active_uj(used, "node")) == (1.0, 7_000_000)


def test_report_that_ends_early_leaves_the_rest_of_the_run_unknown(tmp_path: Path) -> None:
    reported.write(tmp_path, "1.1", NODE, [(START_MS, 0), (START_MS + 300_000, 10**9)], Clock())
    used = usage(tmp_path, "1.1", (), START_MS, END_MS)
    assert used.coverage["node"] == pytest.approx(0.5)


def test_report_is_left_out_where_the_cpu_was_metered_beside_the_job(tmp_path: Path) -> None:
    _meter_beside(tmp_path)
    reported.write(tmp_path, "1.1", NODE, [(START_MS, 0), (END_MS, 90_000_000_000)], Clock())
    used = usage(tmp_path, "1.1", (), START_MS, END_MS)
    assert "node" not in used.coverage
    assert int(used.columns("cpu").active_uj.sum() + used.columns("cpu").idle_uj.sum()) > 0
    assert any("not added" in note for note in used.notes)
    assert not any("restarted" in note for note in used.notes)


def test_gpus_that_nobody_metered_stay_missing_beside_a_nodes_energy(tmp_path: Path) -> None:
    reported.write(tmp_path, "1.1", NODE, [(START_MS, 0), (END_MS, 10**9)], Clock())
    used = usage(tmp_path, "1.1", ("GPU-far",), START_MS, END_MS)
    assert used.coverage["gpu"] == 0.0
    assert used.coverage["node"] == 1.0


def test_several_components_are_reported_side_by_side_and_a_later_report_replaces_one(tmp_path: Path) -> None:
    for joules in (1, 2):
        for component in ("cpu", "gpu"):
            device = Device(f"attempt:{component}", component, How.MODELLED, "by instance type, modelled")
            points = [(START_MS, 0), (END_MS, joules * 10**6)]
            reported.write(tmp_path, "1.1", device, points, Clock())
    used = usage(tmp_path, "1.1", (), START_MS, END_MS)
    assert (active_uj(used, "cpu"), active_uj(used, "gpu")) == (2_000_000, 2_000_000)


def test_excerpt_of_a_report_gives_the_same_usage(tmp_path: Path) -> None:
    whole, copy = tmp_path / "whole", tmp_path / "copy"
    reported.write(whole, "1.1", NODE, [(START_MS, 0), (END_MS, 10**9)], Clock())
    used = usage(whole, "1.1", (), START_MS, END_MS)
    digest = export(whole, copy, START_MS, END_MS, "1.1")
    assert digest == used.digest
    assert usage(copy, "1.1", (), START_MS, END_MS, used.idle_mw) == used


@pytest.mark.parametrize(
    "points", [[(START_MS, 0)], [(START_MS, 0), (START_MS, 1)], [(START_MS, 2), (END_MS, 1)]]
)
def test_report_without_end_is_refused(tmp_path: Path, points: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="report"):
        reported.write(tmp_path, "1.1", NODE, points, Clock())


def _meter_beside(folder: Path) -> None:
    """Our meter's readings of a host with one package, of which the attempt kept one of two cores busy."""
    package = Device("rapl:package-0", "cpu", How.MEASURED, "RAPL", range_uj=2**48)
    header = Header("aaaaaaaa-0000-4000-8000-000000000000", 2, 60_000, Clock(), (package,))
    journal = Journal(folder)
    for minute in range(11):
        passed_ms = 60_000 * minute
        cause = {0: "start 1.1", 10: "end 1.1"}.get(minute, "tick")
        spent = {"host": passed_ms, "1.1": passed_ms}
        energy_uj = {package.key: 10**9 + 50_000 * passed_ms}
        reading = Reading(
            START_MS + passed_ms, 10**6 + passed_ms, header.boot_id, cause, energy_uj, {}, spent
        )
        journal.append(reading, header, durable=False)
    journal.close()
