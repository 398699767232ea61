"""The service under load: submissions, lists, event streams and a power cut, on SQLite and PostgreSQL.

    .venv/bin/python benchmarks/service_load.py [--database sqlite] [--part submits ...] [--quick]

The parts, in this order: 100 submissions a second from connections of their own, sent whether or not earlier
ones were answered, with 100,000 ended jobs stored and 1,000 waiting and planned; 200 open event streams while
jobs come and run; submissions until the daemon is killed, then what is missing; and, on a store of its own,
status, the page, lists and reports with 1,000,000 ended jobs and 1,000 that wait. Latencies are from the
moment at which a request was due to its last byte. Everything runs on this machine: what asks takes its share
of the same cores.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks and tests are no packages that are installed

from benchmarks.load_stage import BEGIN, Stage, answered, request, staged
from benchmarks.load_store import EVERY_MS, fill
from tidewatt.scheduler.proof.chain import follow

SUBMIT_GOAL_MS, LOOK_GOAL_MS, STREAM_GOAL_MS = 100.0, 200.0, 1000.0
PARTS = ("submits", "streams", "kill", "looks")
NOW = datetime.fromisoformat(BEGIN)


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
        parts = given.part or PARTS
        if {"submits", "streams", "kill"} & set(parts):
            with staged(database) as stage:
                _at_work(stage, sizes, parts)
        if "looks" in parts:
            with staged(database) as stage:
                _large(stage, sizes)


def _at_work(stage: Stage, sizes: Sizes, parts: Sequence[str]) -> None:
    _begun(stage, sizes.stored, sizes.waiting)
    for part, run in (("submits", submits), ("streams", streams), ("kill", kill)):
        if part in parts:
            run(stage, sizes)


def _large(stage: Stage, sizes: Sizes) -> None:
    _begun(stage, sizes.finished, sizes.waiting)
    looks(stage, sizes)


def _begun(stage: Stage, stored: int, waiting: int) -> None:
    _seed(stage, stored)
    took = stage.up()
    _tell("daemon started", f"{took:.1f} s, {stage.memory_mb():.0f} MB")
    _waiting(stage, waiting)


def _seed(stage: Stage, count: int) -> None:
    began = time.monotonic()
    with stage.store() as store:
        fill(store, count, NOW)
        if stage.url:  # else its own vacuum of so many new rows would run beside the load
            with store._engine.connect() as connection:
                connection.exec_driver_sql("vacuum analyze")
                connection.exec_driver_sql("checkpoint")
        _tell("stored", f"{store.count()['done']:,} ended jobs ({time.monotonic() - began:.0f} s)")


def _waiting(stage: Stage, count: int) -> None:
    began = time.monotonic()
    for first in range(0, count, 100):
        tasks = list(range(min(100, count - first)))
        stage.client().submit(_job(first) | {"array": tasks})
    passed = time.monotonic() - began
    planned = stage.await_calm()
    _tell("waiting", f"{count:,} tasks of arrays ({passed:.1f} s), planned and at rest {planned:.0f} s later")


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
    spent_s = stage.cpu_s() - before
    each_ms = 1e3 * spent_s / count
    _tell("daemon", f"{spent_s / passed:.0%} of a core ({each_ms:.1f} ms each), {stage.memory_mb():.0f} MB")


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
    """Many listeners while jobs come, run and end: all of them hear of all events."""
    found = asyncio.run(heard(stage, sizes.streams))
    lags, events, complete = found
    _tell(f"{sizes.streams} event streams", f"{complete} heard all of {events} events")
    _latency("from the answer to the last listener", lags, STREAM_GOAL_MS)
    _tell("daemon", f"{stage.memory_mb():.0f} MB")


async def heard(stage: Stage, count: int, submits: int = 50) -> tuple[list[float], int, int]:
    """So many listen: milliseconds until the last has heard of each submission, events, who heard all."""
    logs: list[dict[int, tuple[float, str]]] = [{} for _ in range(count)]
    ready = [asyncio.Event() for _ in range(count)]
    listening = [
        asyncio.create_task(_listen(stage, log, event)) for log, event in zip(logs, ready, strict=True)
    ]
    await asyncio.gather(*(event.wait() for event in ready))
    answers: dict[int, float] = {}
    for number in range(submits):
        more = {"finish_by": None} if number % 10 == 0 else {}  # these run at once
        status, body = await answered(stage.paths.socket, request("POST", "jobs", _job(number, **more)))
        if status == 200:
            answers[json.loads(body)["job"]["id"]] = time.monotonic()
        await asyncio.sleep(0.1)
    await _quiet(logs)
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    everything = set().union(*logs)
    told = {job: max(log[seq][0] for log in logs if seq in log) for job, seq in _submissions(logs)}
    lags = [max(0.0, (told[job] - at) * 1e3) for job, at in answers.items() if job in told]
    return lags or [float("inf")], len(everything), sum(set(log) == everything for log in logs)


async def _quiet(logs: Sequence[dict[int, tuple[float, str]]]) -> None:
    """Returns when nobody has heard anything new for two seconds, after 30 at most."""
    for _ in range(15):
        before = [len(log) for log in logs]
        await asyncio.sleep(2.0)
        if before == [len(log) for log in logs]:
            return


async def _listen(stage: Stage, log: dict[int, tuple[float, str]], ready: asyncio.Event) -> None:
    """Notes when each event came, by its number."""
    reader, writer = await asyncio.open_unix_connection(str(stage.paths.socket))
    writer.write(request("GET", "events"))
    seq = 0
    try:
        async for line in reader:
            if line.startswith(b": from"):
                ready.set()
            elif line.startswith(b"id: "):
                seq = int(line[4:])
            elif line.startswith(b"data: "):
                log[seq] = time.monotonic(), line[6:].decode()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _submissions(logs: Sequence[dict[int, tuple[float, str]]]) -> list[tuple[int, int]]:
    """The job and the number of each submission that anybody heard of."""
    known = {seq: text for log in logs for seq, (_, text) in log.items()}
    events = [json.loads(text) for text in known.values()]
    return [(each["job"], each["seq"]) for each in events if each["kind"] == "submitted"]


def kill(stage: Stage, sizes: Sizes) -> None:
    """Submissions until the daemon is killed in the midst of them: all that it answered for is there."""
    began = time.monotonic()
    acknowledged = asyncio.run(until_killed(stage, sizes.killed))
    passed = time.monotonic() - began
    with stage.store() as store:
        missing = acknowledged - store.numbered(acknowledged).keys()
        last = store.tip().seq
        follow(store.stretch(0, last))
    _tell("submitted until SIGKILL", f"{len(acknowledged):,} jobs acknowledged in {passed:.0f} s")
    verdict = "none is lost" if not missing else f"{len(missing)} LOST"
    _tell("after it", f"{verdict}; the chain of {last:,} events holds")
    _tell("up again", f"{stage.up():.1f} s")


async def until_killed(stage: Stage, count: int) -> set[int]:
    """Numbers of all jobs that were answered for: held arrays of 1,000 first, then single ones."""
    found: set[int] = set()
    size = min(1_000, count // 2)

    async def send(body: dict[str, Any]) -> bool:
        try:
            status, answer = await answered(stage.paths.socket, request("POST", "jobs", body))
        except OSError:
            return False
        if status == 200:
            first = json.loads(answer)["job"]["id"]
            found.update(range(first, first + len(body.get("array", (0,)))))
        return status == 200

    async def singles(number: int) -> None:
        while await send(_job(number)):
            number += 4

    while len(found) < count - min(size, count // 20):
        await send(_job(len(found), hold=True, array=list(range(size))))
    senders = [asyncio.create_task(singles(number)) for number in range(4)]
    until = time.monotonic() + 20.0 + count / 500
    while len(found) < count and time.monotonic() < until:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(stage.kill)
    await asyncio.gather(*senders)
    return found


def looks(stage: Stage, sizes: Sizes) -> None:
    """Status, the page, lists and reports."""
    paths = {
        "status": "status",
        "100 newest jobs": "jobs",
        "100 from the middle": f"jobs?before={sizes.finished // 2}",
        "1,000 done ones": "jobs?state=done&limit=1000",
        "100 of one project": "jobs?project=project%207",
        "100 of one user": "jobs?user=user%207",
        "100 lines, arrays as one": "jobs?tasks=false",
        "waiting ones": "jobs?state=waiting",
        "one job": f"jobs/{sizes.finished // 3}",
        "events, 100 of them": f"events/page?after={sizes.finished}",
        "metrics": "/metrics",
        "page: now": "/",
        "page: jobs": "/jobs",
        "page: regions": "/regions",
        "page: system": "/system",
        "page: savings": "/savings",
        "report of 100,000 jobs": f"report?since_s={EVERY_MS // 1000 * 100_000}",
    }
    for name, path in paths.items():
        times, status, size = [], 0, 0
        for _ in range(sizes.looks if "report" not in path else min(3, sizes.looks)):  # seconds each
            began = time.monotonic()
            status, body = asyncio.run(answered(stage.paths.socket, request("GET", path)))
            times.append((time.monotonic() - began) * 1e3)
            size = len(body)
        if status == 200:
            _latency(f"{name} ({size / 1e3:.0f} kB)", times, LOOK_GOAL_MS)
        else:
            _tell(name, f"answered {status}")
    _tell("daemon", f"{stage.memory_mb():.0f} MB")


def _latency(name: str, times: Sequence[float], goal_ms: float) -> None:
    ordered = sorted(times)
    middle, high = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    verdict = f"goal {goal_ms:.0f} ms {'reached' if high < goal_ms else 'MISSED'}"
    _tell(name, f"p50 {middle:.0f} ms, p99 {high:.0f} ms, most {ordered[-1]:.0f} ms ({verdict})")


def _tell(name: str, text: str) -> None:
    print(f"  {name:<36} {text}", flush=True)


if __name__ == "__main__":
    main()
