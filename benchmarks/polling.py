"""What following many jobs on one cluster costs the daemon: calls, and its share of a core.

    .venv/bin/python benchmarks/polling.py [--jobs 1000] [--seconds 120]

The daemon's own rounds and guard run once a second in this process, with its lines in threads of their own;
the cluster is the one in memory, over a real store. Its answers are made in the same process and counted
along, so that the share is an upper bound; what a client program such as squeue takes comes on top.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import structlog

from tidewatt.backends.clock import Clock
from tidewatt.backends.fake import FakeBackend, Script
from tidewatt.backends.fake_cluster import FakeCluster
from tidewatt.backends.fake_engine import FakeEngine
from tidewatt.backends.host import GpuHost, Host
from tidewatt.forecasting.chain import Chain
from tidewatt.scheduler.daemon.guarding import Guardian
from tidewatt.scheduler.daemon.launching import Launcher
from tidewatt.scheduler.daemon.patience import PatientChain
from tidewatt.scheduler.daemon.rounds import Rounds
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.daemon.watching import Watcher
from tidewatt.scheduler.jobs import AttemptState
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.request_schema import SubmitRequest
from tidewatt.scheduler.settings import Settings
from tidewatt.scheduler.store import Store


def main() -> None:
    """Prints calls and share."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=120)
    given = parser.parse_args()
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    with tempfile.TemporaryDirectory(prefix="tw-", ignore_cleanup_errors=True) as folder:
        measure(Path(folder), given.jobs, given.seconds)
    sys.stdout.flush()
    os._exit(0)  # the lines' threads wait for ever


def measure(folder: Path, jobs: int, seconds: int) -> None:
    """Has so many jobs run, waits until nothing changes any more, then measures for so long."""
    paths = Paths(folder / "home", folder / "run")
    paths.make()
    clock = Clock()
    cluster = FakeCluster(clock.now_ms, Script(runs_s=10**6))
    site = Site(
        paths,
        Settings.model_validate({}),
        clock,
        Host((), 8, 64_000, "cpu", 10.0, "assumed", ""),
        (Region("eu", "fake", cpus=jobs, home=True),),
        PatientChain(Chain()),
        FakeBackend(clock.now_ms),
        others={"fake": FakeEngine(cluster)},
    )
    store, lock = Store(paths.database), threading.RLock()
    launcher = Launcher(site, store)
    watcher = Watcher(site, store, launcher)
    service = Service(site, store, watcher, lock)
    rounds = Rounds(site, store, service, watcher, launcher, GpuHost(), lock)
    guardian = Guardian(site, store, service, launcher, lock, rounds.parking)
    rounds._meter_at = rounds._meter_retry_at = float("inf")  # no host is metered here
    launcher.polls.begin()
    argv, tasks = ("sleep", "1000000"), tuple(range(jobs))
    service.submit(SubmitRequest(argv=argv, cwd=str(folder), duration_s=10.0**6, array=tasks))
    while [each.state for each in store.live_attempts()].count(AttemptState.RUNNING) < jobs:
        turn(rounds, guardian)
    for _ in range(90):  # polls become rare
        turn(rounds, guardian)
    before, began, used = cluster.polls, time.monotonic(), time.process_time()
    while time.monotonic() - began < seconds:
        turn(rounds, guardian)
    share = (time.process_time() - used) / (time.monotonic() - began)
    print(f"{jobs} running jobs, {seconds} s: {cluster.polls - before} calls, {share:.1%} of a core")


def turn(rounds: Rounds, guardian: Guardian) -> None:
    """One second of a daemon."""
    began = time.monotonic()
    rounds.turn()
    guardian.turn()
    time.sleep(max(0.0, 1.0 - (time.monotonic() - began)))


if __name__ == "__main__":
    main()
