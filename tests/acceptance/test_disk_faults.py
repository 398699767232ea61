"""Disks that are full or fail, at each call that writes: no job is lost, none runs twice, latest starts hold.

`TIDEWATT_SOAK_DISK=1` tries every call of daemon, supervisor and meter; else a few are drawn.
"""

import errno
import os
import random
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.failing_house import EVERY, REPLAY, SOAK, FailingHouse, quiet
from tests.disk.call_sites import CallSite, faults, told
from tests.disk.library import preloaded

DRAWN = 4
OURS = ("daemon", "supervisor", "meter")
STORE = CallSite("daemon", "any", "tidewatt.db-wal")
FILES = CallSite("daemon", "any", "jobs/[0-9]*/[0-9]*")
OUTAGES = [
    pytest.param(STORE, errno.EIO, id="store-fails"),
    pytest.param(STORE, errno.ENOSPC, id="store-full"),
    pytest.param(FILES, errno.ENOSPC, id="attempts-full"),
    pytest.param(FILES, errno.EIO, id="attempts-fail"),
]


@pytest.fixture
def failing(house: Any, require_engine: Callable[[str], None], tmp_path: Path) -> FailingHouse:
    require_engine("gcc")
    return FailingHouse(house, preloaded(tmp_path))


def test_each_call_that_writes_may_fail_once_and_no_job_is_lost(failing: FailingHouse) -> None:
    failing.house.up("--zone", "DE")
    daemon, counts = failing.house.daemon_pid(), Counter[str]()
    failing.sites()
    numbers = [failing.submit()]
    failing.ended(numbers[0])
    for site, number in drawn(faults(failing.sites(*OURS)), DRAWN):
        failing.fails(site, number)
        numbers.append(failing.submit())
        job = failing.ended(numbers[-1])
        assert job["state"] == "done", (told(site, number), job["reason"])
        assert failing.runs().count(numbers[-1]) == 1, told(site, number)
        counts["failed" if failing.mended() else "not reached"] += 1
        assert failing.house.daemon_pid() == daemon, told(site, number)
    print(f"calls at work that failed once: {dict(counts)}; jobs: {len(numbers)}")
    assert counts["failed"] > 0
    assert max(Counter(failing.runs()).values()) == 1
    assert failing.house.tidewatt("down").returncode == 0
    assert failing.sound()


@SOAK
def test_start_that_fails_says_so_and_the_next_one_works(failing: FailingHouse) -> None:
    failing.house.up("--zone", "DE")
    failing.ended(failing.submit())
    counts = Counter[str]()
    starting = [site for site in failing.sites("other", *OURS) if not site.pattern.startswith("jobs/")]
    for site, number in faults(starting):
        failing.fresh()
        failing.fails(site, number)
        done = failing.house.tidewatt("up", "--zone", "DE")
        failed = failing.mended()
        counts["not reached" if not failed else "told" if done.returncode else "started all the same"] += 1
        assert "Traceback" not in done.stderr, told(site, number)
        assert "Error(" not in done.stderr, told(site, number)
        assert failing.house.tidewatt("up", "--zone", "DE").returncode == 0, told(site, number)
        assert failing.ended(failing.submit())["state"] == "done", told(site, number)
        assert failing.sound()
    print(f"starts with a call that failed once: {dict(counts)}")


@SOAK
@pytest.mark.parametrize(("site", "number"), OUTAGES)
def test_latest_start_that_came_while_nothing_could_be_written_is_made_up_for_at_once(
    failing: FailingHouse, site: CallSite, number: int
) -> None:
    failing.replays()
    daemon, job = failing.house.daemon_pid(), failing.submit_to_wait(minutes=30)
    failing.fails(site, number, "always")
    event = "guard.failed" if site is STORE else "attempt.not_launched"
    failing.house.until(lambda: failing.lines(event))
    quiet(1.5)
    assert failing.runs() == []
    assert failing.house.client().status()["pid"] == daemon  # nothing restarts again and again
    failing.mended()
    failing.house.until(failing.runs, within_s=10)
    assert failing.ended(job)["state"] == "done"
    assert failing.runs() == [job]


@pytest.fixture
def small_disk(house: Any) -> Iterator[Path]:
    """The state folder on a file system of 24 MiB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "none", str(house.home)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield house.home
    house.close()
    subprocess.run(["umount", "-l", str(house.home)], check=True)


def test_latest_start_holds_on_a_disk_that_is_really_full(small_disk: Path, failing: FailingHouse) -> None:
    failing.replays()
    job = failing.submit_to_wait(minutes=30, then="sleep 8")
    fill(small_disk)
    assert "No space" in failing.house.tidewatt("submit", "--", "true").stderr
    failing.house.until(failing.runs)  # while nobody else can write a byte
    fill(small_disk)
    failing.house.kill_daemon()
    failing.house.up(*REPLAY)  # what starts again and again gets nowhere: this one does
    daemon = failing.house.daemon_pid()
    (small_disk / "filler").unlink()
    assert failing.ended(job)["state"] == "done"
    assert failing.runs() == [job]
    assert failing.ended(failing.submit())["state"] == "done"
    assert failing.house.daemon_pid() == daemon


def fill(disk: Path) -> None:
    """Takes every block that there is."""
    with (disk / "filler").open("ab", buffering=0) as filler:
        while filled(filler.fileno()):
            continue


def filled(descriptor: int) -> bool:
    """Fills the disk up by one block; False once there is none."""
    try:
        return os.write(descriptor, bytes(4096)) > 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False


def drawn(found: list[tuple[CallSite, int]], count: int) -> list[tuple[CallSite, int]]:
    """All of them in a soak, else a few."""
    assert len(found) > count
    return found if EVERY else random.Random(23).sample(found, count)
