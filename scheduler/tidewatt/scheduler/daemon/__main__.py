"""The daemon: one per state folder, started by `tidewatt up`; it outlives its terminal."""

import argparse
import errno
import gc
import logging
import logging.handlers
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from tidewatt.backends.backend import BackendError
from tidewatt.backends.clock import Clock, time_ms
from tidewatt.backends.engines import Setting
from tidewatt.backends.host import GpuHost
from tidewatt.backends.meters import node_source
from tidewatt.forecasting.shrinkage import Shrinker
from tidewatt.scheduler import config
from tidewatt.scheduler.daemon import entrance, serving
from tidewatt.scheduler.daemon.callers import Served
from tidewatt.scheduler.daemon.engines import others
from tidewatt.scheduler.daemon.gathering import Gatherer
from tidewatt.scheduler.daemon.guarding import Guardian
from tidewatt.scheduler.daemon.launching import Launcher
from tidewatt.scheduler.daemon.ledger import Ledger
from tidewatt.scheduler.daemon.lifetime import lifelong, remembered
from tidewatt.scheduler.daemon.listening import Listening
from tidewatt.scheduler.daemon.notifying import Notifier
from tidewatt.scheduler.daemon.overview import Overview
from tidewatt.scheduler.daemon.patience import PatientChain
from tidewatt.scheduler.daemon.policy_views import begun, reread
from tidewatt.scheduler.daemon.reserve import Reserve, reserve_of
from tidewatt.scheduler.daemon.rounds import Rounds
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.shelving import shelve
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.daemon.sweeping import sweep
from tidewatt.scheduler.daemon.watching import Watcher
from tidewatt.scheduler.errors import BadInput, SchedulerError
from tidewatt.scheduler.paths import Paths, mark, paths
from tidewatt.scheduler.settings import Settings
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.address import settled

log = structlog.get_logger()
REPLAYED_TICK_MS = 60_000  # a replay moves at most one minute a tick
ROUND = "round"
LOG_BYTES = 10_000_000
LOOK_EVERY_S = 5.0  # real seconds between two looks at the socket and the ticker
LATE_S = 15.0  # a round that did not come for so long
SETTLE_EVERY_S = 1.0  # real seconds between two looks at the open accounts
GATHER_EVERY_S = 5.0  # real seconds between two looks at what is due from live sources
LEDGER_EVERY_S = 60.0
SHELVE_EVERY_S = 3600.0
RESERVE_EVERY_S = 60.0
TEND_EVERY_S = 3600.0  # real seconds between two looks at what need not be kept any more
SWITCH_S = 0.0005  # a thread that plans gives way to those that answer, which need little at a time
COLLECTED = (20_000, 20, 20)  # objects, and rounds of them: whole memories of jobs are rarely gone through
FOREIGN_EVERY_S = 5.0  # real seconds between two looks at who uses our GPUs


@dataclass(frozen=True, slots=True)
class Options:
    """What `tidewatt up` passes on."""

    home: Path | None
    config: Path | None
    zone: str | None
    hindsight: bool
    listening: Listening | None
    clock: Clock
    system: bool = False
    group: str = ""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until it is told to stop; returns the exit code. A start that fails says why in one sentence."""
    os.umask(0o077)
    sys.setswitchinterval(SWITCH_S)
    gc.set_threshold(*COLLECTED)
    try:
        return _run(_options(argv))
    except (SchedulerError, BackendError) as error:
        print(f"tidewatt: {error}", file=sys.stderr)  # noqa: T201 - read and shown by `tidewatt up`
        return getattr(error, "exit_code", 1)
    except Exception as error:
        log.exception("daemon.failed")
        print(f"tidewatt: {_why(error)}", file=sys.stderr)  # noqa: T201
        return 1


def _why(error: Exception) -> str:
    """Why a start failed, in one sentence."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS):
        place = f" ({error.filename})" if error.filename else ""
        disk = "look at the disk of the state folder, then `tidewatt up` again"
        return f"the daemon cannot start: {error.strerror}{place}: {disk}"
    return f"the daemon failed: {error!r}; its log has the details"


def _options(argv: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m tidewatt.scheduler.daemon")
    for name in ("home", "config"):
        parser.add_argument(f"--{name}", type=Path)
    for name in ("zone", "replay-from"):
        parser.add_argument(f"--{name}")
    for name in ("listen", "group"):
        parser.add_argument(f"--{name}", default="")
    for name in ("tls-cert", "tls-key"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--behind-proxy", action="append", default=[])
    parser.add_argument("--replay-factor", type=float, default=1.0)
    for name in ("hindsight", "system"):
        parser.add_argument(f"--{name}", action="store_true")
    given = parser.parse_args(argv)
    return Options(
        given.home,
        given.config,
        given.zone,
        given.hindsight,
        _listening(given),
        _clock(given.replay_from, given.replay_factor),
        given.system,
        given.group,
    )


def _listening(given: argparse.Namespace) -> Listening | None:
    if not given.listen:
        return None
    return Listening(given.listen, given.tls_cert, given.tls_key, tuple(given.behind_proxy))


def _clock(replay_from: str | None, factor: float) -> Clock:
    if replay_from is None:
        if factor != 1.0:
            raise BadInput("--replay-factor needs --replay-from: say which recorded time is replayed")
        return Clock()
    try:
        start = datetime.fromisoformat(replay_from)
        start_ms = time_ms(start)
    except ValueError as error:
        raise BadInput(
            f"--replay-from {replay_from} is not a time with a zone: write 2022-06-01T00:00Z"
        ) from error
    if not 0 < factor <= 100_000:
        raise BadInput(f"--replay-factor {factor} must be above 0 and at most 100000")
    return Clock(Clock().now_ms(), start_ms, factor)


def _run(options: Options) -> int:
    place = serving.shared_paths(os.environ) if options.system else paths(os.environ, options.home)
    place.make()
    with lifelong(place):
        _log_to(place.log)
        Reserve(reserve_of(place)).open_up()
        options = replace(options, clock=remembered(place, options.clock))
        path = serving.config_of(options.config, place)
        reload = partial(config.load, path, os.environ, {"zone": options.zone})
        loaded = reload()
        place, served = serving.prepared(place, loaded.settings, options.group)
        if loaded.settings.tdp_w is not None:
            os.environ["TIDEWATT_TDP_W"] = str(
                loaded.settings.tdp_w
            )  # read by the inventory and by the meter
        node = loaded.settings.node
        node_source.write(place.readings, None if node is None else node.source())
        gpus = GpuHost()
        known = config.grid(loaded.settings, place, hindsight=options.hindsight)
        site = _site(place, loaded.settings, options, gpus, known)
        site = replace(site, rules=loaded.rules, reload=reload)
        store = Store(settled(place, loaded.settings.database))
        store.alone()
        try:
            return _serve(site, store, gpus, Gatherer(site, known, store), options, served)
        finally:
            store.close()
            gpus.close()
            known.archive.close()


def _site(place: Paths, settings: Settings, options: Options, gpus: GpuHost, known: config.Grid) -> Site:
    host = gpus.inventory()
    return Site(
        paths=place,
        settings=settings,
        clock=options.clock,
        host=host,
        stated_regions=config.regions(settings, host),
        chain=PatientChain(Shrinker(known.chain)),
        backend=serving.host_backend(place),
        hindsight=options.hindsight or any(source.hindsight for source in settings.sources),
        others=others(
            settings.regions,
            Setting(place.home, options.clock, mark(place), settings.meter_interval_s),
        ),
    )


def _serve(
    site: Site, store: Store, gpus: GpuHost, gatherer: Gatherer, options: Options, served: Served | None
) -> int:
    lock = threading.RLock()
    launcher = Launcher(site, store)
    watcher = Watcher(site, store, launcher)
    service = Service(site, store, watcher, lock)
    rounds = Rounds(site, store, service, watcher, launcher, gpus, lock)
    service.begin = rounds.parking.begin
    guardian = Guardian(site, store, service, launcher, lock, rounds.parking)
    sweep(site, store)
    launcher.polls.begin()
    watcher.recover()
    ledger = Ledger(site, store)
    ledger.begin()
    service.ledger = ledger
    begun(site, store)
    ticker = _ticker(site, rounds, guardian, gatherer, ledger, partial(shelve, site, store))
    ticker.add_job(launcher.reserve.keep, IntervalTrigger(seconds=RESERVE_EVERY_S, timezone=UTC))
    launcher.reserve.keep()
    service.wake = lambda cause: _wake(ticker, rounds, cause)
    service.later = rounds.later
    service.express.glances += [rounds.glance, guardian.glance]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # not in the handler itself: whatever it interrupts may hold the lock
    signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=reread, args=(service,)).start())
    notifier = Notifier(site, store, gatherer.refresher.health)
    doors = entrance.opened(
        options.listening,
        service,
        lambda listen: Overview(service, gatherer, listen),
        lambda: rounds.turned_at,
        stop.set,
        served,
    )
    log.info("daemon.started", home=str(site.paths.home), replaying=site.clock.replaying)
    gc.collect()
    gc.freeze()  # what was loaded stays: it need not be gone through again and again
    ticker.start()
    notifier.begin()
    while not stop.wait(LOOK_EVERY_S):
        doors.keep()
        if time.monotonic() - rounds.turned_at > LATE_S:
            _rouse(ticker)  # the ticker goes by the wall clock, which somebody has set back
    rounds.stop()
    notifier.stop()
    gatherer.stop()
    ticker.shutdown(wait=False)
    doors.close()
    with lock:  # a round that is under way ends first
        log.info("daemon.stopped")
    return 0


def _ticker(
    site: Site,
    rounds: Rounds,
    guardian: Guardian,
    gatherer: Gatherer,
    ledger: Ledger,
    shelving: Callable[[], None],
) -> BackgroundScheduler:
    """Nine jobs, each in a thread of its own: none of them waits for another, least of all the guard."""
    tick_s = site.settings.tick_s
    if site.clock.replaying:
        tick_s = min(tick_s, REPLAYED_TICK_MS / 1000 / site.clock.factor)
    logging.getLogger("apscheduler").setLevel(
        logging.ERROR
    )  # a round that takes longer than a tick is no news
    ticker = BackgroundScheduler(timezone=UTC)
    alone: dict[str, Any] = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    for name, turn, every_s in (
        (ROUND, rounds.turn, tick_s),
        ("guard", guardian.turn, tick_s),
        ("foreign", rounds.look_around, FOREIGN_EVERY_S),
        ("settle", rounds.settle, max(tick_s, SETTLE_EVERY_S)),
        ("collect", rounds.collect, max(tick_s, SETTLE_EVERY_S)),
        ("gather", gatherer.gather, GATHER_EVERY_S),
        ("tend", gatherer.tend, TEND_EVERY_S),
        ("ledger", ledger.turn, LEDGER_EVERY_S),
        ("shelve", shelving, SHELVE_EVERY_S),
    ):
        trigger = IntervalTrigger(seconds=every_s, timezone=UTC)
        ticker.add_job(turn, trigger, id=name, next_run_time=datetime.now(UTC), **alone)
    return ticker


def _rouse(ticker: BackgroundScheduler) -> None:
    """Has all jobs run now, and in their intervals from now on."""
    for job in ticker.get_jobs():
        job.modify(next_run_time=datetime.now(UTC))


def _wake(ticker: BackgroundScheduler, rounds: Rounds, cause: str) -> None:
    rounds.because(cause)
    job = ticker.get_job(ROUND)
    if job is not None:
        job.modify(next_run_time=datetime.now(UTC))


def _log_to(path: Path) -> None:
    """Structured logs: one JSON object a line, rotated."""
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=3, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(message)s"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for noisy in ("uvicorn", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)  # a thread that hangs in a dead file system must not keep the daemon from ending
