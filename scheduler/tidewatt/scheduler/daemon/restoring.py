"""Puts a backup back: checked whole first, then made ready beside its place, then put there in one step.

What ran or waited when the backup was made may have run since, so nothing of it is ever started again by
itself: attempts that are still to be seen are taken over, others are closed as lost, and jobs that waited are
held for their owners.
"""

import errno
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import structlog

from tidewatt.scheduler.daemon.backup import CONFIG, GRID, HEADS, PLACED, STORE
from tidewatt.scheduler.daemon.backup_file import BadBackup, read
from tidewatt.scheduler.daemon.reviving import Restored, Reviver
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.proof import keys
from tidewatt.scheduler.proof.keys import VerifyingKey
from tidewatt.scheduler.store import Store, StoreError
from tidewatt.scheduler.store.ledger import examined

log = structlog.get_logger()
CONFIG_OF_THEN = "config-of-backup.toml"
REMADE = frozenset({"readings"})  # what is in a folder that only a meter has made
OLD_KEY = "before-restore.pub.pem"
_TOP = {
    STORE: "tidewatt.db", HEADS: "ledger/heads.jsonl", GRID: "grid.db", CONFIG: CONFIG_OF_THEN,
    **{name: name for name in PLACED},
}  # fmt: skip
_TRIES = 5  # to put it there before a meter does
_FOLDERS = ("keys/", "policies/", "jobs/", "readings/")


def restore(path: Path, place: Paths, now_ms: int, user: str, *, go_on: bool = False) -> Restored:
    """Puts a backup into a state folder that is empty or not there.

    Supervisors of jobs outlive the folder that they were started from, and have a meter begin a new one: such
    readings alone are put aside.

    With `go_on` jobs that waited go on waiting: for backups after which the daemon never ran.

    Raises:
        BadBackup: The file or the ledger in it is not what was written; nothing was put back.
        BadInput: The state folder is not empty.
        Refused: It cannot be written.
    """
    _remade(place.home)
    told = read(path)
    if bool(told.get("system")) != place.system:
        raise BadInput(
            f"{path} is of {'a shared server' if told.get('system') else 'a single user'}: restore it with"
            f" `tidewatt {'--system ' if told.get('system') else ''}restore`"
        )
    try:
        with _draft(place) as draft:
            _unpack(path, told, draft)
            found = _made_ready(path, told, draft, place, now_ms, user, go_on=go_on)
            aside = _put(draft.home, place)
            found = replace(found, aside=str(aside or ""))
    except OSError as error:
        raise Refused(f"{place.home} cannot be written: {error.strerror or error}") from error
    return found


@contextmanager
def _draft(place: Paths) -> Iterator[Paths]:
    """A folder beside the state folder's own place, gone in the end."""
    home = place.home.with_name(f".{place.home.name}.restoring-{os.getpid()}")
    home.mkdir(mode=0o711 if place.system else 0o700, parents=True)
    try:
        yield Paths(home, place.runtime, place.system, place.served, place.group)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _unpack(path: Path, told: dict[str, Any], draft: Paths) -> None:
    """Writes all files; links last, so that none can lead a file elsewhere."""
    links: list[tarfile.TarInfo] = []

    def take(entry: tarfile.TarInfo, file: IO[bytes] | None) -> None:
        if file is None:
            links.append(entry)
            return
        target = _target(entry.name, draft.home, path)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        mode = entry.mode & 0o700 if entry.name.startswith("jobs/") else 0o600
        with open(os.open(target, flags, mode), "wb") as written:
            shutil.copyfileobj(file, written)
            _own(entry, written.fileno(), draft)

    if read(path, take) != told:
        raise BadBackup(f"{path} changed while it was read: try again")
    for entry in links:
        target = _target(entry.name, draft.home, path)
        if not entry.name.startswith("jobs/"):
            raise BadBackup(
                f"{path} holds the link {entry.name[:80]!r}, which no backup has: do not trust it"
            )
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.symlink_to(entry.linkname)
        if draft.system and os.getuid() == 0:
            os.lchown(target, entry.uid, entry.gid)
    _hand_over(draft, dict(told.get("folders", {})))


def _target(name: str, home: Path, path: Path) -> Path:
    if name in _TOP:
        return home / _TOP[name]
    if name.startswith(_FOLDERS):
        return home / name
    raise BadBackup(f"{path} holds {name[:80]!r}, which this version of Tidewatt does not know: upgrade")


def _own(entry: tarfile.TarInfo, descriptor: int, draft: Paths) -> None:
    """On a shared server files of jobs are their owners'; set-uid bits are nobody's."""
    if draft.system and os.getuid() == 0 and entry.name.startswith("jobs/"):
        os.fchown(descriptor, entry.uid, entry.gid)


def _hand_over(draft: Paths, folders: dict[str, list[int]]) -> None:
    """Makes the folders of jobs that had not ended; on a shared server each is its owner's."""
    for name, (uid, gid) in folders.items():
        home = draft.jobs / str(int(name))
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if draft.system and os.getuid() == 0:
            for root, _, _ in os.walk(home, topdown=False):
                os.chown(root, uid, gid, follow_symlinks=False)
    if draft.system and draft.jobs.exists():
        draft.jobs.chmod(0o711)


def _made_ready(
    path: Path, told: dict[str, Any], draft: Paths, place: Paths, now_ms: int, user: str, *, go_on: bool
) -> Restored:
    """Checks the ledger, and has the store know that time has passed."""
    key = keys.own_key(draft.keys)
    if key is not None and not (draft.keys / keys.PRIVATE).exists():
        (draft.keys / keys.PUBLIC).rename(draft.keys / OLD_KEY)  # the next daemon makes a pair of its own
    try:
        with closing(Store(draft.database)) as store:
            heads = _check(path, told, store, draft, key)
            found = Restored(
                str(place.home), int(told["time_ms"]), int(told["store"]["events"]),
                "" if key is None else key.fingerprint, heads, left_out=list(told.get("left_out", ())),
            )  # fmt: skip
            return Reviver(store, draft, place, told, found, now_ms).all(user, go_on=go_on)
    except StoreError as error:
        raise BadBackup(f"the store in {path} cannot be used: {error}") from error


def _check(path: Path, told: dict[str, Any], store: Store, draft: Paths, key: VerifyingKey | None) -> int:
    """How many signed heads fit; raises BadBackup where the chain does not hold."""
    tip = store.tip()
    result = examined(store, draft.heads, key)
    wrong = list(result.wrong)
    if (tip.seq, tip.hash) != (told["store"]["events"], told["store"]["hash"]):
        wrong.append("its end is not what the list of the backup says")
    if wrong:
        raise BadBackup(f"the ledger in {path} is not what was written: {'; '.join(wrong[:3])}")
    return result.heads


def _remade(home: Path) -> bool:
    """Whether there is what a meter made anew; raises BadInput where there is anything else."""
    names = {each.name for each in home.iterdir()} if home.exists() else set()
    if names - REMADE:
        raise BadInput(
            f"{home} is not empty, and nothing in it is written over: name another folder with"
            " TIDEWATT_HOME, or move it away"
        )
    return bool(names)


def _aside(home: Path) -> Path:
    """Moves what is there out of the way, to a name that nobody has."""
    number = 1
    while (there := home.with_name(f"{home.name}.before-restore-{number}")).exists():
        number += 1
    home.rename(there)
    return there


def _put(draft: Path, place: Paths) -> Path | None:
    """In one step: rename(2) takes the place of an empty folder. Returns where what was there went.

    A meter may come again at any moment, as long as a supervisor lives: then that is put aside, too.
    """
    place.home.parent.mkdir(parents=True, exist_ok=True)
    aside = None
    for left in reversed(range(_TRIES)):
        if _remade(place.home):
            aside = _aside(place.home)
        try:
            os.rename(draft, place.home)
            break
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or not left:
                raise
    descriptor = os.open(place.home.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return aside
