"""Cgroups of both versions: in folders that look like them, and real ones where they may be made."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidewatt.backends import cgroup
from tidewatt.backends.cgroup import Cgroup

TICK = "import sys, time\nwhile True:\n    open(sys.argv[1], 'a').write('x')\n    time.sleep(0.01)"


@pytest.fixture
def unified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like one of version 2 with two controllers."""
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu memory\n")
    (tmp_path / "cgroup.subtree_control").write_text("cpu memory\n")
    monkeypatch.setattr(cgroup, "_places", lambda: {"": tmp_path})
    return tmp_path


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders like those of version 1."""
    places = {name: tmp_path / name for name in ("memory", "cpu", "freezer")}
    for place in places.values():
        place.mkdir()
    monkeypatch.setattr(cgroup, "_places", lambda: places)
    return tmp_path


def test_bounds_are_written_as_version_2_has_them(unified: Path) -> None:
    made, missing = cgroup.make("key", 100, 1.5)
    assert missing == ""
    assert made == Cgroup({"": unified / "tidewatt-key"})
    assert (unified / "tidewatt-key" / "memory.max").read_text() == str(100 << 20)
    assert (unified / "tidewatt-key" / "cpu.max").read_text() == "150000 100000"


def test_bounds_are_written_as_version_1_has_them(first: Path) -> None:
    made, missing = cgroup.make("key", 100, 0.5)
    assert missing == ""
    assert made is not None
    assert (first / "memory" / "tidewatt-key" / "memory.limit_in_bytes").read_text() == str(100 << 20)
    assert (first / "cpu" / "tidewatt-key" / "cpu.cfs_quota_us").read_text() == "50000"
    assert cgroup.find("key") == made


def test_version_2_without_a_controller_is_not_enough_for_a_bound_that_needs_it(unified: Path) -> None:
    (unified / "cgroup.controllers").write_text("hugetlb\n")
    made, missing = cgroup.make("key", 100, None)
    assert made is None
    assert missing.startswith("it is not held to its bounds on memory:")


def test_memory_that_ran_out_is_seen(first: Path) -> None:
    made, _ = cgroup.make("key", 100, None)
    assert made is not None
    events = first / "memory" / "tidewatt-key" / "memory.oom_control"
    events.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    assert not made.ran_out_of_memory()
    events.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert made.ran_out_of_memory()


@pytest.fixture
def ticking(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that writes all the time."""
    with subprocess.Popen([sys.executable, "-c", TICK, str(tmp_path / "ticks")]) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("name", ["", "freezer"])
def test_real_cgroup_freezes_and_lets_go_and_kills(
    name: str, tmp_path: Path, ticking: "subprocess.Popen[bytes]"
) -> None:
    place = cgroup._places().get(name)
    if place is None:
        pytest.skip("there is no such cgroup here that may be written to")
    group = Cgroup({name: place / f"tidewatt-{tmp_path.name[-12:]}-{ticking.pid}"})
    try:
        group.folders[name].mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error}")
    try:
        (group.folders[name] / "cgroup.procs").write_text(str(ticking.pid))
        assert group.members() == {ticking.pid}
        ticks = tmp_path / "ticks"
        wait_for(ticks, 1)
        assert group.freeze(True)
        size = ticks.stat().st_size
        time.sleep(0.1)
        assert ticks.stat().st_size == size
        assert group.freeze(False)
        wait_for(ticks, size + 1)
        if not group.kill():  # version 1 has no such thing
            ticking.kill()
        assert ticking.wait(10) == -9
    finally:
        group.freeze(False)
        ticking.kill()
        ticking.wait(10)
        group.remove()
    assert not group.folders[name].exists()


def wait_for(path: Path, size: int) -> None:
    deadline = time.monotonic() + 10
    while not path.exists() or path.stat().st_size < size:
        assert time.monotonic() < deadline
        time.sleep(0.01)
