"""A day of many short jobs on two clusters, with everything that happens to jobs on such days."""

import csv
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.slurm.cluster import NODE_W, Clusters
from tidewatt.backends.meters.energy import usage
from tidewatt.scheduler.errors import SchedulerError

ROOT = Path(__file__).resolve().parents[2]
GRID = ROOT / "configs" / "examples" / "grid_california_2days.csv"
SCRIPT = Path(__file__).with_name("train.sh")
START = datetime.fromisoformat("2019-09-15T12:00:00+00:00")
FACTOR = 120
STEPS = 24  # six seconds, a fifth of an hour of the replay
ZONES = {"eu": "WT:SGIP_CAISO_PGE", "us": "WT:SGIP_CAISO_SCE"}
CONFIG = """
zone = "WT:SGIP_CAISO_PGE"
signal = "marginal"
grace_s = 3.0
[[source]]
type = "file"
path = "{grid}"
[[region]]
name = "eu"
backend = "slurm"
options = {{ cluster = "eu", timeout_s = 30 }}
zone = "WT:SGIP_CAISO_PGE"
cpus = 16
home = true
[[region]]
name = "us"
backend = "slurm"
options = {{ cluster = "us", timeout_s = 30 }}
zone = "WT:SGIP_CAISO_SCE"
cpus = 16
"""
OVER = ("done", "failed", "cancelled")


@dataclass
class Day:
    """Submits, disturbs and counts; `house` is a daemon's."""

    house: Any
    clusters: Clusters
    jobs: int
    seed: int = 1
    numbers: list[int] = field(default_factory=list)
    cancelled: set[int] = field(default_factory=set)
    paused: set[int] = field(default_factory=set)
    moved: set[int] = field(default_factory=set)

    def begin(self) -> None:
        """A daemon on the replayed day."""
        self.house.up(
            "--replay-from",
            START.isoformat(),
            "--replay-factor",
            str(FACTOR),
            config=CONFIG.format(grid=GRID),
        )

    def pass_by(self) -> None:
        """Submits job after job; meanwhile some are cancelled, moved, paused, and a controller is killed."""
        dice = random.Random(self.seed)
        for index in range(self.jobs):
            self._submit(index + 1, dice)
            if index % 10 == 6:
                self._cancel(self.numbers[index - 5])
            if index % 10 == 7:
                self._move(self.numbers[index - 5])
            if index == self.jobs // 2:
                self._replace_controller()
            self._interrupt_some()
        ends = time.monotonic() + 300 + 3 * self.jobs
        while left := self.house.client().jobs(("waiting", "held", "running", "paused"), 1000):
            assert time.monotonic() < ends, [job["id"] for job in left]
            self._interrupt_some()
            time.sleep(0.1)

    def _submit(self, number: int, dice: random.Random) -> None:
        """A job with a deadline of its own; every fourth may be paused."""
        client = self.house.client()
        request = {
            "argv": [str(SCRIPT), str(self.evidence(number)), str(STEPS)],
            "cwd": str(self.house.work),
            "duration_s": 840,
            "finish_by": (_now(client) + timedelta(hours=dice.choice((4, 5, 6)))).isoformat(),
        }
        if number % 4 == 1:
            request["pausing"] = {"file": f"saved-{number}", "exit_codes": [85], "grace_s": 5}
        self.numbers.append(client.submit(request)["job"]["id"])

    def _cancel(self, number: int) -> None:
        with suppress(SchedulerError):  # it has ended
            self.house.client().act(str(number), "cancel")
            self.cancelled.add(number)

    def _move(self, number: int) -> None:
        client = self.house.client()
        with suppress(SchedulerError):  # it has started
            client.update(str(number), {"finish_by": (_now(client) + timedelta(hours=2)).isoformat()})
            self.moved.add(number)

    def _replace_controller(self) -> None:
        self.clusters.await_save("us")
        self.clusters.kill_controller("us")
        self.clusters.start_controller("us")

    def evidence(self, number: int) -> Path:
        """What a job itself tells of its run."""
        return Path(self.house.folder / f"{number}.told")

    def _goes_on(self, number: int) -> bool:
        file = self.evidence(number)
        return file.exists() and "step" in file.read_text()

    def _interrupt_some(self) -> None:
        for job in self.house.client().jobs(("running", "paused"), 1000):
            self._interrupt(job, set(self.numbers[::4]))

    def _interrupt(self, job: Any, wanted: set[int]) -> None:
        """Pauses it once where that is wanted, and lets it go on when it is paused."""
        number, client = job["id"], self.house.client()
        if job["state"] == "paused":
            client.act(str(number), "resume")
        elif job["state"] == "running" and number in wanted - self.paused and self._goes_on(number):
            self.paused.add(number)
            with suppress(SchedulerError):  # it has just ended
                client.pause(str(number), {"mode": "checkpoint"})

    def all(self) -> list[Any]:
        """All jobs as the daemon shows them."""
        return [self.house.client().job(str(number)) for number in self.numbers]

    def words(self, number: int) -> Iterator[list[str]]:
        """The lines of a job's evidence."""
        file = self.evidence(number)
        yield from (line.split() for line in file.read_text().splitlines()) if file.exists() else ()

    def begun(self, number: int) -> Counter[str]:
        """How often each attempt began, as its job tells it."""
        return Counter(line[1] for line in self.words(number) if line[0] == "begin")

    def steps(self, number: int) -> list[int]:
        """Every step that was done, in order."""
        return [int(line[2]) for line in self.words(number) if line[0] == "step"]

    def taken_away(self) -> set[int]:
        """Jobs of which Slurm ended an attempt."""
        return {
            job["id"]
            for job in self.all()
            if any("Slurm" in attempt["reason"] for attempt in job["attempts"])
        }

    def intensities(self) -> list[tuple[float, float, float]]:
        """Of each job: g/kWh there and then, at home when it was submitted, and elsewhere then."""
        grid, found = _observed(), []
        for job in self.all():
            first = next((each for each in job["attempts"] if each["started"]), None)
            if job["state"] == "done" and first is not None:
                began, asked = (
                    datetime.fromisoformat(first["started"]),
                    datetime.fromisoformat(job["submitted"]),
                )
                other = "us" if first["region"] == "eu" else "eu"
                found.append((grid(first["region"], began), grid("eu", asked), grid(other, began)))
        return found

    def energies(self) -> list[tuple[float, float]]:
        """Joules of each attempt that ended by itself: as told by Slurm, and as its node's counter ran."""
        found = []
        for job in map(self.house.job, self.numbers):
            for attempt in job["attempts"]:
                folder = self.house.home / "jobs" / str(job["id"]) / attempt["attempt_id"].partition(".")[2]
                if not attempt["started"] or not attempt["ended"] or not (folder / "readings").is_dir():
                    continue
                start, end = (
                    round(datetime.fromisoformat(attempt[key]).timestamp() * 1000)
                    for key in ("started", "ended")
                )
                used = usage(folder / "readings", attempt["attempt_id"], (), start, end)
                told_j = sum(span.active_uj + span.idle_uj for span in used.spans) / 1e6
                found.append((told_j, NODE_W * (end - start) / 1000 / FACTOR))
        return found


def _now(client: Any) -> datetime:
    return datetime.fromisoformat(client.status()["now"])


def _observed() -> Callable[[str, datetime], float]:
    """Observed g/kWh of a region, as the mean over a job's quarter of an hour from a moment on."""
    series: dict[str, dict[datetime, float]] = {}
    with GRID.open(encoding="utf-8") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            if not row["issued_at"]:
                at = datetime.fromisoformat(row["start"])
                series.setdefault(row["zone"], {})[at] = float(row["gco2_per_kwh"])

    def mean(region: str, at: datetime) -> float:
        first = at.replace(minute=at.minute - at.minute % 5, second=0, microsecond=0)
        return sum(series[ZONES[region]][first + timedelta(minutes=5 * step)] for step in range(4)) / 4

    return mean
