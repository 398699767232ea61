"""Leases on GPUs: one lock per UUID in a folder of the host, so that no two daemons hand out the same GPU.

A lease belongs to an open file, which the job inherits: it lives as long as either the supervisor or the
job does.
"""

import json
import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tidewatt.backends import durable, lock
from tidewatt.backends.backend import BackendError

_MOST_BYTES = 4096  # of what a lease says of its holder
SHARED_FOLDER = Path("/run/lock")  # on some systems world-writable (Debian), on some root's own (Fedora)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who says that he holds a lease. `key` is `key(folder)` of the attempt; `pid` its supervisor's."""

    attempt_id: str
    pid: int
    uid: int
    key: str

    def __str__(self) -> str:
        """For people, without saying where the attempt's folder is."""
        return f"job {self.attempt_id.partition('.')[0]} of user {self.uid}, pid {self.pid}"


UNNAMED = Holder("?", 0, 0, "")  # the lock is held, but its file does not (yet) say by whom


class LeaseError(BackendError):
    """A GPU is leased by somebody else; try again later."""

    def __init__(self, message: str) -> None:
        super().__init__(message, transient=True)


def folder() -> Path:
    """The host's folder of leases: TIDEWATT_LEASES, else the same one for every user of the host."""
    asked = os.environ.get("TIDEWATT_LEASES")
    if asked:
        return Path(asked)
    with suppress(OSError):
        mode = SHARED_FOLDER.stat().st_mode
        if mode & stat.S_ISVTX and mode & stat.S_IWOTH:
            return SHARED_FOLDER / "tidewatt"
    return Path("/tmp/tidewatt-leases")  # noqa: S108 - sticky, 0666 files opened with O_NOFOLLOW


def key(attempt_folder: Path) -> str:
    """Tells attempts of different daemons apart in a file that everybody may read."""
    import hashlib  # only here: jobs without GPUs start sooner

    return hashlib.sha256(os.fsencode(attempt_folder.resolve())).hexdigest()[:16]


class Lease:
    """A held lease; let go by `release`, or by the end of every process that inherited it."""

    def __init__(self, uuid: str, fd: int) -> None:
        self.uuid = uuid
        self.fd = fd

    @classmethod
    def take(cls, uuid: str, holder: Holder) -> "Lease":
        """Leases a GPU.

        Raises:
            LeaseError: Somebody else has it; the text says who.
            BackendError: The folder of leases cannot be used.
        """
        path = _path(uuid)
        fd = _open(path)
        if not lock.take(fd):
            os.close(fd)
            other = holders([uuid])[uuid] or UNNAMED
            raise LeaseError(f"{uuid} is leased by another daemon's job ({other})")
        text = json.dumps([holder.attempt_id, holder.pid, holder.uid, holder.key])
        with suppress(OSError):  # a full disk must not stop the job: the lock counts, the text is for people
            os.ftruncate(fd, 0)
            os.pwrite(fd, text.encode(), 0)
        return cls(uuid, fd)

    def release(self) -> None:
        """Lets go; safe to repeat."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


def take_all(uuids: Sequence[str], holder: Holder) -> list[Lease]:
    """Leases all of them or, raising as `Lease.take` does, none."""
    leases: list[Lease] = []
    try:
        for uuid in sorted(set(uuids)):
            leases.append(Lease.take(uuid, holder))
    except BackendError:
        for lease in leases:
            lease.release()
        raise
    return leases


def holders(uuids: Iterable[str]) -> dict[str, Holder | None]:
    """Who leases each GPU now, None where nobody does. Looking disturbs nobody."""
    return {uuid: _holder(_path(uuid)) for uuid in uuids}


def _holder(path: Path) -> Holder | None:
    try:
        if not lock.held(path):
            return None
        # everybody of the host may have put it there: a pipe, a link, something without end
        attempt_id, pid, uid, key = json.loads(durable.read_bytes(path, _MOST_BYTES) or b"")
        return Holder(_plain(attempt_id), int(pid), int(uid), _plain(key))
    except (OSError, ValueError, TypeError, OverflowError, RecursionError, durable.CorruptError):
        return UNNAMED


def _plain(word: object) -> str:
    """It, with nothing that would steer a terminal."""
    return "".join(letter for letter in str(word) if letter.isprintable())


def _path(uuid: str) -> Path:
    if uuid.startswith("MIG-GPU-"):  # drivers before 470 write the parts of a GPU with slashes
        uuid = uuid.replace("/", "_")
    if not uuid or "/" in uuid or uuid.startswith("."):
        raise BackendError(f"{uuid!r} is not the UUID of a GPU")
    return folder() / uuid


def _open(path: Path) -> int:
    """Opens the lease's file for everybody to lock, making it and its folder where need be."""
    try:
        if not path.parent.is_dir():
            with suppress(FileExistsError):
                path.parent.mkdir()
                path.parent.chmod(0o1777)
        with suppress(FileExistsError):
            # First without O_CREAT's help: fs.protected_regular refuses it on another user's file in a
            # sticky folder.
            made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            os.fchmod(made, 0o666)
            return made
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise BackendError(
            f"the GPU lease {path} cannot be opened ({error.strerror}): make {path.parent} a folder "
            "with mode 1777 that every user of this host may write to, or set TIDEWATT_LEASES to one",
            transient=True,
        ) from error
