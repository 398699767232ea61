"""Fetches from live sources what is due, lets old data go, and has own forecasts trained on what is kept."""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from tidewatt.backends.clock import moment, time_ms
from tidewatt.forecasting.refresh import Refresher
from tidewatt.forecasting.retention import Citation
from tidewatt.scheduler.config import Grid
from tidewatt.scheduler.daemon.faults import told
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.store import Store

log = structlog.get_logger()
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
TRAIN_EVERY = timedelta(days=1)
AFTER_START = timedelta(minutes=5)  # the first training waits for the first fill
ASKED_FOR = timedelta(days=1)  # so long a zone that somebody looked at is followed
MOST_LOOKED_AT = 8  # of those the latest: whoever looks at all zones of the world uses up no quota
NEEDED = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH")
STOPS_WITHIN_S = 2.0
ALL_ISSUES_FOR = timedelta(days=14)  # of older forecasts that no account cites one an hour is kept
LOOK_WITHIN_S = 1.5  # what a first look at a zone may take; what comes later is there for the next


class Gatherer:
    """Keeps what is known of the grid up to date; never raises, and never holds up planning.

    In a replay nothing is asked: services tell the present, and the replay is about another time.
    """

    def __init__(self, site: Site, grid: Grid, store: Store) -> None:
        self._site, self._grid, self._store = site, grid, store
        self._looked_at: dict[str, datetime] = {}
        self._asked_at = self._due = LONG_AGO
        self._training: subprocess.Popen[bytes] | None = None
        self._train_at = site.clock.now() + AFTER_START
        self.refresher = Refresher(grid.feeds, grid.archive, self.zones, seed=os.uname().nodename)

    def zones(self) -> tuple[str, ...]:
        """Zones of the regions, and those that somebody has looked at lately."""
        since = self._site.clock.now() - ASKED_FOR
        looked_at = sorted(self._looked_at.copy().items(), key=lambda each: each[1], reverse=True)
        lately = [zone for zone, at in looked_at[:MOST_LOOKED_AT] if at > since]
        placed = [zone for region in self._site.regions for zone in region.zones.values()]
        return tuple(dict.fromkeys([*placed, *lately]))

    def gather(self) -> None:
        """Asks what is due."""
        now = self._site.clock.now()
        if self._asks and not self._asked_at <= now < self._due:  # before: the clock was set back
            self._asked_at = now
            with told("gather"):
                self._due = self.refresher.turn(now)

    def look_at(self, zone: str) -> None:
        """Has a zone followed from now on; waits a moment for what services know of it."""
        now = self._site.clock.now()
        new = zone not in self.zones()
        self._looked_at[zone] = now
        if new and self._asks:
            with told("look", zone=zone):
                self.refresher.refresh_once(now, zone, LOOK_WITHIN_S)

    def tend(self) -> None:
        """Lets go what is older than the operator keeps and no account cites; trains once a day."""
        if self._asks:
            with told("prune"):
                self._prune()
            with told("train"):
                self._train(self._site.clock.now())

    def troubles(self) -> list[str]:
        """What is wrong with live sources, for people."""
        if self._grid.feeds and not self._asks:
            return ["live sources are not asked in a replay: the next source of the chain answers"]
        return [
            f"{each.source} {each.zone}, {each.what}: {each.text}"
            for each in self.refresher.health()
            if not each.ok
        ]

    @property
    def _asks(self) -> bool:
        return bool(self._grid.feeds) and not self._site.clock.replaying

    def _prune(self) -> None:
        now = self._site.clock.now()
        before, thin = now - self._site.settings.grid_retention, now - ALL_ISSUES_FOR
        cited = self._store.cited(time_ms(max(before, thin)))
        spans = [Citation(zone, moment(start_ms), moment(end_ms)) for zone, start_ms, end_ms in cited]
        gone = self._grid.archive.prune(before, spans, thin=thin)
        if gone:
            log.info("grid.pruned", pieces=gone, before=before.isoformat())

    def stop(self) -> None:
        """Ends a training that is under way; the models of before stay."""
        if self._training is not None:
            self._training.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._training.wait(STOPS_WITHIN_S)

    def _train(self, now: datetime) -> None:
        """Starts a training where one is due: a process of its own, at the lowest priority."""
        place, before = self._site.paths, self._training
        if before is not None:
            if before.poll() is None:
                return
            self._training = None
            log.info("models.trained", exit_code=before.returncode)  # 1: `training.log` tells what failed
        if not self._site.settings.own_models or now < max(self._train_at, _trained_at(place.models)):
            return
        self._train_at = now + TRAIN_EVERY
        command = [sys.executable, "-m", "tidewatt.forecasting.models.retrain"]
        command += ["--archive", str(place.archive), "--models", str(place.models)]
        with (place.log_folder / "training.log").open("ab") as told:
            self._training = subprocess.Popen(
                command, env=_without_keys(os.environ), stdin=subprocess.DEVNULL, stdout=told, stderr=told
            )
        log.info("models.training", pid=self._training.pid)


def _without_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """What a training needs of our environment: no credential of a service is among it."""
    return {name: environ[name] for name in NEEDED if name in environ} | {"OPENBLAS_NUM_THREADS": "1"}


def _trained_at(models: Path) -> datetime:
    """When a training is due after the newest model; long ago where there is none."""
    times = [file.stat().st_mtime for file in models.iterdir() if file.is_file()]
    return datetime.fromtimestamp(max(times), UTC) + TRAIN_EVERY if times else LONG_AGO
