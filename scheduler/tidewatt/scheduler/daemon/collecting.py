"""Brings home what ended attempts elsewhere used: an account waits for their readings, for a day at most."""

import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from tidewatt.backends import durable
from tidewatt.backends.backend import BackendError, Read
from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.daemon.faults import told
from tidewatt.scheduler.daemon.polling import attempt_folder
from tidewatt.scheduler.daemon.site import HOST, Site
from tidewatt.scheduler.jobs import AttemptState
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import AttemptRecord

log = structlog.get_logger()
FIRST_S = 2.0  # real seconds until the next try, each time twice as long
SLOWEST_S = 900.0
LONGEST_MS = 24 * 3_600_000  # of real time; what has not come by then is missing
MARK = "collected.json"


def readings_of(paths: Paths, attempt_id: str) -> Path:
    """Where an attempt's readings are: its own where it ran elsewhere, else those of this host."""
    if paths.system:
        return paths.readings  # all ran here, and what lies in a job's folder is its owner's word
    job_id, _, number = attempt_id.partition(".")
    own = paths.job(int(job_id)) / number / "readings"
    elsewhere = own.is_dir() or (own.parent / MARK).exists() or (own.parent / "engine.json").exists()
    return own if elsewhere else paths.readings


class Collector:
    """Asks the engines of ended attempts for their readings."""

    def __init__(self, site: Site, store: Store) -> None:
        self._site, self._store = site, store
        self._again: dict[str, tuple[float, float]] = {}  # attempt -> (not before, pause): monotonic seconds
        self._done: set[str] = set()

    def look(self) -> None:
        """Collects what is due of all jobs whose account is open."""
        attempts = self._store.attempts(self._store.open_accounts())
        for attempt in (each for own in attempts.values() for each in own):
            if (
                not self.complete([attempt])
                and time.monotonic() >= self._again.get(attempt.id, (0.0, 0.0))[0]
            ):
                with told("collect", attempt=attempt.id):
                    self._collect(attempt)

    def complete(self, attempts: Sequence[AttemptRecord]) -> bool:
        """Whether nothing more will come of these attempts."""
        return all(self._complete(attempt) for attempt in attempts)

    def _complete(self, attempt: AttemptRecord) -> bool:
        if attempt.backend == HOST or attempt.state is not AttemptState.ENDED or attempt.id in self._done:
            return True
        if (attempt_folder(self._site.paths, attempt) / MARK).exists():
            self._done.add(attempt.id)
            return True
        return False

    def _collect(self, attempt: AttemptRecord) -> None:
        folder = attempt_folder(self._site.paths, attempt)
        backend = self._site.backend_of(attempt.backend)
        reason = "" if isinstance(backend, Read) else f"{attempt.backend} tells nothing of it"
        try:
            came = not isinstance(backend, Read) or backend.collect(folder)
        except BackendError as error:
            came, reason = not error.transient, str(error)
        if not came and self._waited_ms(attempt) > LONGEST_MS:
            came, reason = True, reason or "it did not come within 24 h"
        if came:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            durable.replace(folder / MARK, {"reason": reason})
            log.info("attempt.collected", attempt=attempt.id, reason=reason)
            self._again.pop(attempt.id, None)
            return
        pause_s = min(SLOWEST_S, 2 * self._again.get(attempt.id, (0.0, FIRST_S / 2))[1])
        self._again[attempt.id] = (time.monotonic() + pause_s, pause_s)

    def _waited_ms(self, attempt: AttemptRecord) -> float:
        """Real milliseconds since its end."""
        now_ms = time_ms(self._site.clock.now())
        return (now_ms - (attempt.ended_ms or now_ms)) / self._site.clock.factor
