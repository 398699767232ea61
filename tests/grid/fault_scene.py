"""One service in one fault, and a Tidewatt that asks it: wired as in production, but that no wait takes time.

Less history is asked for than in production, since thousands of steps make no fault any different.
"""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.grid.asking import Clock
from tests.grid.faults import Case
from tests.grid.server import GridServer
from tests.grid.services import SERVICES, Service
from tidewatt.forecasting.feeds import entsoe, http_json, transport
from tidewatt.forecasting.feeds.feed import Feed
from tidewatt.forecasting.refresh import Refresher
from tidewatt.forecasting.series import Outlook
from tidewatt.scheduler.cli import grid_checks
from tidewatt.scheduler.cli.checks import Finding
from tidewatt.scheduler.config import Grid, grid
from tidewatt.scheduler.paths import Paths, paths
from tidewatt.scheduler.settings import Settings

HEALTHY_UNTIL = timedelta(hours=8)  # before the fault
HORIZON = timedelta(hours=48)
SPAN, FITTED = timedelta(days=4), timedelta(days=15)
PATIENCE_S, SHORT_S = 20.0, 0.03
SOON = timedelta(seconds=20)
LARGEST_BYTES = 2 * 2**20


@dataclass(frozen=True)
class Seen:
    """What a user sees of a fault, and what the service saw of us."""

    outlook: Outlook
    findings: tuple[Finding, ...]  # of `doctor`, which asks the same of a service whatever came before
    asked: tuple[str, ...]  # paths, in order
    asked_again: int  # within seconds
    lookups: int  # of the caller's own place


@dataclass(frozen=True)
class Scene:
    """A stand-in, a state folder, and settings by which the one is asked and the other filled."""

    service: Service
    case: Case
    server: GridServer
    place: Paths
    settings: Settings


def seen(service: Service, case: Case, *, known: bool) -> Seen:
    """What is seen of a service that had answered well for a while (`known`), or never did."""
    with _scene(service, case) as scene:
        if known:
            shutil.copy(_healthy(service.name, case), scene.place.archive)
        made, refresher = _asking(scene)
        if case.warm and known:
            scene.server.now = case.now - timedelta(hours=1)
            refresher.refresh_once(scene.server.now, service.zone, PATIENCE_S)
            scene.server.now = case.now
            scene.server.requests.clear()
        case.bring(scene.server)
        try:
            return _looked_at(scene, made, refresher, checked=known)
        finally:
            made.archive.close()


def _looked_at(scene: Scene, made: Grid, refresher: Refresher, *, checked: bool) -> Seen:
    now, service, server = scene.case.now, scene.service, scene.server
    refresher.refresh_once(now, service.zone, PATIENCE_S)
    asked = tuple(request.path for request in server.requests)
    refresher.refresh_once(now + SOON, service.zone, PATIENCE_S)
    again = len(server.requests) - len(asked)
    outlook = made.chain.outlook(service.zone, service.signal, now, now + HORIZON)
    assert outlook is not None
    findings = tuple(grid_checks.findings(scene.settings, scene.place, now) if checked else ())
    return Seen(outlook, findings, asked, again, getattr(server, "caller_lookups", 0))


def _asking(scene: Scene) -> tuple[Grid, Refresher]:
    made = grid(scene.settings, scene.place)
    for feed in made.feeds:
        _hasten(feed)
    zone = scene.service.zone
    return made, Refresher(made.feeds, made.archive, lambda: (zone,), seed="a host", clock=_still)


def _hasten(feed: Feed) -> None:
    """Less history at a time, where it is weeks."""
    if feed.cadence.span > 2 * SPAN:
        feed.cadence = replace(feed.cadence, span=SPAN)  # type: ignore[misc]  # these feeds have a plain attribute


@contextmanager
def _scene(service: Service, case: Case) -> Iterator[Scene]:
    hurried = _hurried(SHORT_S if case.hangs else PATIENCE_S)
    with (
        service.serve(case.now) as server,
        tempfile.TemporaryDirectory(prefix="tw-") as folder,
        patch.object(transport, "Transport", hurried),
        patch.object(http_json, "Transport", hurried),
        patch.object(entsoe, "PAST", FITTED),
        patch.dict(os.environ, service.credentials),
    ):
        place = paths({"XDG_RUNTIME_DIR": folder}, Path(folder))
        place.make()
        source = service.source(silent() if case.unheard else server.url) | dict(case.options)
        table = {"zone": service.zone, "signal": str(service.signal), "source": [source]}
        yield Scene(service, case, server, place, Settings.model_validate(table))


def _hurried(patience_s: float) -> type[transport.Transport]:
    """A transport whose waits take no time, and that waits so long for an answer."""
    clock = Clock()

    class Hurried(transport.Transport):
        def __init__(self, name: str, **options: Any) -> None:
            options |= {"timeout_s": (patience_s, patience_s), "clock": clock, "wait": clock.wait}
            options |= {"largest_bytes": LARGEST_BYTES}
            super().__init__(name, **options)

    return Hurried


def _healthy(name: str, case: Case) -> Path:
    """An archive of a service that was well until some hours before."""
    return _filled(name, replace(case, bring=id, warm=False, hangs=False, unheard=False))


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tw-")


_KEPT: dict[tuple[object, ...], Path] = {}


def _filled(name: str, case: Case) -> Path:
    key = (name, case.now, *case.options.items())
    if key not in _KEPT:
        with _scene(SERVICES[name], case) as scene:
            made, refresher = _asking(scene)
            scene.server.now = case.now - HEALTHY_UNTIL
            ended = refresher.refresh_once(scene.server.now, scene.service.zone, PATIENCE_S)
            made.archive.close()
            assert all(each.ok for each in ended), ended
            _KEPT[key] = Path(_folder().name) / f"{len(_KEPT)}.db"
            shutil.copy(scene.place.archive, _KEPT[key])
    return _KEPT[key]


def _still() -> float:
    """A clock for which fetches take no time."""
    return 0.0


def silent() -> str:
    """An address where nothing listens."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{trial.getsockname()[1]}"
