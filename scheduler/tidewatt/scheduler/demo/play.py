"""Plays the demo from `up` to `down`, and says what was replayed, what was real and what was modelled."""

import shutil
import signal
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tidewatt.scheduler.client import Client
from tidewatt.scheduler.demo.outcome import check, draw_picture, epilogue, results
from tidewatt.scheduler.demo.scenario import (
    DAYS,
    FACTOR,
    GRID,
    LOCAL,
    START,
    SUBMISSIONS,
    TRAINING,
    Submission,
    config,
)
from tidewatt.scheduler.demo.screen import Screen, screen
from tidewatt.scheduler.demo.stage import DemoError, Json, Stage, examples
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.paths import paths

LOOK_S = 0.25
SPARE_S = 45.0  # of real time, beyond the replay itself, before the demo gives up

PROLOGUE = """\
Tidewatt replays two days of California's grid {factor} times faster ({days_s:.0f} s) and trains for real.
Two regions stand for two sites: north (PG&E's part of the grid, home) and south (Southern California
Edison's). Each runs one job at a time.
"""


def play(picture: Path, hours: float = DAYS / timedelta(hours=1)) -> list[Json]:
    """Shows the first `hours` of the two days, writes the picture, and returns the jobs (JobViews).

    Raises:
        DemoError: where anything does not go as it should; nothing is left behind then either.
    """
    end = START + timedelta(hours=hours)
    submissions = [each for each in SUBMISSIONS if each.finish_by <= end]
    signal.signal(signal.SIGTERM, _terminated)
    with Stage() as stage:
        _say(PROLOGUE.format(factor=FACTOR, days_s=(end - START).total_seconds() / FACTOR))
        grid = examples() / GRID
        shutil.copy(examples() / TRAINING, stage.work)
        try:
            jobs = _perform(stage, grid, submissions, end)
        except SchedulerError:
            sys.stderr.write(stage.log_tail())
            raise
        _say(results(jobs, LOCAL))
        _say(stage.tidewatt("report"))
        draw_picture(picture, jobs, grid, (START, end))
        stage.tidewatt("down")
    _say(epilogue(jobs, submissions))
    _say(f"Picture: {picture.resolve()}")
    check(jobs)
    return jobs


def _perform(stage: Stage, grid: Path, submissions: Sequence[Submission], end: datetime) -> list[Json]:
    """Starts a daemon on the recorded grid and sees all jobs through; returns them, oldest first."""
    settings = stage.folder / "demo.toml"
    settings.write_text(config(grid))
    start = START.isoformat()
    stage.tidewatt("up", "--config", str(settings), "--replay-from", start, "--replay-factor", str(FACTOR))
    client = Client(paths(stage.environment).socket)
    with screen(LOCAL) as shown:
        jobs = _watch(stage, client, shown, submissions, end)
    sys.stdout.write("\n")
    return jobs


def _watch(
    stage: Stage, client: Client, shown: Screen, submissions: Sequence[Submission], end: datetime
) -> list[Json]:
    """Submits each job at its moment, shows the queue until all is settled, and returns the jobs."""
    pending = list(submissions)
    give_up = time.monotonic() + (end - START).total_seconds() / FACTOR + SPARE_S
    while time.monotonic() < give_up:
        status = client.status()
        now = datetime.fromisoformat(status["now"])
        while pending and now >= pending[0].at:
            _submit(stage, pending.pop(0))
        jobs = client.jobs()[::-1]
        shown.show(status, jobs)
        if now >= end and not pending and all(_settled(job) for job in jobs):
            return jobs
        time.sleep(LOOK_S)
    raise DemoError("the demo took longer than it may: the end of the daemon's log is above")


def _submit(stage: Stage, each: Submission) -> None:
    training = [sys.executable, TRAINING, "--seconds", f"{each.training_s(FACTOR):.1f}"]
    minutes = f"{each.duration // timedelta(minutes=1)}m"
    due = each.finish_by.isoformat()
    stage.ask("submit", "--name", each.name, "--duration", minutes, "--finish-by", due, "--", *training)


def _settled(job: Json) -> bool:
    """True where it has ended and its account is written, if only provisionally."""
    settlement = job["settlement"]
    return (
        job["state"] in ("done", "failed", "cancelled")
        and settlement is not None
        and settlement["state"] != "none"
    )


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _say(text: str) -> None:
    sys.stdout.write(f"{text.rstrip()}\n\n")
    sys.stdout.flush()
