"""The service under load: submissions, lists, event streams and a power cut, on SQLite and PostgreSQL.

    .venv/bin/python benchmarks/service_load.py [--database sqlite] [--part submits ...] [--quick]

The parts, in this order, on one store: 100 submissions a second from connections of their own, sent whether or
not earlier ones were answered, with 100,000 ended jobs stored and 1,000 waiting; open event streams meanwhile
running jobs tell of themselves; submissions until the daemon is killed, then what is missing; and status, the
page, lists and reports with 1,000,000 ended jobs. Latencies are from the moment at which a request was due
to its last byte. Everything runs on this machine: what asks takes its share of the same cores.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks and tests are no packages that are installed

from benchmarks.load_store import fill
from benchmarks.load_stage import BEGIN, Stage, answered, request, staged

SUBMIT_GOAL_MS, LOOK_GOAL_MS = 100.0, 200.0
PARTS = ("submits", "streams", "kill", "looks")
NOW = datetime.fromisoformat(BEGIN)
REPORT_S = 3600 * 24 * 30.0


@dataclass(frozen=True)
class Sizes:
    """How much of everything; `--quick` takes the small ones."""

    stored: int = 100_000
    waiting: int = 1_000
    rate: int = 100
    seconds: float = 60.0
    streams: int = 200
    killed: int = 20_000
    finished: int = 1_000_000
    looks: int = 20


QUICK = Sizes(5_000, 200, 50, 5.0, 20, 1_000, 20_000, 5)


def main() -> None:
    """Prints a table for each database."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--database", action="append", choices=("sqlite", "postgresql"))
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--quick", action="store_true")
    for name in ("stored", "waiting", "rate", "streams", "killed", "finished", "looks"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--seconds", type=float)
    given = parser.parse_args()
    sizes = QUICK if given.quick else Sizes()
    asked = {name: getattr(given, name) for name in vars(sizes) if getattr(given, name) is not None}
    sizes = Sizes(**vars(sizes) | asked)
    for database in given.database or ("sqlite", "postgresql"):
        print(f"\n{database}", flush=True)
        with staged(database) as stage:
            _parts(stage, sizes, given.part or PARTS)


def _parts(stage: Stage, sizes: Sizes, parts: Sequence[str]) -> None:
    _seed(stage, sizes.stored)
    if {"submits", "streams", "kill"} & set(parts):
        took = stage.up()
        _tell("daemon started", f"{took:.1f} s, {stage.memory_mb():.0f} MB")
        _waiting(stage, sizes.waiting)
        for part, run in (("submits", submits), ("streams", streams), ("kill", kill)):
            if part in parts:
                run(stage, sizes)
        stage.down()
    if "looks" in parts:
        _seed(stage, sizes.finished - sizes.stored)
        took = stage.up()
        _tell("daemon started", f"{took:.1f} s, {stage.memory_mb():.0f} MB")
        looks(stage, sizes)
        stage.down()


def _seed(stage: Stage, count: int) -> None:
    began = time.monotonic()
    with stage.store() as store:
        fill(store, count, NOW)
        _tell("stored", f"{store.count()['done']:,} ended jobs ({time.monotonic() - began:.0f} s)")


def _waiting(stage: Stage, count: int) -> None:
    began = time.monotonic()
    for first in range(0, count, 100):
        tasks = list(range(min(100, count - first)))
        stage.client().submit(_job(first) | {"array": tasks})
    _tell("waiting", f"{count:,} tasks of arrays ({time.monotonic() - began:.1f} s)")


def _job(number: int, **more: Any) -> dict[str, Any]:
    """One that may wait for the clean hours of tomorrow."""
    length_s = 1800 + 977 * number % 5400
    finish_by = datetime.fromisoformat(BEGIN) + timedelta(hours=20 + number % 12)
    return {
        "argv": ["true"], "cwd": "/", "env": {"PATH": "/bin"}, "duration_s": length_s, "cpus": 1,
        "name": f"job {number % 50}", "project": f"project {number % 10}",
        "finish_by": finish_by.isoformat(), **more,
    }  # fmt: skip


def submits(stage: Stage, sizes: Sizes) -> None:
    """The load of submissions."""
    count, before = round(sizes.rate * sizes.seconds), stage.cpu_s()
    began = time.monotonic()
    found = asyncio.run(_sent(stage, count, sizes.rate))
    passed = time.monotonic() - began
    good = sum(status == 200 for status, _ in found)
    times = [ms for _, ms in found]
    _tell(f"{count:,} submits, {sizes.rate} a second", f"{good:,} acknowledged in {passed:.1f} s")
    _latency("submit", times, SUBMIT_GOAL_MS)
    every = sizes.rate * max(1, round(sizes.seconds / 10))
    middles = [
        sorted(times[first : first + every])[every // 2] for first in range(0, count - every // 2, every)
    ]
    _tell("its median, in tenths of the time", " ".join(f"{ms:.0f}" for ms in middles) + " ms")
    _tell("daemon", f"{(stage.cpu_s() - before) / passed:.0%} of a core, {stage.memory_mb():.0f} MB")


async def _sent(stage: Stage, count: int, rate: float) -> list[tuple[int, float]]:
    asked = [request("POST", "jobs", _job(i), Idempotency_Key=f"load {i}") for i in range(count)]
    begin = time.monotonic() + 0.2

    async def one(number: int) -> tuple[int, float]:
        due = begin + number / rate
        await asyncio.sleep(due - time.monotonic())
        try:
            async with asyncio.timeout(120):
                status, _ = await answered(stage.paths.socket, asked[number])
        except (OSError, TimeoutError):
            status = 0
        return status, (time.monotonic() - due) * 1e3

    return await asyncio.gather(*(one(number) for number in range(count)))


def streams(stage: Stage, sizes: Sizes) -> None:
    """Many listeners while jobs run: all of them hear of all events."""
    print("  streams: not yet")


def kill(stage: Stage, sizes: Sizes) -> None:
    """Submissions until the daemon is killed; every acknowledged job has to be there afterwards."""
    print("  kill: not yet")


def looks(stage: Stage, sizes: Sizes) -> None:
    """Status, the page, lists and reports."""
    paths = {
        "status": "/api/v1/status",
        "100 newest jobs": "/api/v1/jobs",
        "100 from the middle": f"/api/v1/jobs?before={sizes.finished // 2}",
        "1,000 done ones": "/api/v1/jobs?state=done&limit=1000",
        "100 of one project": "/api/v1/jobs?project=project%207",
        "100 of one user": "/api/v1/jobs?user=user%207",
        "100 lines, arrays as one": "/api/v1/jobs?tasks=false",
        "waiting ones": "/api/v1/jobs?state=waiting",
        "metrics": "/metrics",
        "page: now": "/",
        "page: jobs": "/jobs",
        "page: savings": "/savings",
        "page: regions": "/regions",
        "page: system": "/system",
        "report of 30 days": f"/api/v1/report?since_s={REPORT_S:.0f}",
    }
    for name, path in paths.items():
        times, status, size = [], 0, 0
        for _ in range(sizes.looks):
            began = time.monotonic()
            status, body = asyncio.run(
                answered(
                    stage.paths.socket,
                    request("GET", f"../../{path[1:]}" if False else path[8:])
                    if path.startswith("/api/v1/")
                    else _page(path),
                )
            )
            times.append((time.monotonic() - began) * 1e3)
            size = len(body)
        if status != 200:
            _tell(name, f"answered {status}")
        else:
            _latency(f"{name} ({size / 1e3:.0f} kB)", times, LOOK_GOAL_MS)
    _tell("daemon", f"{stage.memory_mb():.0f} MB")


def _page(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


def _latency(name: str, times: Sequence[float], goal_ms: float) -> None:
    ordered = sorted(times)
    middle, high = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    verdict = "reached" if high < goal_ms else "MISSED"
    _tell(
        name,
        f"p50 {middle:.0f} ms, p99 {high:.0f} ms, most {ordered[-1]:.0f} ms (goal {goal_ms:.0f} ms {verdict})",
    )


def _tell(name: str, text: str) -> None:
    print(f"  {name:<36} {text}", flush=True)


if __name__ == "__main__":
    main()
