"""Whose a job's files are on a shared server, and work on them with that user's rights."""

import os
import stat
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from tidewatt.backends import becoming, source
from tidewatt.backends.backend import BackendError, Owner
from tidewatt.backends.owner import acting_as, owner
from tidewatt.backends.source import SourceRecord
from tidewatt.scheduler.daemon.callers import current
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.paths import Paths

_LONGEST_DIGEST = 200


def submitter(paths: Paths) -> Owner | None:
    """Who submits now, as the user database knows them; None where the daemon's own user does."""
    caller = current()
    return None if caller is None else _owner(caller.uid, caller.gid, paths)


def owner_of(home: Path, paths: Paths) -> Owner | None:
    """The owner of a job by its folder, which lies in one of root's; None for the daemon's own user.

    Raises:
        BackendError: The folder is root's own, or none.
    """
    if not paths.system:
        return None
    found = home.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise BackendError(f"{home} is not the folder of a job")
    return _owner(found.st_uid, found.st_gid, paths)


def acting(home: Path, paths: Paths) -> AbstractContextManager[None]:
    """Within it, files are reached with the rights of the owner of the job with that folder."""
    return acting_as(owner_of(home, paths))


def hand_over(folder: Path, who: Owner | None) -> None:
    """Gives an empty folder, just made in one of root's, to the user."""
    if who is None:
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchown(fd, who.uid, who.gid)
    finally:
        os.close(fd)


def own_place(parent: Path, name: str, who: Owner | None) -> None:
    """Makes a folder of the user's own in one of root's, where it is missing.

    In a folder that others may write to, somebody else could be there first, and read or replace what the
    user keeps in it.

    Raises:
        BackendError: The parent is not root's alone, or what is there is not the user's.
    """
    if who is None:
        return
    try:
        fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise BackendError(f"{parent} cannot be used for checkpoints: {error.strerror}") from error
    try:
        if not roots_alone(os.fstat(fd)):
            raise BackendError(f"{parent} is not root's alone: make it `root:root`, mode 0711")
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=fd)
        if os.stat(name, dir_fd=fd, follow_symlinks=False).st_uid == 0:  # just made
            os.chown(name, who.uid, who.gid, dir_fd=fd, follow_symlinks=False)
        there = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if not stat.S_ISDIR(there.st_mode) or there.st_uid != who.uid:
            raise BackendError(f"{parent / name} is not a folder of {who.name}'s")
    except OSError as error:
        raise BackendError(f"{parent / name} cannot be made: {error.strerror}", transient=True) from error
    finally:
        os.close(fd)


def roots_alone(found: os.stat_result) -> bool:
    """Whether nobody but root can make names in this folder."""
    return found.st_uid == 0 and not found.st_mode & 0o022


def check_folder(cwd: str, who: Owner | None) -> None:
    """Raises BadInput where the user cannot enter the folder; for them it does not exist then."""
    with acting_as(who):
        try:
            there = Path(cwd).is_absolute() and stat.S_ISDIR(os.stat(f"{cwd}/.").st_mode)
        except (OSError, ValueError):
            there = False
    if not there:
        raise BadInput(f"the folder {cwd} does not exist here: choose one with --chdir")


def recorded(cwd: Path, who: Owner | None) -> SourceRecord:
    """The code in and around a folder, read with the user's rights: git runs programs of theirs."""
    if who is None:
        return source.record(cwd)
    try:
        answer = becoming.asked(who, "record", os.fspath(cwd))
    except BackendError as error:
        return SourceRecord("", f"nothing could be recorded: {error}")
    texts = {name: str(answer.get(name, "")) for name in ("digest", "method", "commit", "diff")}
    return SourceRecord(
        texts["digest"][:_LONGEST_DIGEST],
        texts["method"][:1000],
        texts["commit"][:_LONGEST_DIGEST],
        answer.get("dirty") is True,
        texts["diff"][: source.MAX_DIFF_BYTES],
    )


def snapshot(cwd: Path, into: Path, who: Owner | None) -> Path:
    """A copy of the tracked files, made with the user's rights: the copy of `cwd` in it.

    Raises:
        BackendError: It cannot be made.
    """
    if who is None:
        return source.snapshot(cwd, into)
    path = Path(str(becoming.asked(who, "snapshot", os.fspath(cwd), os.fspath(into)).get("path", "")))
    if into not in (path, *path.parents) or ".." in path.parts:
        raise BackendError(f"the snapshot {into} was not made where it should be")
    return path


def _owner(uid: int, gid: int, paths: Paths) -> Owner:
    return owner(uid, gid, paths.served)
