"""Whose a job is on a shared server: the user as the system knows it, and file access as that user."""

import ctypes
import os
import platform
import pwd
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tidewatt.backends.backend import BackendError, Owner

# Of setgroups(2), by machine: the C library's own call would change all threads of the process.
_SETGROUPS = {"x86_64": 116, "aarch64": 159, "riscv64": 159, "ppc64le": 81, "s390x": 206}
_REMEMBERED_S = 60.0
_ASK = 0xFFFFFFFF  # no such id: setfsuid(2) then changes nothing and tells the present one
_remembered: dict[int, tuple[float, Owner | None]] = {}


def owner(uid: int, gid: int, served: int | None = None) -> Owner:
    """The user with all groups that the user database gives; remembered for a minute.

    One without an entry there is known by number, with the group `gid` and the group that is `served`.

    Raises:
        BackendError: That would be root.
    """
    if uid == 0:
        raise BackendError("jobs never run as root here: submit as the user whom the job is for")
    now = time.monotonic()
    looked_at, known = _remembered.get(uid, (float("-inf"), None))
    if now - looked_at > _REMEMBERED_S:
        known = _looked_up(uid)
        _remembered[uid] = (now, known)
    if known is not None:
        return known
    return Owner(uid, gid, tuple(dict.fromkeys(group for group in (gid, served) if group)), str(uid))


def name_of(uid: int) -> str:
    """The user's name, the number of one that has none."""
    if uid == 0:
        return "root"
    return owner(uid, uid).name


def _looked_up(uid: int) -> Owner | None:
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return None
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    return Owner(uid, user.pw_gid, tuple(groups), user.pw_name)


def supported() -> str:
    """Why nobody else's files can be handled safely here; "" where they can."""
    if os.geteuid() != 0:
        return "only root can run jobs as the users who submit them: use sudo"
    if platform.machine() not in _SETGROUPS:
        return f"access as another user is not known on {platform.machine()} machines"
    return ""


@contextmanager
def acting_as(who: Owner | None) -> Iterator[None]:
    """Within it this thread reaches files as that user would, and makes them that user's.

    Only this thread, and only for files (setfsuid(2)): unlike with seteuid(2), the user can neither signal
    nor trace it meanwhile. Root's power over files is gone until the end, so that a link which somebody puts
    into a folder of theirs leads nowhere where they could not go themselves. Nothing happens for None.

    Raises:
        BackendError: The kernel did not let it.
    """
    if who is None:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    groups = os.getgroups()  # of this thread
    gid = libc.setfsgid(ctypes.c_uint(_ASK))
    uid = libc.setfsuid(ctypes.c_uint(_ASK))
    try:
        _become(libc, who.uid, who.gid, who.groups)
        yield
    finally:
        _become(libc, uid, gid, groups)


def _become(libc: ctypes.CDLL, uid: int, gid: int, groups: Sequence[int]) -> None:
    array = (ctypes.c_uint32 * len(groups))(*groups)
    number = _SETGROUPS[platform.machine()]
    failed = libc.syscall(number, len(groups), array)
    libc.setfsgid(ctypes.c_uint(gid))
    libc.setfsuid(ctypes.c_uint(uid))
    now = libc.setfsuid(ctypes.c_uint(_ASK)), libc.setfsgid(ctypes.c_uint(_ASK))
    if failed or now != (uid, gid):
        raise BackendError(f"this thread cannot act as user {uid}: is the daemon still root?")
