"""RAPL zones of powercap trees as they are found in the field."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tidewatt.backends.clock import Clock
from tidewatt.backends.meters import rapl
from tidewatt.backends.meters.bench import Bench
from tidewatt.backends.meters.cputime import CpuTimes


class Tree:
    """A powercap folder whose counters move when somebody waits."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.draws_uj: dict[str, int] = {}
        root.mkdir()
        (root / "intel-rapl").mkdir()  # the control type itself is no zone

    def zone(self, place: str, name: str, energy_uj: int = 1_000_000, draws_uj: int = 5_000_000) -> "Tree":
        folder = self.root / place
        folder.mkdir(parents=True)
        (folder / "name").write_text(name + "\n")
        (folder / "max_energy_range_uj").write_text("262143328850\n")
        (folder / "energy_uj").write_text(f"{energy_uj}\n")
        self.draws_uj[place] = draws_uj
        return self

    def limit(self, place: str, *limits_uw: int) -> "Tree":
        for number, limit_uw in enumerate(limits_uw):
            (self.root / place / f"constraint_{number}_power_limit_uw").write_text(f"{limit_uw}\n")
        return self

    def wait(self, _seconds: float = 0) -> None:
        for place, draws_uj in self.draws_uj.items():
            path = self.root / place / "energy_uj"
            path.write_text(f"{int(path.read_text()) + draws_uj}\n")

    def find(self) -> rapl.Rapl:
        return rapl.find(self.root, self.wait)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "powercap")


def keys(found: rapl.Rapl) -> list[str]:
    return [device.key for device in found.devices]


def test_packages_and_their_memory_are_metered(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0", 10).zone("intel-rapl:0:0", "core").zone(
        "intel-rapl:0:1", "dram", 20
    )
    tree.zone("intel-rapl:1", "package-1", 3_000_000_000).zone("intel-rapl:1:0", "dram", 4_000_000_000)
    found = tree.limit("intel-rapl:0", 150_000_000, 180_000_000).find()
    assert keys(found) == ["rapl:package-0", "rapl:package-0/dram", "rapl:package-1", "rapl:package-1/dram"]
    assert {device.component for device in found.devices} == {"cpu", "dram"}
    assert found.devices[0].limit_w == 180
    assert found.devices[0].range_uj == 262143328850
    assert found.read()["rapl:package-0/dram"] == 20 + 5_000_000


def test_absent_rapl_says_so(tmp_path: Path) -> None:
    found = rapl.find(tmp_path / "none")
    assert found.zones == ()
    assert "does not exist" in found.notes[0]


def test_counter_that_reads_zero_is_left_out(tree: Tree) -> None:
    found = tree.zone("intel-rapl:0", "package-0", energy_uj=0, draws_uj=0).find()
    assert found.zones == ()
    assert "stands still at 0 uJ" in found.notes[0]


def test_one_dead_package_leaves_out_all_since_a_part_is_not_the_whole(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0").zone("intel-rapl:1", "package-1", energy_uj=7, draws_uj=0)
    tree.zone("intel-rapl:0:0", "dram")
    assert keys(tree.find()) == ["rapl:package-0/dram"]


def test_dead_memory_zone_leaves_the_packages_alone(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0").zone("intel-rapl:0:0", "dram", energy_uj=0, draws_uj=0)
    assert keys(tree.find()) == ["rapl:package-0"]


def test_mirrored_die_is_counted_once(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0-die-0", 9_000_000_000).zone(
        "intel-rapl:1", "package-0-die-1", 9_000_000_000
    )
    found = tree.find()
    assert keys(found) == ["rapl:package-0-die-0"]
    assert "repeats the counter of package-0-die-0" in found.notes[0]


def test_mirrored_die_that_is_shown_a_moment_later_is_counted_once(tree: Tree) -> None:
    one, two = "intel-rapl:0", "intel-rapl:1"
    tree.zone(one, "package-0-die-0", 9_000_000_000).zone(two, "package-0-die-1", 9_000_000_000)
    moves = iter([dict.fromkeys((one, two), 5_000_000), *[{two: 5_000_000}, {one: 5_000_000}] * 3])

    def wait(_seconds: float) -> None:
        tree.draws_uj = next(moves)
        tree.wait()

    assert keys(rapl.find(tree.root, wait)) == ["rapl:package-0-die-0"]


def test_counters_that_are_near_but_their_own_all_count(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0", 1_000_000).zone("intel-rapl:1", "package-1", 2_000_000)
    assert keys(tree.find()) == ["rapl:package-0", "rapl:package-1"]


def test_dies_with_counters_of_their_own_all_count(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0-die-0", 9_000_000_000).zone(
        "intel-rapl:1", "package-0-die-1", 8_000_000_000
    )
    assert keys(tree.find()) == ["rapl:package-0-die-0", "rapl:package-0-die-1"]


def test_other_views_of_a_package_are_not_added_to_it(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0", 10).zone("intel-rapl:1", "psys", 99_000_000_000)
    tree.zone("intel-rapl-mmio:0", "package-0", 11)
    found = tree.find()
    assert keys(found) == ["rapl:package-0"]
    assert any("psys" in note for note in found.notes)
    assert any("mmio" in note for note in found.notes)


def test_zones_within_zones_are_found_and_each_counts_once(tree: Tree) -> None:
    tree.zone("intel-rapl/intel-rapl:0", "package-0").zone("intel-rapl/intel-rapl:0/intel-rapl:0:0", "dram")
    (tree.root / "intel-rapl:0").symlink_to(tree.root / "intel-rapl" / "intel-rapl:0")
    assert keys(tree.find()) == ["rapl:package-0", "rapl:package-0/dram"]


def test_zones_of_one_name_do_not_hide_each_other(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0", 10).zone("intel-rapl:1", "package-0", 9_000_000_000)
    found = tree.find()
    assert keys(found) == ["rapl:package-0", "rapl:package-0@intel-rapl:1"]
    assert len(found.read()) == 2


def test_zones_that_a_container_hides_are_told(tree: Tree) -> None:
    (tree.root / "intel-rapl:0").symlink_to(tree.root / "masked")
    found = tree.find()
    assert found.zones == ()
    assert "intel-rapl:0 left out: it has no name here" in found.notes[0]


@pytest.mark.parametrize("nonsense", ["", "many", "-5", "1e9", "\xff\x00"])
def test_range_and_limit_that_hold_no_number_are_not_known(tree: Tree, nonsense: str) -> None:
    tree.zone("intel-rapl:0", "package-0").limit("intel-rapl:0", 0)
    for name in ("max_energy_range_uj", "constraint_0_power_limit_uw"):
        (tree.root / "intel-rapl:0" / name).write_text(nonsense, encoding="latin-1")
    [device] = tree.find().devices
    assert (device.range_uj, device.limit_w) == (0, rapl.PACKAGE_LIMIT_W)


def test_zone_that_vanishes_is_left_out_of_the_reading(tree: Tree) -> None:
    found = tree.zone("intel-rapl:0", "package-0").zone("intel-rapl:0:0", "dram").find()
    (tree.root / "intel-rapl:0:0" / "energy_uj").unlink()
    assert list(found.read()) == ["rapl:package-0"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_counter_that_only_root_may_read_says_so(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0")
    (tree.root / "intel-rapl:0" / "energy_uj").chmod(0o400)
    found = as_nobody(lambda: "\n".join(rapl.find(tree.root, lambda _: None).notes), tree.root)
    assert "package-0 cannot be read: only root may read it" in found


def as_nobody(call: Callable[[], str], folder: Path) -> str:
    """What the call returns in a child process that is nobody (uid 65534)."""
    for parent in (folder, *folder.parents[:4]):
        parent.chmod(parent.stat().st_mode | 0o055)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setresuid(65534, 65534, 65534)
            os.write(write, call().encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with open(read) as file:
        return file.read()


def test_host_without_rapl_is_modelled_and_says_so(tmp_path: Path) -> None:
    bench = Bench(CpuTimes(tmp_path), Clock(), 10, powercap=tmp_path / "none")
    reading, header = bench.read("tick"), bench.header()
    assert list(reading.energy_uj) == ["cpu-model"]
    assert header.devices[-1].how == "modelled"
    assert any("does not exist" in note for note in header.notes)


def test_host_with_rapl_is_not_modelled(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0")
    bench = Bench(CpuTimes(tree.root), Clock(), 10, powercap=tree.root, wait=tree.wait)
    assert list(bench.read("tick").energy_uj) == ["rapl:package-0"]
    assert [device.key for device in bench.header().devices] == ["rapl:package-0"]


def test_powercap_folder_is_the_kernels_unless_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rapl.powercap_root() == Path("/sys/class/powercap")
    monkeypatch.setenv("TIDEWATT_POWERCAP", "/tmp/tree")
    assert rapl.powercap_root() == Path("/tmp/tree")


def test_meter_needs_neither_numpy_nor_pandas() -> None:
    code = "import sys, tidewatt.backends.meters.process as _; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert not {"numpy", "pandas", "pydantic", "sqlalchemy", "sklearn"} & set(loaded.stdout.split())
