"""A scripted day of submits, holds, releases and cancels, in which processes are killed at random.

Some submits are arrays of which one task runs at a time, some start after other jobs, some are tried again.

The jobs write down themselves when they start and end and on which GPU, so that what the store says can
be held against what really happened.
"""

import json
import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

import psutil

from tidewatt.backends.meters.energy import gaps

FACTOR = 360  # a replayed day takes four minutes
JOB = """
import os, sys, time
def say(what):
    job, attempt = os.environ["TIDEWATT_JOB_ID"], os.environ["TIDEWATT_ATTEMPT"]
    line = " ".join([what, job, attempt, str(time.monotonic()), os.environ["CUDA_VISIBLE_DEVICES"] or "-"])
    with open(sys.argv[2], "a") as file:
        file.write(line + chr(10))
say("start")
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    sum(range(1000)); time.sleep(0.01)
say("end")
"""


@dataclass(slots=True)
class Counts:
    """What happened in the day."""

    kills: dict[str, int] = field(default_factory=dict)
    acknowledged: set[int] = field(default_factory=set)
    unanswered: int = 0  # commands that were killed or failed before they answered
    states: dict[str, int] = field(default_factory=dict)
    lost: list[int] = field(default_factory=list)
    twice: list[int] = field(default_factory=list)
    double_booked: list[str] = field(default_factory=list)
    too_early: list[str] = field(default_factory=list)  # before another job had ended that it was to wait for
    over_limit: list[str] = field(default_factory=list)  # tasks of one array at the same time
    unsettled: list[int] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """One line for each count."""
        kills = ", ".join(f"{number} {what}" for what, number in sorted(self.kills.items()))
        states = ", ".join(f"{number} {what}" for what, number in sorted(self.states.items()))
        return (
            f"kills: {sum(self.kills.values())} ({kills})\n"
            f"jobs acknowledged: {len(self.acknowledged)}; ended as: {states};"
            f" commands without an answer: {self.unanswered}\n"
            f"lost: {len(self.lost)}; run twice: {len(self.twice)};"
            f" GPU double-booked: {len(self.double_booked)};"
            f" too early: {len(self.too_early)}; over an array's limit: {len(self.over_limit)};"
            f" ended but not settled: {len(self.unsettled)}; gaps in the readings: {len(self.gaps)}"
        )


class Day:
    """One run of the script, repeatable by its seed as far as processes are."""

    def __init__(self, house: Any, seed: int, kills: int) -> None:
        self.house = house
        self.random = random.Random(seed)
        self.kills = kills
        self.counts = Counts()
        self.evidence = house.folder / "evidence"
        self.script = house.folder / "job.py"
        self.script.write_text(JOB)
        self.commands: list[tuple[list[str], subprocess.Popen[str]]] = []

    def run(self) -> Counts:
        """Lives the day, then waits until everything has ended and compares."""
        next_kill = time.monotonic() + 1
        done = 0
        while done < self.kills:
            self._collect()
            if len(self.commands) < 2 and self.random.random() < 0.5:
                self._command()
            if time.monotonic() >= next_kill:
                done += self._kill()
                next_kill = time.monotonic() + self.random.uniform(0.2, 1.6)
            self._revive()
            time.sleep(0.05)
        self._calm_down()
        self._compare()
        return self.counts

    def _command(self) -> None:
        jobs = sorted(self.counts.acknowledged)
        verb = self.random.choices(["submit", "cancel", "hold", "release", "start"], [7, 1, 1, 1.5, 0.5])[0]
        if verb == "submit" or not jobs:
            seconds = self.random.uniform(0.3, 3)
            minutes = max(1, round(seconds * FACTOR / 60))
            args = ["submit", "--json", "--gpus", str(self.random.choice([0, 1, 1, 2])), "--late"]
            args += ["--duration", f"{minutes}m", "--finish-by", f"{minutes + self.random.randint(40, 150)}m"]
            match self.random.randrange(8):
                case 0:
                    args += ["--array", "0-2%1"]
                case 1:
                    args += ["--retries", "2"]
                case 2 | 3 if jobs:
                    args += ["--after", self.random.choice(["", "any:"]) + str(self.random.choice(jobs[-6:]))]
            args += ["--", "python", str(self.script), f"{seconds:.2f}", str(self.evidence)]
        else:
            args = [verb, "--json", str(self.random.choice(jobs[-12:]))]
        self.commands.append((args, self._spawn(args)))

    def _spawn(self, args: list[str]) -> subprocess.Popen[str]:
        environ = self.house.environ
        command = [str(self.house.command), *args]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=self.house.work, env=environ, stdin=subprocess.DEVNULL, **pipes)

    def _collect(self) -> None:
        """Notes what was acknowledged by the commands that have ended."""
        for entry in [each for each in self.commands if each[1].poll() is not None]:
            self.commands.remove(entry)
            args, process = entry
            output, _ = process.communicate()
            if args[0] == "submit" and process.returncode == 0:
                job = json.loads(output)["job"]
                self.counts.acknowledged.update(job["id"] + place for place in range(job["array_size"] or 1))
            elif process.returncode in {-signal.SIGKILL, 3}:
                self.counts.unanswered += 1

    def _kill(self) -> int:
        """Kills one process of a random sort; 0 where there is none of it just now."""
        victims: dict[str, list[int]] = {"cli": [process.pid for _, process in self.commands]}
        for process in self.house.processes():
            try:
                line = " ".join(process.cmdline())
            except psutil.Error:
                continue
            for name, module in (
                ("daemon", "scheduler.daemon"),
                ("supervisor", "supervisor"),
                ("meter", "meters.process"),
            ):
                if f"tidewatt.{'backends.' * (name != 'daemon')}{module}" in line:
                    victims.setdefault(name, []).append(process.pid)
        sorts = sorted(name for name in victims if victims[name])
        if not sorts:
            return 0
        name = self.random.choice(sorts)
        try:
            os.kill(self.random.choice(victims[name]), signal.SIGKILL)
        except ProcessLookupError:
            return 0
        self.counts.kills[name] = self.counts.kills.get(name, 0) + 1
        return 1

    def _revive(self) -> None:
        """Starts the daemon again, as systemd would."""
        if not any("tidewatt.scheduler.daemon" in line for line in self._lines()):
            self.house.tidewatt("up", *self.house.flags)

    def _lines(self) -> list[str]:
        found = []
        for process in self.house.processes():
            try:
                found.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return found

    def _calm_down(self) -> None:
        """No more kills: every command answers, every held job is let go, every job ends and is settled."""
        for _, process in self.commands:
            process.wait(60)
        self._collect()
        self._revive()
        for job in self._jobs("held"):
            self.house.tidewatt("release", str(job["id"]))
        self.house.until(lambda: not self._jobs("waiting,held,running,paused"), 240, every_s=0.5)
        self.house.until(lambda: not self._open_accounts(), 120, every_s=1)

    def _jobs(self, states: str) -> list[Any]:
        jobs: list[Any] = self.house.client().jobs(tuple(filter(None, states.split(","))), limit=1000)
        return jobs

    def _open_accounts(self) -> list[int]:
        return [
            job["id"]
            for job in self._jobs("done,failed,cancelled")
            if any(attempt["started"] for attempt in job["attempts"])
            and (job["settlement"] is None or job["settlement"]["state"] == "none")
        ]

    def _compare(self) -> None:
        counts, jobs = self.counts, {job["id"]: job for job in self._jobs("")}
        for job in jobs.values():
            counts.states[job["state"]] = counts.states.get(job["state"], 0) + 1
        counts.lost = sorted(counts.acknowledged - set(jobs))
        counts.unsettled = self._open_accounts()
        runs = self._runs(jobs)
        counts.twice = sorted(
            {job for job in runs if len(runs[job]) > 1 + jobs[job]["retried"] or _at_once([runs[job]])}
        )
        self._compare_orders(jobs, runs)
        counts.double_booked = _overlaps([run for each in runs.values() for run in each])
        for job in jobs.values():
            for attempt in job["attempts"]:
                if attempt["started"] and attempt["ended"]:
                    silent = gaps(
                        self.house.home / "readings", _ms(attempt["started"]), _ms(attempt["ended"]), 1.0
                    )
                    counts.gaps += [f"{attempt['attempt_id']}: {gap}" for gap in silent]

    def _compare_orders(self, jobs: dict[int, Any], runs: dict[int, list[tuple[float, float, str]]]) -> None:
        """Whether each job began after those before it had ended, and the tasks of arrays one by one."""
        arrays: dict[int, list[int]] = {}
        for job in jobs.values():
            if job["array"]:
                arrays.setdefault(job["array"], []).append(job["id"])
        by_key = {job["key"]: [job["id"]] for job in jobs.values()}
        by_key |= {str(array): tasks for array, tasks in arrays.items()}
        for job in jobs.values():
            before = [each for key in (*job["after"], *job["after_any"]) for each in by_key[key]]
            ends = [end for each in before for _, end, _ in runs.get(each, ())]
            if any(start < end for start, _, _ in runs.get(job["id"], ()) for end in ends):
                self.counts.too_early.append(job["key"])
        for array, tasks in arrays.items():
            if _at_once([runs.get(task, []) for task in tasks]):
                self.counts.over_limit.append(str(array))

    def _runs(self, jobs: dict[int, Any]) -> dict[int, list[tuple[float, float, str]]]:
        """By job: each start that the job itself wrote down, with its end and its GPUs."""
        found: dict[str, tuple[int, float, float, str]] = {}
        lines = self.evidence.read_text().splitlines() if self.evidence.exists() else []
        for what, job, attempt, at, gpus in (line.split() for line in lines):
            if what == "start":
                if attempt in found:
                    self.counts.twice.append(int(job))
                found[attempt] = (int(job), float(at), float(at), gpus)
            else:
                found[attempt] = (*found[attempt][:2], float(at), gpus)
        runs: dict[int, list[tuple[float, float, str]]] = {}
        for job_id, start, end, gpus in found.values():
            runs.setdefault(job_id, []).append((start, end, gpus))
        return runs


def _overlaps(runs: list[tuple[float, float, str]]) -> list[str]:
    """Pairs of runs that held the same GPU at the same time."""
    found = []
    for at, (start, end, gpus) in enumerate(runs):
        for other_start, other_end, other_gpus in runs[at + 1 :]:
            shared = (set(gpus.split(",")) & set(other_gpus.split(","))) - {"-"}
            if shared and start < other_end and other_start < end:
                found.append(f"{shared} at {max(start, other_start)}")
    return found


def _at_once(jobs: list[list[tuple[float, float, str]]]) -> bool:
    """True where two of the runs overlap."""
    spans = sorted((start, end) for runs in jobs for start, end, _ in runs)
    return any(after[0] < before[1] for before, after in pairwise(spans))


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
