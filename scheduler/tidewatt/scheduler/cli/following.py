"""Follows a job: its output as it grows, its state until it ends, a restart of the daemon in between."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tidewatt.scheduler.array import Key
from tidewatt.scheduler.cli.far_output import HOST, FarTail
from tidewatt.scheduler.cli.job_text import ENDED
from tidewatt.scheduler.cli.text import read, tell
from tidewatt.scheduler.client import Client, Json, NoDaemon
from tidewatt.scheduler.errors import BadInput, Refused, SchedulerError

POLL_S = 0.2
SLOWEST_S = 2.0
PATIENCE_S = 60.0  # how long a daemon may be away before a follower gives up
NO_DAEMON, NO_JOB_CODE = 120, 121


@dataclass(slots=True)
class Tail:
    """Copies what is appended to a file to a stream."""

    path: Path
    stream: BinaryIO
    offset: int = 0
    active: bool = True

    def look(self, job: Json | None) -> None:
        """Takes notice of where the job's attempts are: files here are not read for what runs elsewhere."""
        attempts = () if job is None else job.get("attempts", ())
        if attempts:
            self.active = any(each.get("backend", HOST) == HOST for each in attempts)

    def copy(self) -> bool:
        """Copies what is new; True where there was something. A file that is not there yet has nothing."""
        if not self.active:
            return False
        copied = 0
        try:
            with self.path.open("rb") as file, read():
                file.seek(self.offset)
                while chunk := file.read(65536):
                    self.stream.write(chunk)
                    copied += len(chunk)
                self.stream.flush()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise SchedulerError(f"the output {self.path} cannot be read: {error.strerror}") from None
        self.offset += copied
        return copied > 0


def outputs(client: Client, job: Json, offsets: dict[str, int] | None = None) -> list[Tail | FarTail]:
    """The tails of a job's files here, and of what it writes elsewhere."""
    key = str(job.get("key") or job["id"])
    found: list[Tail | FarTail] = [FarTail(client, key, sys.stdout.buffer)]
    if not client.far:
        found = [*tails(job, offsets), *found]
    elif job["stderr"] != job["stdout"]:
        found.append(FarTail(client, key, sys.stderr.buffer, "stderr"))
    for tail in found:
        tail.look(job)
    return found


def tails(job: Json, offsets: dict[str, int] | None = None) -> list[Tail]:
    """A tail for each output file of a job; one where both streams go to the same file."""
    starts = offsets or {}
    streams = {job["stdout"]: sys.stdout.buffer}
    streams.setdefault(job["stderr"], sys.stderr.buffer)
    return [Tail(Path(path), stream, starts.get(path, 0)) for path, stream in streams.items() if path]


@dataclass(slots=True)
class Watch:
    """Asks for jobs again and again, bearing with a daemon that is restarted."""

    client: Client
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    _answered: bool = False
    _away_since: float | None = None

    def job(self, key: Key | int) -> Json | None:
        """The job now; None while the daemon is away, for a minute at most."""
        try:
            job = self.client.job(key)
        except SchedulerError as error:
            if isinstance(error, Refused | BadInput) or not self._answered:
                raise
            self._miss(error)
            return None
        self._answered = True
        if self._away_since is not None:
            tell("tidewatt: the daemon is back")
            self._away_since = None
        return job

    def _miss(self, error: SchedulerError) -> None:
        now = self.monotonic()
        if self._away_since is None:
            self._away_since = now
            tell("tidewatt: the daemon is away, waiting for it; the job is not affected")
        elif now - self._away_since > PATIENCE_S:
            raise error if isinstance(error, NoDaemon) else NoDaemon()

    def until_ended(self, key: Key | int, between: Callable[[Json | None], bool]) -> Json:
        """The ended job, or array. `between` is called after each look; after a True the next is soon."""
        pause_s = POLL_S
        while True:
            job = self.job(key)
            busy = between(job)
            if job is not None and job["state"] in ENDED:
                return job
            pause_s = POLL_S if busy else min(pause_s * 1.3, SLOWEST_S)
            self.sleep(pause_s)


def follow(watch: Watch, key: Key | int, copies: Sequence[Tail | FarTail]) -> Json:
    """Streams a job's output until it ends; the ended job. Called again, it goes on where it was."""

    def between(job: Json | None) -> bool:
        for tail in copies:
            tail.look(job)
        return sum(tail.copy() for tail in copies) > 0  # all of them, also after one that had something

    job = watch.until_ended(key, between)
    between(job)  # what was written between the last look and the end
    return job


def exit_code(job: Json) -> int:
    """What `run` and `wait` exit with: the job's code, 128+n for a signal, 121 where it has none.

    Of an array the first code that is not zero.
    """
    if "jobs" in job:
        return next((code for code in map(exit_code, job["jobs"]) if code), 0)
    if job["state"] == "done":
        return 0
    attempts = job["attempts"]
    if job["state"] == "cancelled" or not attempts:
        return NO_JOB_CODE
    last = attempts[-1]
    if last["signal"] is not None:
        return 128 + int(last["signal"])
    return int(last["exit_code"]) or 1 if last["exit_code"] is not None else NO_JOB_CODE


def reasons(job: Json) -> Iterator[str]:
    """Why an ended job did not end well."""
    if job["state"] != "done" and job["reason"]:
        yield f"tidewatt: job {job.get('key') or job['id']} {job['state']}: {job['reason']}"
