"""Launches under fire: many short jobs, while processes of every sort are killed at random instants.

Each job writes down itself when it starts and ends. What the store says is held against that: a job is lost
where it was acknowledged and did not end, and doubled where it started twice though nobody asked for that.
"""

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

_digits = re.compile(r"\d+|/\S+")
ARRAY = 10  # jobs of one submit
AHEAD = 60  # jobs that wait at most: the rest is submitted when these have run
TENDED_S = 5.0  # an engine is looked after this often
JOB = """#!/bin/sh
# start JOB ATTEMPT, then end: one short write each, which no other can split
echo "start $TIDEWATT_JOB_ID $TIDEWATT_ATTEMPT" >>"$1"
sleep "$2"
echo "end $TIDEWATT_JOB_ID $TIDEWATT_ATTEMPT" >>"$1"
"""
SORTS = {
    "tidewatt.scheduler.daemon": "daemon",
    "tidewatt.backends.supervisor": "supervisor",
    "tidewatt.backends.meters.process": "meter",
    "sbatch": "engine client",
    "scontrol": "engine client",
    "squeue": "engine client",
    "sacct": "engine client",
    "scancel": "engine client",
}


@dataclass(slots=True)
class Losses:
    """What the fire did, in counts."""

    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: set[int] = field(default_factory=set)
    unanswered: int = 0  # submits that were killed or refused before they answered
    states: Counter[str] = field(default_factory=Counter)
    regions: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    lost: list[int] = field(default_factory=list)  # acknowledged and not there any more
    open: list[int] = field(default_factory=list)  # not ended when everything was calm again
    left: list[str] = field(default_factory=list)  # how these stand
    doubled: list[str] = field(default_factory=list)
    unstarted: list[int] = field(default_factory=list)  # done, says the store, but they never started
    failures: Counter[str] = field(default_factory=Counter)  # by their reasons
    refused: Counter[str] = field(default_factory=Counter)  # by an engine for good, by its words
    cut: int = 0  # started and never ended by themselves: cancelled, or ended with their node

    def __str__(self) -> str:
        """One line for each count."""
        kills = ", ".join(f"{number} {sort}" for sort, number in sorted(self.kills.items()))
        states = ", ".join(f"{number} {state}" for state, number in sorted(self.states.items()))
        regions = ", ".join(f"{number} in {region}" for region, number in sorted(self.regions.items()))
        return (
            f"kills: {self.kills.total()} ({kills})\n"
            f"jobs acknowledged: {len(self.acknowledged)}; ended as: {states}; attempts: {self.attempts}"
            f" ({regions}); submits without an answer: {self.unanswered}\n"
            f"lost: {len(self.lost)}; doubled: {len(self.doubled)}; still open: {len(self.open)};"
            f" done but never started: {len(self.unstarted)}; cut short: {self.cut}"
            + "".join(f"\n  {number} failed: {reason}" for reason, number in self.failures.most_common())
            + "".join(f"\n  {number} refused: {words}" for words, number in self.refused.most_common())
            + "".join(f"\n  open: {line}" for line in self.left)
        )


class Fire:
    """So many jobs and kills in one house, repeatable by its seed as far as processes are.

    `places` are the regions, of which each submit asks for one; `hit` is called for each kill of an engine's
    own server, where there is one: it kills and brings it back; `tend` every few seconds, as one who looks
    after that engine would.
    """

    def __init__(
        self,
        house: Any,
        seed: int,
        jobs: int,
        kills: int,
        places: Sequence[str],
        hit: Callable[[], str] | None = None,
        tend: Callable[[], None] = lambda: None,
    ) -> None:
        self.house, self.places, self.hit, self.tend = house, tuple(places), hit, tend
        self.tended = time.monotonic()
        self.jobs, self.kills = jobs, kills
        self.random = random.Random(seed)
        self.losses = Losses()
        self.evidence = house.folder / "evidence"
        self.script = house.folder / "fire.sh"
        self.script.write_text(JOB)
        self.script.chmod(0o755)
        self.submits: list[subprocess.Popen[str]] = []
        self.waiting = 0

    def run(self) -> Losses:
        """Burns until all jobs are submitted and all kills done, then waits for what is left and compares."""
        next_kill = next_look = time.monotonic()
        while len(self.losses.acknowledged) < self.jobs or self.losses.kills.total() < self.kills:
            self._collect()
            now = time.monotonic()
            if now >= next_look:
                next_look = now + 1.0
                self._look()
            if len(self.submits) < 2 and self.waiting < AHEAD:
                self._submit()
            if self.losses.kills.total() < self.kills and now >= next_kill:
                self._kill()
                next_kill = now + self.random.uniform(0.0, 1.0)
            time.sleep(0.02)
        self._calm_down()
        self._compare()
        return self.losses

    def _submit(self) -> None:
        left = self.jobs - len(self.losses.acknowledged)
        seconds = f"{self.random.uniform(0.05, 1.0):.2f}"
        words = ["submit", "--json", "--region", self.random.choice(self.places), "--duration", "1m"]
        if self.random.random() < 0.3:
            words += ["--finish-by", f"{self.random.randint(4, 10)}m", "--late"]
        words += ["--array", f"0-{ARRAY - 1}"] if left > ARRAY else []
        words += ["--", str(self.script), str(self.evidence), seconds]
        self.submits.append(
            subprocess.Popen(
                [str(self.house.command), *words],
                cwd=self.house.work,
                env=self.house.environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        self.waiting += ARRAY

    def _collect(self) -> None:
        for process in [each for each in self.submits if each.poll() is not None]:
            self.submits.remove(process)
            output, _ = process.communicate()
            if process.returncode == 0:
                job = json.loads(output)["job"]
                self.losses.acknowledged.update(job["id"] + at for at in range(job["array_size"] or 1))
            else:
                self.losses.unanswered += 1

    def _look(self) -> None:
        """Looks after everything, and counts who waits."""
        self._keep_up()
        with suppress(Exception):  # it may be killed just now
            found = self.house.client().status()["jobs"]
            self.waiting = sum(found.get(state, 0) for state in ("waiting", "running"))
            if self.waiting and self.random.random() < 0.2:
                job = self.house.client().jobs(("waiting", "running"), limit=50)
                key = self.random.choice(job)["key"]
                self.house.tidewatt(self.random.choice(["cancel", "start"]), key)

    def _keep_up(self) -> None:
        """Starts the daemon again, as systemd would, and sees to the engine."""
        if "daemon" not in self._victims():
            self.house.tidewatt("up", *self.house.flags)
        if time.monotonic() - self.tended > TENDED_S:
            with suppress(AssertionError, subprocess.TimeoutExpired):  # it may be on its way up
                self.tend()
            self.tended = time.monotonic()

    def _victims(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {"cli": [each.pid for each in self.submits]}
        for sort, pid in self._sorted():
            found.setdefault(sort, []).append(pid)
        return {sort: pids for sort, pids in found.items() if pids}

    def _sorted(self) -> Iterator[tuple[str, int]]:
        """Processes of this house by their sort; a supervisor's own child that looks like it is a shim."""
        lines: dict[int, tuple[str, int]] = {}
        for process in self.house.processes():
            with suppress(psutil.Error):
                lines[process.pid] = (" ".join(process.cmdline()), process.ppid())
        for pid, (line, parent) in lines.items():
            sort = next((sort for words, sort in SORTS.items() if words in line), "")
            if sort == "supervisor" and lines.get(parent, ("", 0))[0] == line:
                sort = "shim"
            if sort and (sort != "engine client" or "tidewatt.backends" not in line):
                yield sort, pid

    def _kill(self) -> None:
        chance = self.random.random()
        if self.hit is not None and chance < 0.03:
            self.losses.kills[self.hit()] += 1
            return
        if chance > 0.85:
            self._kill_shim()
            return
        victims = self._victims()
        if not victims:
            return
        sort = self.random.choice(sorted(victims))
        with suppress(ProcessLookupError):
            os.kill(self.random.choice(victims[sort]), signal.SIGKILL)
            self.losses.kills[sort] += 1

    def _kill_shim(self) -> None:
        """Lies in wait for a process between supervisor and job, which lives for some milliseconds only."""
        stop = time.monotonic() + 2
        before = {pid for pid, _ in self._supervisors()}
        while time.monotonic() < stop:
            for pid, children in self._supervisors():
                if pid not in before and children:
                    time.sleep(self.random.uniform(0, 0.002))
                    with suppress(OSError):
                        still = b"backends.supervisor" in Path(f"/proc/{children[0]}/cmdline").read_bytes()
                        os.kill(children[0], signal.SIGKILL)
                        self.losses.kills["shim" if still else "job"] += 1
                        return

    def _supervisors(self) -> Iterator[tuple[int, list[int]]]:
        """Supervisors of this house with their children, straight from /proc: fast enough to catch a shim."""
        mark = str(self.house.home).encode()
        for name in os.listdir("/proc"):
            if not name.isdecimal():
                continue
            with suppress(OSError):
                line = Path(f"/proc/{name}/cmdline").read_bytes()
                if b"tidewatt.backends.supervisor" in line and mark in line:
                    children = Path(f"/proc/{name}/task/{name}/children").read_text().split()
                    yield int(name), [int(child) for child in children]

    def _calm_down(self) -> None:
        for process in self.submits:
            process.wait(60)
        self._collect()
        stop = time.monotonic() + 300
        while time.monotonic() < stop:
            self._keep_up()
            with suppress(Exception):
                if not self._jobs("waiting,held,running,paused"):
                    return
            time.sleep(0.5)

    def _jobs(self, states: str) -> list[Any]:
        found: list[Any] = []
        wanted = tuple(filter(None, states.split(",")))
        before = None
        while page := self.house.client().jobs(wanted, limit=1000, before=before):
            found += page
            before = page[-1]["id"]
        return found

    def _compare(self) -> None:
        losses, jobs = self.losses, {job["id"]: job for job in self._jobs("")}
        losses.states = Counter(job["state"] for job in jobs.values())
        losses.failures = Counter(
            _digits.sub("N", job["reason"])[:100] for job in jobs.values() if job["state"] == "failed"
        )
        with closing(sqlite3.connect(self.house.home / "tidewatt.db")) as store:
            refused = store.execute("select reason from event where kind = 'refused'").fetchall()
        losses.refused = Counter(_digits.sub("N", reason.split(";")[0])[:150] for (reason,) in refused)
        losses.lost = sorted(losses.acknowledged - jobs.keys())
        ended = {"done", "failed", "cancelled"}
        losses.open = sorted(number for number, job in jobs.items() if job["state"] not in ended)
        losses.left = [_standing(jobs[number]) for number in losses.open]
        lines = self.evidence.read_text().splitlines() if self.evidence.exists() else []
        starts = Counter(tuple(line.split()[1:]) for line in lines if line.startswith("start "))
        ends = {tuple(line.split()[1:]) for line in lines if line.startswith("end ")}
        losses.cut = len(starts.keys() - ends)
        losses.doubled = [f"attempt {attempt}" for (_, attempt), number in starts.items() if number > 1]
        begun: dict[int, list[str]] = {}
        for job_id, attempt in starts:
            begun.setdefault(int(job_id), []).append(attempt)
        for number, attempts in begun.items():
            # what was taken away may be tried again, and says so
            again = jobs[number]["retried"] if number in jobs else 0
            if len(attempts) > 1 + again:
                losses.doubled.append(f"job {number}: attempts {', '.join(sorted(attempts))}")
        losses.unstarted = sorted(
            number for number, job in jobs.items() if job["state"] == "done" and number not in begun
        )
        for job in jobs.values():
            losses.attempts += len(job["attempts"])
            losses.regions.update(each["region"] for each in job["attempts"] if each["started"])


def _standing(job: Any) -> str:
    attempts = "; ".join(
        f"{each['attempt_id']} {each['state']} in {each['region']}: {each['reason']}"
        for each in job["attempts"]
    )
    plan = job["plan"] and f"{job['plan']['region']} at {job['plan']['start']}"
    said = "; ".join(filter(None, (job["reason"], job["at_risk"], *job["warnings"])))
    return f"{job['id']} {job['state']}: {said}; planned: {plan}; attempts: {attempts or 'none'}"
