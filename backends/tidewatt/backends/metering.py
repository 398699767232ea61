"""What an attempt has to do with the host's meter; none of it may stop its job or hold it up for long."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import Launch

if TYPE_CHECKING:
    from tidewatt.backends.meters.client import MeterClient
    from tidewatt.backends.meters.public_client import PublicMeterClient

PATIENCE_S = 2.0
RETRY_S = 30.0
_PROCESSES = 512


class Metering:
    """The readings around one attempt. Every call returns within `PATIENCE_S`, whatever the meter does."""

    def __init__(self, launch: Launch, say: Callable[[str], None]) -> None:
        self._launch = launch
        self._say = say
        self._told = 0

    def start(self, supervisor_pid: int, job_pid: int | None = None) -> bool:
        """Makes sure that a meter runs and knows the attempt; `job_pid` where it is not the supervisor's."""

        def start(readings: Path) -> bool:
            client = self._client(readings)
            return client.register(self._launch.attempt_id, supervisor_pid, job_pid) and client.ensure()

        return self._bounded("start the meter", start)

    def keep(self) -> float:
        """Starts the meter again where it was killed; returns in how many seconds to look again.

        A dead meter stays unnoticed for a small part of its interval only; one that cannot be started is left
        alone for a while, since trying costs the job's supervisor its attention.
        """
        readings = self._launch.readings
        if readings is None or self._client(readings).alive():
            return min(max(self._launch.meter_interval_s / 4, 0.2), 2.0)
        started = self._bounded("start the meter again", lambda folder: self._client(folder).ensure())
        return 0.2 if started else RETRY_S

    def read(self, when: str) -> bool:
        """Asks for a durable reading now; `when` is "start", "phase" (another one begins) or "end"."""

        def read(readings: Path) -> bool:
            return self._client(readings).read(f"{when} {self._launch.attempt_id}")

        return self._bounded("read the meter", read)

    def follow(self) -> None:
        """Asks for a reading where the job has told of something since the last look, of a new phase say."""
        told = _size(Attempt(self._launch.folder).marks)
        if told != self._told:
            self._told = told
            self.read("phase")

    def end(self) -> bool:
        """The meter may forget the attempt."""

        def end(readings: Path) -> bool:
            self._client(readings).unregister(self._launch.attempt_id)
            return True

        return self._bounded("leave the meter", end)

    def _client(self, readings: Path) -> "MeterClient | PublicMeterClient":
        from tidewatt.backends.meters import public_client

        if public_client.needed(readings):
            return public_client.PublicMeterClient(readings)
        from tidewatt.backends.meters.client import MeterClient  # only here: unmetered attempts start sooner

        return MeterClient(readings, self._launch.meter_interval_s, self._launch.clock)

    def _bounded(self, what: str, call: Callable[[Path], bool]) -> bool:
        if self._launch.readings is None:
            return True
        try:
            with _at_most(PATIENCE_S):
                if call(self._launch.readings):
                    return True
            self._say(f"could not {what}")
        except Exception as error:  # an error in metering is a warning of the job's, never its end
            self._say(f"could not {what}: {error!r}")
        return False


def _size(marks: Path) -> int:
    """How many bytes of marks there are; of a folder with too many files, in some of them."""
    try:
        with os.scandir(marks) as entries:
            files = [entry for entry in islice(entries, _PROCESSES) if entry.name.endswith(".jsonl")]
            return sum(entry.stat(follow_symlinks=False).st_size for entry in files)
    except OSError:  # the job has told nothing, or its files are just going
        return 0


class _TooLongError(Exception):
    pass


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raises in the middle of whatever takes longer."""

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise _TooLongError(f"no answer within {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
