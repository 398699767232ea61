"""A house on a disk that fails on demand, and jobs that write down themselves that they ran."""

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.disk.call_sites import CallSite, came, ordered, recorded
from tidewatt.scheduler.client import Json
from tidewatt.scheduler.errors import SchedulerError

EVERY = os.environ.get("TIDEWATT_SOAK_DISK", "") not in ("", "0")
SOAK = pytest.mark.skipif(not EVERY, reason="takes minutes: `make soak` sets TIDEWATT_SOAK_DISK=1")
OVER = {"done", "failed", "cancelled"}
CONFIG = 'zone = "DE"\nmargin = "5m"\nmin_wait = "0s"\n[[source]]\ntype = "file"\npath = "grid.csv"\n'
FACTOR = 360  # of the replay in which jobs wait for their latest start
REPLAY = ("--replay-from", "2022-06-15T00:00Z", "--replay-factor", str(FACTOR), "--hindsight")
_HEADER = "zone,start,step_s,gco2_per_kwh,signal,basis,boundary\n"
_TRIES = 4  # a fault comes once: whoever tries again gets through


class FailingHouse:
    """`control` orders faults; `evidence` lies on a disk that never fails."""

    def __init__(self, house: Any, library: Path) -> None:
        self.house = house
        self.control: Path = house.folder / "control"
        self.evidence: Path = house.folder / "evidence"
        self._sites: Path = house.folder / "sites"
        self.url = ""  # of its database, where it is not a file
        house.environ |= {
            "LD_PRELOAD": str(library), "DISK_CONTROL": str(self.control), "DISK_SITES": str(self._sites),
        }  # fmt: skip

    def sites(self, *processes: str) -> list[CallSite]:
        """What these kinds of processes have written since the last time."""
        lines = self._sites.read_text().splitlines() if self._sites.exists() else []
        self._sites.unlink(missing_ok=True)
        return [each for each in recorded(lines) if each.process in processes]

    def submit(self, **more: Any) -> int:
        """Hands a job over until it is taken; the daemon refuses it at most so often, and says why."""
        refusals: list[str] = []
        while len(refusals) < _TRIES:
            try:
                return int(self.asked(**more)["job"]["id"])
            except SchedulerError as error:
                refusals.append(str(error))
        raise AssertionError(f"refused again and again: {refusals}")

    def asked(self, key: str | None = None, **more: Any) -> Json:
        """The answer to one submission."""
        request = {"argv": ["sh", "-c", self.script()], "cwd": str(self.house.work), "env": {"WORD": "x"}}
        return self.house.client().submit(request | more, key)  # type: ignore[no-any-return]

    def script(self, then: str = "true") -> str:
        """What a job runs: it says that it did, then does the rest."""
        return f"echo $TIDEWATT_JOB_ID >> {self.evidence}; {then}"

    def ended(self, number: int, within_s: float = 60.0) -> Json:
        """The job, once it is over."""
        look = lambda: found if (found := self._job(number))["state"] in OVER else None  # noqa: E731
        return self.house.until(look, within_s)  # type: ignore[no-any-return]

    def _job(self, number: int) -> Json:
        return self.house.client().job(str(number))  # type: ignore[no-any-return]

    def runs(self) -> list[int]:
        """Numbers of the jobs that ran, each as often as it did."""
        text = self.evidence.read_text() if self.evidence.exists() else ""
        return [int(line) for line in text.split()]

    def fails(self, site: CallSite, number: int, times: str = "once") -> None:
        """Has calls fail from now on."""
        ordered(self.control, site.order(number, times))

    def mended(self) -> bool:
        """Nothing fails any more; whether a call had failed once."""
        return came(self.control)

    def sound(self) -> bool:
        """Whether the store's file is."""
        with closing(sqlite3.connect(self.house.home / "tidewatt.db")) as connection:
            return bool(connection.execute("pragma integrity_check").fetchone() == ("ok",))

    def replays(self, config: str = "") -> None:
        """Starts the daemon on a day on which each quarter of an hour is cleaner than the one before."""
        kind = "900,{:.0f},average,lifecycle,production"
        rows = [
            f"DE,2022-06-15T{n // 4:02}:{n % 4 * 15:02}:00+00:00,{kind.format(20 + 900 * 0.9**n)}"
            for n in range(96)
        ]
        (self.house.folder / "grid.csv").write_text(_HEADER + "\n".join(rows) + "\n")
        self.house.up(*REPLAY, config=config + CONFIG)

    def submit_to_wait(self, minutes: int, then: str = "true") -> int:
        """A job that waits for its latest start, so many replayed minutes from now."""
        args = ("--duration", "5m", "--start-by", f"{minutes}m", "--no-env")
        return int(self.house.ask("submit", *args, "--", "sh", "-c", self.script(then))["job"]["id"])

    def lines(self, event: str) -> int:
        """How often the daemon's log tells of something; a full disk cuts its lines anywhere."""
        return int(self.house.log().count(f'"event": "{event}"'))

    def fresh(self) -> None:
        """An empty state folder, and nobody in it."""
        self.house.close()
        shutil.rmtree(self.house.home, ignore_errors=True)
        self.house.home.mkdir(mode=0o700)
        self.evidence.unlink(missing_ok=True)
        self._sites.unlink(missing_ok=True)


def quiet(seconds: float) -> None:
    """Lets real time pass in which something must not happen."""
    time.sleep(seconds)
