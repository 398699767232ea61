"""Lines to engines elsewhere: each kind has a thread that polls it and tells it things, one after another.

So an engine that hangs keeps neither the rounds nor the guard from their work. All attempts of a kind are
asked for at once, ever more rarely while nothing changes or nobody answers.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from tidewatt.backends.backend import AttemptStatus, BackendError, Phase
from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.daemon.site import HOST, Site
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import AttemptRecord

log = structlog.get_logger()
SOONEST_S = 1.0
SLOWEST_S = 30.0
GROWTH = 1.5  # of the interval, while nothing changes


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """How the engine of a region answers; times on the jobs' clock.

    `answered_ms` is its last good answer, None where there was none yet; `error` is what came last in its
    place, since `failing_ms`. `attempts` were asked for.
    """

    region: str
    backend: str
    answered_ms: int | None = None
    error: str = ""
    failing_ms: int | None = None
    attempts: int = 0

    def told(self, statuses: Iterable[AttemptStatus], now_ms: int) -> "EngineHealth":
        """After a poll that said this of its attempts."""
        found = list(statuses)
        silent = [each for each in found if each.phase is Phase.UNKNOWN]
        if found and len(silent) == len(found):
            error = silent[0].reason or "its attempts cannot be seen"
            since_ms = now_ms if self.failing_ms is None else self.failing_ms
            return replace(self, error=error, failing_ms=since_ms, attempts=len(found))
        return EngineHealth(self.region, self.backend, now_ms, attempts=len(found))


def pause_s(before_s: float, *, changed: bool, slowest_s: float = SLOWEST_S) -> float:
    """How long to wait for the next poll, after one that brought something new or did not."""
    return SOONEST_S if changed else min(slowest_s, before_s * GROWTH)


def attempt_folder(paths: Paths, attempt: AttemptRecord) -> Path:
    """The attempt's own folder."""
    return paths.job(attempt.job_id) / str(attempt.number)


@dataclass(frozen=True, slots=True)
class _Task:
    """Something to tell an engine."""

    call: Callable[[], None]
    failed: Callable[[Exception], None]


class _Line:
    """The line to one kind of engine."""

    def __init__(self, kind: str, site: Site, store: Store) -> None:
        self.kind, self._site, self._store = kind, site, store
        self.health: dict[str, EngineHealth] = {}
        self._tasks: deque[_Task] = deque()
        self._statuses: dict[str, AttemptStatus] = {}
        self._news: dict[str, AttemptStatus] = {}
        self._every_s = SOONEST_S
        self._asked_at = float("-inf")
        self._guard = threading.Condition()
        self._thread: threading.Thread | None = None
        self._slowest_s = max(SOONEST_S, SLOWEST_S / max(1.0, site.clock.factor))

    def begin(self) -> None:
        """Works in a thread of its own from now on."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"line-{self.kind}", daemon=True)
            self._thread.start()

    def add(self, task: _Task) -> None:
        """Has the engine told something, soon; at once where no thread works."""
        with self._guard:
            self._every_s = SOONEST_S
            if self._thread is not None:
                self._tasks.append(task)
                self._guard.notify()
                return
        _do(task, self.kind)

    def news(self) -> dict[str, AttemptStatus]:
        """What is new since the last time."""
        if self._thread is None:
            self._poll()
        with self._guard:
            found, self._news = self._news, {}
            return found

    def _work(self) -> None:
        while True:
            with self._guard:
                if not self._tasks:
                    self._guard.wait(max(0.0, self._asked_at + self._every_s - time.monotonic()))
                task = self._tasks.popleft() if self._tasks else None
            if task is not None:
                _do(task, self.kind)
            if time.monotonic() >= self._asked_at + self._every_s:
                try:
                    self._poll()
                except Exception:
                    # the line's boundary: whatever a backend does, it is asked again
                    log.exception("poll.failed", backend=self.kind)
                    self._asked_at, self._every_s = time.monotonic(), self._slowest_s

    def _poll(self) -> None:
        """Asks for all attempts in one call."""
        self._asked_at = time.monotonic()
        theirs = [each for each in self._store.live_attempts() if each.backend == self.kind]
        if not theirs:
            self._statuses, self._every_s = {}, SOONEST_S
            return
        folders = {each.id: attempt_folder(self._site.paths, each) for each in theirs}
        found = self._site.backend_of(self.kind).status(list(folders.values()))
        now_ms = time_ms(self._site.clock.now())
        statuses = {attempt_id: found[folder] for attempt_id, folder in folders.items()}
        self._tell_health(theirs, statuses, now_ms)
        changed = {key: each for key, each in statuses.items() if each != self._statuses.get(key)}
        with self._guard:
            self._statuses = statuses
            # all of them: whoever records it may have failed the last time
            self._news.update(statuses)
            self._every_s = pause_s(self._every_s, changed=bool(changed), slowest_s=self._slowest_s)

    def _tell_health(
        self, theirs: list[AttemptRecord], statuses: Mapping[str, AttemptStatus], now_ms: int
    ) -> None:
        for region in {each.region for each in theirs}:
            here = [statuses[each.id] for each in theirs if each.region == region]
            before = self.health.get(region, EngineHealth(region, self.kind))
            after = before.told(here, now_ms)
            self.health[region] = after
            if bool(before.error) != bool(after.error):
                told = log.warning if after.error else log.info
                told("engine.silent" if after.error else "engine.answers", region=region, error=after.error)


class Polls:
    """The lines to all kinds of engines but this host."""

    def __init__(self, site: Site, store: Store) -> None:
        self._site, self._store = site, store
        self._lines: dict[str, _Line] = {}
        self._begun = False
        # of what attempts are asked for on their way (see `Asking`), whoever asks:
        # attempt, what -> real monotonic seconds of the last time; inf: it is still on its way
        self.asked_at: dict[tuple[str, str], float] = {}
        self.heard: set[tuple[str, str]] = set()  # by their engines

    def begin(self) -> None:
        """Has each line work in a thread of its own; without it all is done where it is asked for."""
        self._begun = True
        for kind in {*self._site.others, *(each.backend for each in self._store.live_attempts())} - {HOST}:
            self._line(kind)

    def tell(self, kind: str, call: Callable[[], None], failed: Callable[[Exception], None]) -> None:
        """Has an engine told something, after all that it was to be told before."""
        self._line(kind).add(_Task(call, failed))

    def news(self, kinds: Iterable[str]) -> dict[str, AttemptStatus]:
        """What the engines of these kinds say of their attempts, by id, since the last time."""
        found: dict[str, AttemptStatus] = {}
        for kind in kinds:
            found |= self._line(kind).news()
        return found

    def health(self) -> dict[str, EngineHealth]:
        """How the engines of the regions answer, by region; of those that were asked."""
        return {region: each for line in tuple(self._lines.values()) for region, each in line.health.items()}

    def _line(self, kind: str) -> _Line:
        if kind not in self._lines:
            self._lines[kind] = _Line(kind, self._site, self._store)
        if self._begun:
            self._lines[kind].begin()
        return self._lines[kind]


def _do(task: _Task, kind: str) -> None:
    try:
        task.call()
    except (BackendError, SchedulerError, OSError) as error:
        log.warning("engine.not_told", backend=kind, error=str(error))
        task.failed(error)
    except Exception as error:
        # the line's boundary: a fault of one backend must not end its line
        log.exception("engine.failed", backend=kind)
        task.failed(error)
