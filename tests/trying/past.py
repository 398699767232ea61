"""A state folder with a past: jobs that were done, and the grid as it was meanwhile."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tidewatt.scheduler.jobs import AttemptState, JobState, SettlementState
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

HOUR = timedelta(hours=1)
GRID_HEAD = "zone,start,step_s,gco2_per_kwh,signal,basis,boundary"
REGIONS = """
zone = "DE"
signal = "average"
[[source]]
path = "grid.csv"
[[region]]
name = "home"
zone = "DE"
cpus = 4
home = true
[[region]]
name = "north"
zone = "FR"
cpus = 4
"""


def grid(now: datetime, days: int = 40) -> str:
    """Hours of two zones: the one is clean at night and dirty by day, the other always cleaner."""
    rows = [GRID_HEAD]
    start = now.replace(minute=0, second=0, microsecond=0) - timedelta(days=days)
    for number in range(days * 24):
        at = start + number * HOUR
        wave = 300 - 200 * math.cos(2 * math.pi * (at.hour - 2) / 24)
        for zone, value in (("DE", wave), ("FR", 0.5 * wave)):
            rows.append(f"{zone},{at.isoformat()},3600,{value:.1f},average,lifecycle,consumption")
    return "\n".join(rows) + "\n"


def job(number: int, submitted: datetime, **values: Any) -> JobRecord:
    """A job of an hour on one core, which may wait a day."""
    submitted_ms = round(submitted.timestamp() * 1000)
    plain: dict[str, Any] = {
        "id": number, "state": JobState.WAITING, "since_ms": submitted_ms, "reason": "", "user": "ada",
        "name": "bert", "project": "vision", "labels": {}, "argv": ("true",), "cwd": "/", "stdout": "",
        "stderr": "", "outputs": {"stdout": "", "stderr": ""}, "submitted_ms": submitted_ms,
        "finish_by_ms": submitted_ms + 86_400_000, "start_by_ms": None, "duration_ms": 3_600_000,
        "duration_source": "yours", "time_limit_ms": None, "gpus": 0, "gpu_kind": "", "cpus": 1, "mem_mb": 0,
        "regions": (), "exclude_regions": (), "late": False, "asked": False, "stopping": False,
        "power_mw": 200_000, "power_source": "assumed", "source": {}, "snapshot": False, "umask": 0o022,
        "keeps_env": False, "frozen": {"home": "home", "submitted_ms": submitted_ms}, "plan": None,
        "at_risk": "", "warnings": (),
        "ended_ms": None, "settlement_state": SettlementState.NONE, "settlement": None,
    }  # fmt: skip
    return JobRecord(**plain | values)


def fill(store: Store, jobs: Iterator[JobRecord]) -> None:
    """Stores jobs as done: each ran for an hour from its submission on."""
    for each in jobs:
        start = each.submitted_ms
        with store.transaction() as transaction:
            number = transaction.add_job(each)
            first = AttemptRecord(
                f"{number}.1", number, AttemptState.LAUNCHING, start, "home", "", (), start, {}
            )
            transaction.add_attempt(first)
            transaction.move_job(number, JobState.RUNNING, "", start)
            transaction.move_attempt(first, AttemptState.RUNNING, "", start, started_ms=start)
            end = start + 3_600_000
            transaction.move_attempt(
                first, AttemptState.ENDED, "", end, ended_ms=end, exit_code=0, signal=None
            )
            transaction.move_job(number, JobState.DONE, "", end, ended_ms=end)


def folder(home: Path, now: datetime, jobs: int = 20, **values: Any) -> None:
    """A state folder with jobs that came at noon of each day, two of each day of two users."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "grid.csv").write_text(grid(now), encoding="utf-8")
    store = Store(home / "tidewatt.db")
    noon = now.astimezone(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
    times = [noon - timedelta(days=number // 2) for number in reversed(range(jobs))]
    try:
        fill(
            store,
            (
                job(
                    0, at, user=("ada", "ben")[number % 2], project=("vision", "speech")[number % 2], **values
                )
                for number, at in enumerate(times)
            ),
        )
    finally:
        store.close()
