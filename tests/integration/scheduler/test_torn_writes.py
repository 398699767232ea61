"""Power cuts in the middle of writes: of what was acknowledged nothing is missing, whatever the disk kept.

`TIDEWATT_SOAK_TORN` is the number of disks to look at; `make soak` looks at 1,000.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.disk import power_cut
from tests.disk.library import preloaded
from tests.disk.power_cut import Disk, Entry
from tests.disk.writer import SAID
from tests.unit.scheduler.test_store import job
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.paths import Paths, mark
from tidewatt.scheduler.proof.chain import START, link, seal
from tidewatt.scheduler.store import Store

IMAGES = int(os.environ.get("TIDEWATT_SOAK_TORN", "40"))
JOBS = max(24, IMAGES // 5)
ROOT = Path(__file__).parents[3]
WAYS: Mapping[str, Callable[[random.Random], power_cut.Kept]] = {
    "cut at a sector": lambda chance: power_cut.cut(chance, power_cut.SECTOR),
    "cut at any byte": lambda chance: power_cut.cut(chance, 1),
    "sectors in any order": power_cut.scattered,
    "nothing that was not synced": lambda _: power_cut.nothing,
}


@dataclass(slots=True)
class Told:
    """What had been acknowledged by some moment: of each job the length of the variable that it keeps."""

    jobs: dict[int, int] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)
    mark: str = ""

    def heard(self, line: str) -> None:
        """One more line of what the writer said."""
        what, *words = line.split()
        match what:
            case "submitted":
                self.jobs[int(words[0])] = int(words[1])
            case "cancelled":
                self.cancelled.add(int(words[0]))
            case "mark":
                self.mark = words[0]


@dataclass(frozen=True, slots=True)
class Log:
    """All that was written, in order; `root` is the home's inode, `said` that of what was acknowledged."""

    root: int
    entries: tuple[Entry, ...]
    said: str
    begins: int
    home: Path

    def told(self, entry: Entry) -> str:
        """What is acknowledged by this entry; "" for all others."""
        return entry.data.decode() if entry.what == "W" and entry.words[0] == self.said else ""


@pytest.fixture(scope="module")
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: the disks here are made up, and need not be waited for."""
    shared = Path("/dev/shm")
    usable = shared.is_dir() and os.access(shared, os.W_OK)
    with tempfile.TemporaryDirectory(prefix="tw-", dir=shared if usable else None) as folder:
        yield Path(folder)


@pytest.fixture
def image(memory: Path) -> Iterator[Path]:
    """Where a disk is made."""
    yield memory / "image"
    shutil.rmtree(memory / "image", ignore_errors=True)


@pytest.fixture(scope="module")
def written(require_engine: Callable[[str], None], memory: Path) -> Callable[..., Log]:
    require_engine("gcc")
    library = preloaded(memory)

    def write(*args: str) -> Log:
        home = memory / f"written-{args[0]}" / "home"
        home.mkdir(mode=0o700, parents=True)
        log = home.parent / "log"
        told = {"DISK_LOG": str(log), "LD_PRELOAD": str(library), "TIDEWATT_HOME": str(home)}
        command = [sys.executable, "-m", "tests.disk.writer", *args]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **told}, capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, done.stderr
        entries = tuple(power_cut.entries(log.read_bytes()))
        begins = next((n for n, each in enumerate(entries) if _makes(each, SAID)), 0)
        said = entries[begins].words[1] if begins else ""
        return Log(home.stat().st_ino, entries, said, begins + 1, home)

    return write


@pytest.fixture(scope="module")
def worked(written: Callable[..., Log]) -> Log:
    return written(str(JOBS), "7")


def test_log_holds_every_write(worked: Log, image: Path) -> None:
    disk = Disk(worked.root)
    for entry in worked.entries:
        disk.took(entry)
    disk.save(image, random.Random(5), power_cut.everything)
    assert files(image) == files(worked.home)
    assert f"jobs/{JOBS}" in files(image)


def test_no_acknowledged_job_is_missing_after_a_power_cut(worked: Log, image: Path) -> None:
    chance, counts = random.Random(11), Counter[str]()
    for disk, told in cuts(worked, chance, IMAGES):
        way = chance.choice(list(WAYS))
        assert found(disk, image, chance, WAYS[way](chance), told) == [], (way, len(told.jobs))
        counts[way] += 1
        counts["jobs looked for"] += len(told.jobs)
    print(f"disks after power cuts: {dict(counts)}")
    assert sum(counts[way] for way in WAYS) == IMAGES


def test_disk_that_lies_about_its_syncs_loses_jobs_and_this_is_seen(worked: Log, image: Path) -> None:
    chance = random.Random(13)
    missing = []
    for disk, told in cuts(worked, chance, 6, heeds=False):
        missing += found(disk, image, chance, power_cut.scattered(chance), told)
    assert missing


def test_store_whose_making_was_interrupted_is_made_again(written: Callable[..., Log], image: Path) -> None:
    log, chance = written("first"), random.Random(17)
    for disk, told in cuts(log, chance, max(4, IMAGES // 20)):
        way = chance.choice(list(WAYS.values()))
        assert found(disk, image, chance, way(chance), told) == []


def files(folder: Path) -> dict[str, bytes | None]:
    """What is below a folder, by name; None for folders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def cuts(log: Log, chance: random.Random, count: int, *, heeds: bool = True) -> Iterator[tuple[Disk, Told]]:
    """The disk at random moments, and what had been acknowledged by then; later ones build on earlier."""
    moments = Counter(chance.choices(range(log.begins, len(log.entries)), k=count))
    disk, told = Disk(log.root, heeds=heeds), Told()
    for place, entry in enumerate(log.entries):
        for _ in range(moments[place]):
            yield disk, told
        disk.took(entry)
        for line in log.told(entry).splitlines():
            told.heard(line)


def found(disk: Disk, home: Path, chance: random.Random, kept: power_cut.Kept, told: Told) -> list[str]:
    """What is wrong with the state folder that the power cut left; the store is opened as by a daemon."""
    shutil.rmtree(home, ignore_errors=True)
    disk.save(home, chance, kept)
    try:
        store = Store(home / "tidewatt.db")
    except Exception as error:
        return [f"cannot be opened: {error!r}"]
    try:
        return [*_store_faults(store), *_losses(store, home, told)]
    except Exception as error:
        return [f"cannot be read: {error!r}"]
    finally:
        store.close()


def _store_faults(store: Store) -> Iterator[str]:
    with store._engine.connect() as connection:
        for pragma, right in (("integrity_check", [("ok",)]), ("foreign_key_check", [])):
            if (rows := [tuple(row) for row in connection.execute(sa.text(f"pragma {pragma}"))]) != right:
                yield f"{pragma}: {rows}"
    last, tip = 0, START
    for event in store.chain(0):
        tip = link(tip, seal({name: value for name, value in event.items() if name != "hash"}))
        if event["seq"] != last + 1 or event["hash"] != tip:
            yield f"the chain is broken at event {event['seq']}"
        last = event["seq"]


def _losses(store: Store, home: Path, told: Told) -> Iterator[str]:
    stored = {each.id: each for each in store.jobs()}
    submitted = [event["job_id"] for event in store.events() if event["kind"] == "submitted"]
    if sorted(stored) != submitted:
        yield f"jobs {sorted(stored)} and their submissions {submitted} differ"
    over = {number for number, each in stored.items() if each.state is JobState.CANCELLED or each.stopping}
    for number, length in told.jobs.items():
        if number not in stored:
            yield f"job {number} is missing"
        elif length and number not in over and _word(home, number) != "x" * length:
            yield f"the environment of job {number} is missing"
    yield from (f"job {number} is not cancelled" for number in told.cancelled & (stored.keys() - over))
    if told.mark and mark(Paths(home, home)) != told.mark:
        yield "the folder has another mark"
    with store.transaction() as transaction:
        number = transaction.add_job(job())
    if number <= max(told.jobs, default=0):
        yield f"the number {number} was given again"


def _word(home: Path, number: int) -> str:
    try:
        content = json.loads((home / "jobs" / str(number) / "env.json").read_text())
    except (OSError, ValueError):
        return ""
    return str(content["WORD"])


def _makes(entry: Entry, name: str) -> bool:
    return entry.what == "C" and entry.words[2] == name
