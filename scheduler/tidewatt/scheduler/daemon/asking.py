"""What running attempts are asked for: on this host at once, elsewhere over the line to their engine.

So an engine that hangs holds up neither rounds nor requests. A line keeps the order in which it was asked.
"""

import time
from collections.abc import Callable, Collection
from functools import partial

import structlog

from tidewatt.backends.backend import BackendError, Pause, StopReason
from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.daemon.faults import told
from tidewatt.scheduler.daemon.launching import attempt_folder
from tidewatt.scheduler.daemon.polling import Polls
from tidewatt.scheduler.daemon.resuming import has_run
from tidewatt.scheduler.daemon.site import HOST, Site
from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.jobs import AttemptState
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

log = structlog.get_logger()
AGAIN_S = 10.0  # real seconds until what nothing came of is asked for once more


class Asking:
    """Asks; when it did is remembered by the lines, for all who ask."""

    def __init__(self, site: Site, store: Store, polls: Polls) -> None:
        self._site, self._store, self._polls = site, store, polls

    def ask(
        self,
        attempt: AttemptRecord,
        what: str,
        call: Callable[[], None],
        failed: Callable[[Exception], None],
        *,
        again: bool = False,
    ) -> None:
        """Does `call` for an attempt on this host; has it done where the attempt is elsewhere.

        What an engine has heard is done, whatever it says when it is asked for the same `again`.

        Raises:
            BackendError: where it is on this host; of what is done elsewhere `failed` hears.
        """
        key, asked_at, heard = (attempt.id, what), self._polls.asked_at, self._polls.heard
        if attempt.backend == HOST:
            asked_at[key] = time.monotonic()
            call()
            return
        if not again:
            heard.discard(key)

        def over(error: Exception | None = None) -> None:
            asked_at[key] = time.monotonic()
            if error is not None and key not in heard:
                failed(error)

        def done() -> None:
            call()
            heard.add(key)
            over()

        asked_at[key] = float("inf")
        self._polls.tell(attempt.backend, done, over)

    def lately(self, attempt: AttemptRecord, what: str) -> bool:
        """Whether it was asked for a moment ago, or is still on its way."""
        return time.monotonic() - self._polls.asked_at.get((attempt.id, what), float("-inf")) < AGAIN_S

    def forget(self, live: Collection[str]) -> None:
        """Forgets all attempts but these."""
        for key in [each for each in tuple(self._polls.asked_at) if each[0] not in live]:
            self._polls.asked_at.pop(key, None)
            self._polls.heard.discard(key)

    def able(self, attempt: AttemptRecord) -> Pause:
        """Its backend.

        Raises:
            Refused: where that can neither pause nor signal.
        """
        backend = self._site.backend_of(attempt.backend)
        if not isinstance(backend, Pause):
            raise Refused(f"the backend {attempt.backend!r} cannot pause or signal jobs")
        return backend

    def warn(self, attempt: AttemptRecord, said: str, error: Exception) -> None:
        """Tells of what its engine could not be told, once for each thing that was `said`."""
        _warn(self._site, self._store, attempt, said, error)


def let_go(site: Site, store: Store, polls: Polls, job: JobRecord) -> None:
    """Lets an engine forget what it keeps of a paused job that will not go on."""
    attempts = [each for each in store.attempts([job.id])[job.id] if each.state is AttemptState.ENDED]
    if not has_run(job) or not attempts:
        return
    with told("let go", job=job.id):
        last = attempts[-1]
        stop = partial(
            site.backend_of(last.backend).stop, attempt_folder(site.paths, last), StopReason.CANCELLED
        )
        if last.backend == HOST:
            stop()
            return
        said = f"{last.region} may still keep what it was given of attempt {last.id}"
        polls.tell(last.backend, stop, partial(_warn, site, store, last, said))


def _warn(site: Site, store: Store, attempt: AttemptRecord, said: str, error: Exception) -> None:
    with store.transaction() as transaction:
        job = store.job(attempt.job_id)  # within it: whoever else changes the job waits for us
        if job is None or any(each.startswith(said) for each in job.warnings):
            return
        now_ms, sentence = time_ms(site.clock.now()), f"{said}: {error}"
        transaction.append(now_ms, "warning", job_id=job.id, attempt_id=attempt.id, reason=sentence)
        transaction.change_job(job.id, warnings=(*job.warnings, sentence))


def final(error: Exception) -> bool:
    """Whether asking again is of no use."""
    return isinstance(error, BackendError) and not error.transient
