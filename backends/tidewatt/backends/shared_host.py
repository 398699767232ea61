"""Runs jobs on this host for several users: every supervisor, job and file is its submitter's.

The daemon is root here, and what lies in a job's folder may have been put there by its owner. So nothing is
done there with root's rights: what has to be quick is done with the owner's access to files (`acting_as`),
all the rest by a process of the owner's (`becoming`). Whose a folder is, is told by the folder of the job,
which lies in one of root's.
"""

import base64
import os
import stat
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tidewatt.backends import becoming, durable
from tidewatt.backends.allowance import Allowance
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import (
    AttemptStatus,
    BackendError,
    Launch,
    Owner,
    PauseMode,
    Phase,
    StopReason,
)
from tidewatt.backends.local import LocalBackend
from tidewatt.backends.owner import acting_as, owner

_LATEST_MS = 2**53
_LONGEST = 1000  # of what an owner's supervisor says
_MOST_WARNINGS = 50
_REMEMBERED = 10_000  # attempts


class SharedHost(LocalBackend):
    """Attempts of several users as processes of this host.

    `jobs` is the folder of all jobs, root's own; `served` the group that may submit.
    """

    def __init__(self, jobs: Path, served: int | None = None) -> None:
        super().__init__()
        self.jobs = jobs
        self.served = served
        self._allowance = Allowance()
        self._last: dict[Path, AttemptStatus] = {}

    def owner_of(self, folder: Path) -> Owner:
        """Whose the attempt is.

        Raises:
            BackendError: Nobody's but root's, or it is no attempt's folder.
        """
        home = folder.parent
        if home.parent != self.jobs or not (home.name.isdecimal() and folder.name.isdecimal()):
            raise BackendError(f"{folder} is not the folder of an attempt below {self.jobs}")
        try:
            found = home.lstat()
        except OSError as error:
            raise BackendError(f"the job's folder {home} cannot be looked at: {error.strerror}") from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid == 0:
            raise BackendError(f"the job's folder {home} is nobody's: jobs never run as root here")
        return owner(found.st_uid, found.st_gid, self.served)

    def submit(self, launch: Launch) -> None:
        """As of any host, with the supervisor as the owner of the job's folder."""
        who = self.owner_of(launch.folder)
        if launch.owner is not None and launch.owner.uid != who.uid:
            raise BackendError(f"{launch.folder} belongs to {who.name}, the job to {launch.owner.name}")
        with acting_as(who):
            Attempt(launch.folder).make()
            self._own(launch.folder, who)
            super().submit(launch)

    def status(self, folders: Iterable[Path]) -> dict[Path, AttemptStatus]:
        """As of any host; what an owner's files say is taken for what it is.

        Of one whose files take too long it is what was seen last.
        """
        found = {folder: self._seen(folder) for folder in folders}
        if len(self._last) > _REMEMBERED:
            self._last.clear()
        self._last |= found
        return found

    def stop(self, folder: Path, reason: StopReason) -> None:
        """As of any host, by a process of the owner's."""
        self._by_owner(folder, "stop", reason.value)

    def poison(self, folder: Path) -> bool:
        """As of any host."""
        with acting_as(self.owner_of(folder)):
            return super().poison(folder)

    def logs(self, folder: Path, offset: int = 0, limit: int = 1_000_000) -> bytes:
        """As of any host, read by a process of the owner's."""
        answer = self._by_owner(folder, "logs", str(offset), str(min(limit, becoming.MOST_BYTES // 2)))
        try:
            return base64.b64decode(str(answer["data"]))[:limit]
        except (KeyError, ValueError) as error:
            raise BackendError(f"the output of the attempt in {folder} cannot be read") from error

    def pause(self, folder: Path, mode: PauseMode) -> None:
        """As of any host, by a process of the owner's."""
        self._by_owner(folder, "pause", mode.value)

    def resume(self, folder: Path) -> None:
        """As of any host, by a process of the owner's."""
        self._by_owner(folder, "resume")

    def signal(self, folder: Path, name: str) -> None:
        """As of any host, by a process of the owner's."""
        self._by_owner(folder, "signal", name)

    def processes(self, folder: Path) -> frozenset[int]:
        """As of any host: no process of other users' is among them."""
        try:
            who = self.owner_of(folder)
        except BackendError:
            return frozenset()
        try:
            with acting_as(who):
                found = super().processes(folder)
        except Exception:  # whatever an owner put there, the others' processes are looked for
            return frozenset()
        return frozenset(pid for pid in found if _uid_of(pid) == who.uid)

    def _spawn(self, argv: list[str], log: str) -> int:
        """Starts a supervisor as the owner of the folder, which is its last argument."""
        who = self.owner_of(Path(argv[-1]))
        with acting_as(who):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            out = os.open(log, flags, durable.MODE)
        try:
            if not stat.S_ISREG(os.fstat(out).st_mode):
                raise BackendError(f"{log} is not a plain file")
            os.set_blocking(out, True)
            process = becoming.started(who, ["supervise", argv[-1]], self.python, out)
        finally:
            os.close(out)
        process.returncode = 0  # it is waited for by its number, with all the others
        return process.pid

    def _by_owner(self, folder: Path, *words: str) -> dict[str, object]:
        what, *rest = words
        who = self.owner_of(folder)
        if self._allowance.spent(who.uid):
            raise BackendError(
                f"processes of {who.name} kept the daemon waiting too long: it tries again in a while",
                transient=True,
            )
        with self._allowance.paying(who.uid):
            return becoming.asked(who, what, os.fspath(folder), *rest, python=self.python)

    def _own(self, folder: Path, who: Owner) -> None:
        """Raises BackendError where the attempt's folder is a link, or somebody else's."""
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != who.uid:
            raise BackendError(f"the attempt's folder {folder} is not a folder of {who.name}'s")

    def _seen(self, folder: Path) -> AttemptStatus:
        try:
            who = self.owner_of(folder)
            if folder in self._last and self._allowance.spent(who.uid):
                return self._last[folder]
            with self._allowance.paying(who.uid), acting_as(who):
                self._own(folder, who)
                return believable(super().status([folder])[folder])
        except (BackendError, OSError) as error:
            return AttemptStatus(Phase.UNKNOWN, reason=f"cannot be told: {plain(str(error))}")
        except Exception as error:  # whatever an owner put there, the others' attempts are looked at
            return AttemptStatus(Phase.UNKNOWN, reason=f"cannot be told: {type(error).__name__}")


def believable(status: AttemptStatus) -> AttemptStatus:
    """A status as it may be stored: whole numbers in their bounds, short sentences; UNKNOWN for any other."""
    moments = [status.started_ms, status.ended_ms, *(move.at_ms for move in status.moves)]
    numbers = [*moments, status.exit_code, status.signal]
    texts = [status.reason, *status.warnings, *(move.reason for move in status.moves)]
    sound = (
        all(each is None or (type(each) is int and abs(each) < _LATEST_MS) for each in numbers)
        and all(isinstance(text, str) and len(text) <= _LONGEST for text in texts)
        and len(status.warnings) <= _MOST_WARNINGS
        and (status.exit_code is None or 0 <= status.exit_code <= 255)
        and (status.signal is None or 0 < status.signal < 128)
        and all(moment is None or moment >= 0 for moment in moments)
        and not (status.started_ms is not None and (status.ended_ms or status.started_ms) < status.started_ms)
    )
    if sound:
        return replace(
            status,
            reason=plain(status.reason),
            warnings=tuple(map(plain, status.warnings)),
            moves=tuple(replace(move, reason=plain(move.reason)) for move in status.moves),
        )
    return AttemptStatus(Phase.UNKNOWN, reason="its files hold what no supervisor writes: were they changed?")


def plain(text: str) -> str:
    """A sentence for people, with nothing that would steer a terminal, and not too long."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_LONGEST])


def _uid_of(pid: int) -> int | None:
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None
