"""Who asks: on a shared server every request is somebody's, whom the kernel names.

The identity belongs to the connection (SO_PEERCRED, SO_PEERGROUPS of unix(7)), never to what a request says.
While the daemon answers, it is at hand as `current()`. There is none where a daemon serves its own user only,
and none for what the daemon does by itself: both may see and do everything.
"""

import grp
import os
import pwd
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from tidewatt.backends.owner import name_of, owner
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.store.records import JobRecord

_PEER_GROUPS = getattr(socket, "SO_PEERGROUPS", 59)
_ANSWER_BYTES = 1024  # all that Python takes of a socket option: 256 groups


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the kernel and the user database know them. `operator` may see and cancel all."""

    uid: int
    gid: int
    groups: frozenset[int]
    name: str
    operator: bool


NOBODY = Caller(-1, -1, frozenset(), "", operator=False)  # whom a shared daemon does not know yet


@dataclass(frozen=True, slots=True)
class Served:
    """Whom a shared daemon serves: the members of one group, and root. `operators` are groups, too."""

    gid: int
    group: str
    operators: frozenset[int] = frozenset()

    def admitted(self, connection: socket.socket) -> Caller | None:
        """Who is at the other end; None where it is nobody whom the daemon serves."""
        _pid, uid, gid = peer(connection)
        groups = frozenset((gid, *_peer_groups(connection, uid, gid)))
        if uid != 0 and self.gid not in groups:
            return None
        return Caller(uid, gid, groups, name_of(uid), uid == 0 or bool(groups & self.operators))


@dataclass(frozen=True, slots=True)
class Through:
    """How a request came: by the socket, a token or the page, how much that allows, and until when."""

    way: str = "socket"
    address: str = ""
    scope: str = "operate"
    expires_ms: int | None = None


_asking: ContextVar[Caller | None] = ContextVar("caller", default=None)
_through: ContextVar[Through] = ContextVar("through", default=Through())  # noqa: B039 - frozen


def current() -> Caller | None:
    """Who asks; None where the daemon serves its own user, or acts by itself."""
    return _asking.get()


def through() -> Through:
    """How the request came that is being answered."""
    return _through.get()


@contextmanager
def asking(caller: Caller | None, through: Through | None = None) -> Iterator[None]:
    """Within it, this is who asks."""
    token, way = _asking.set(caller), _through.set(through or Through())
    try:
        yield
    finally:
        _asking.reset(token)
        _through.reset(way)


def sees(job: JobRecord) -> bool:
    """Whether a job exists for whoever asks."""
    caller = current()
    return caller is None or caller.operator or job.uid == caller.uid


def only_uid() -> int | None:
    """The one user whose jobs exist for whoever asks; None for all."""
    caller = current()
    return None if caller is None or caller.operator else caller.uid


def user_name() -> str:
    """Whose jobs are submitted now: the caller's name, else that of the daemon's own user."""
    caller = current()
    if caller is not None:
        return caller.name
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def operator_only(what: str) -> None:
    """Raises Refused where whoever asks is no operator; `what` is for example "drain a region"."""
    caller = current()
    if caller is not None and not caller.operator:
        raise Refused(f"only operators of this server may {what}: ask one of them")
    if through().scope != "operate":
        raise Refused(f"this token may not {what}: that takes one of the scope operate")


def root_only(what: str) -> None:
    """Raises Refused where whoever asks is neither root nor the daemon's own user."""
    caller = current()
    if caller is not None and caller.uid != 0:
        raise Refused(f"only root may {what}: use sudo")
    if through().scope != "operate":
        raise Refused(f"this token may not {what}: that takes one of the scope operate")


def own_only(jobs: Iterable[JobRecord], what: str) -> None:
    """Raises Refused where one of the jobs is somebody else's, also for operators."""
    caller = current()
    if caller is not None and any(job.uid != caller.uid for job in jobs):
        raise Refused(f"only a job's own user may have it {what}")


def no_root() -> None:
    """Raises BadInput where root asks a shared daemon for a job of its own."""
    caller = current()
    if caller is not None and caller.uid == 0:
        raise BadInput(
            "jobs never run as root on a shared server: submit as the user whom the job is for"
            " (`sudo -u NAME tidewatt submit ...`)"
        )


def peer(connection: socket.socket) -> tuple[int, int, int]:
    """Pid, uid and gid of the process that connected."""
    size = struct.calcsize("3i")
    pid, uid, gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return pid, uid, gid


def served_group(name: str, operators: Iterable[str] = ()) -> Served:
    """The group that is served, by name or number, and the operators' groups.

    Raises:
        BadInput: One of them does not exist.
    """
    return Served(_gid(name), name, frozenset(_gid(each) for each in operators))


def caller_of(uid: int, served: Served) -> Caller | None:
    """A user as the user database knows them now; None for one who is not, or no longer, served."""
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return None
    groups = frozenset(os.getgrouplist(user.pw_name, user.pw_gid))
    if uid != 0 and served.gid not in groups:
        return None
    return Caller(uid, user.pw_gid, groups, user.pw_name, uid == 0 or bool(groups & served.operators))


def _gid(name: str) -> int:
    if name.isdecimal():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise BadInput(
            f"there is no group {name!r} on this host: make it (`groupadd --system {name}`), or name another"
        ) from None


def _peer_groups(connection: socket.socket, uid: int, gid: int) -> tuple[int, ...]:
    """The groups of the process that connected; of one with too many, what the user database says."""
    try:
        data = connection.getsockopt(socket.SOL_SOCKET, _PEER_GROUPS, _ANSWER_BYTES)
    except OSError:
        return owner(uid, gid).groups if uid else ()
    return struct.unpack(f"{len(data) // 4}I", data)
