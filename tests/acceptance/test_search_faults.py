"""The search beside the daemon is killed again and again: jobs are planned and run all the same."""

import contextlib
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil

FACTOR = 1800  # replayed seconds in a real one
START = datetime(2022, 6, 15, 6, tzinfo=UTC)
HOUR_S = 3600.0
CONFIG = """
zone = "DE"
tick_s = 0.2
[[source]]
type = "file"
path = "grid.csv"
[[region]]
name = "local"
cpus = 1
"""


def test_jobs_end_in_time_though_every_search_is_killed(house: Any) -> None:
    rows = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary"]
    for hour in range(-48, 72):
        at, intensity = (START + timedelta(hours=hour)).isoformat(), 400 if hour < 3 else 100 + hour
        rows.append(f"DE,{at},3600,{intensity},average,lifecycle,production")
    (house.folder / "grid.csv").write_text("\n".join(rows) + "\n")
    house.up("--replay-from", START.isoformat(), "--replay-factor", str(FACTOR), "--hindsight", config=CONFIG)
    killed: list[int] = []
    over = threading.Event()
    killer = threading.Thread(target=_kill_searches, args=(house.daemon_pid(), killed, over))
    killer.start()
    client = house.client()
    request = {"argv": ["true"], "cwd": str(house.work), "env": dict(house.environ), "duration_s": HOUR_S / 2}
    finish_by = (START + timedelta(hours=24)).isoformat()
    jobs = [client.submit(request | {"finish_by": finish_by})["job"]["id"] for _ in range(2)]
    ended = [house.until(lambda number=number: _done(client.job(number))) for number in jobs]
    over.set()
    killer.join()
    for job in ended:
        [attempt] = [each for each in job["attempts"] if each["started"]]
        assert datetime.fromisoformat(attempt["ended"]) <= datetime.fromisoformat(job["finish_by"])
    assert killed
    assert "round.failed" not in house.log()


def _done(job: Any) -> Any:
    return job if job["state"] == "done" else None


def _kill_searches(daemon: int, killed: list[int], over: threading.Event) -> None:
    """Kills every search as soon as it is there."""
    while not over.wait(0.01):
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(daemon).children():
                if any("timetable.worker" in word for word in child.cmdline()):
                    child.kill()
                    killed.append(child.pid)
