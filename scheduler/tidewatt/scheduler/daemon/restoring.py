"""Puts a backup back: checked whole first, then made ready beside its place, then put there in one step.

What ran or waited when the backup was made may have run since, so nothing of it is ever started again by
itself: attempts that are still to be seen are taken over, others are closed as lost, and jobs that waited are
held for their owners.
"""

import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import structlog

from tidewatt.backends import claim, durable
from tidewatt.backends.clock import moment
from tidewatt.scheduler.daemon.backup import CONFIG, GRID, HEADS, PLACED, STORE
from tidewatt.scheduler.daemon.backup_file import BadBackup, read
from tidewatt.scheduler.daemon.polling import attempt_folder
from tidewatt.scheduler.daemon.predecessors import settle_followers
from tidewatt.scheduler.daemon.site import HOST
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import AttemptState, JobState
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.proof import keys
from tidewatt.scheduler.proof.keys import VerifyingKey
from tidewatt.scheduler.store import Store, StoreError, Transaction, schema
from tidewatt.scheduler.store.ledger import examined
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

log = structlog.get_logger()
LEAST_GAP = 10_000  # numbers of jobs that nobody gets: the lost store may have given them
REFERENCE = "engine.json"  # in an attempt's folder: what its engine calls it
CONFIG_OF_THEN = "config-of-backup.toml"
REMADE = frozenset({"readings"})  # what is in a folder that only a meter has made
OLD_KEY = "before-restore.pub.pem"
KIND = "restored"
_TOP = {
    STORE: "tidewatt.db", HEADS: "ledger/heads.jsonl", GRID: "grid.db", CONFIG: CONFIG_OF_THEN,
    **{name: name for name in PLACED},
}  # fmt: skip
_FOLDERS = ("keys/", "policies/", "jobs/", "readings/")
_WAITING = (JobState.WAITING, JobState.HELD, JobState.PAUSED)


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back, and what became of jobs that had not ended; times in Unix milliseconds."""

    home: str
    taken_ms: int
    events: int
    key: str  # fingerprint of the key that had signed the ledger; "": none is known
    heads: int
    adopted: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)  # they waited for jobs that were lost
    left_out: list[str] = field(default_factory=list)
    next_job: int = 0
    aside: str = ""  # where readings of a meter lie that went on by itself; "": there are none


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
    names = {each.name for each in place.home.iterdir()} if place.home.exists() else set()
    if names - REMADE:
        raise BadInput(
            f"{place.home} is not empty, and nothing in it is written over: name another folder with"
            " TIDEWATT_HOME, or move it away"
        )
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
            if names:
                found = replace(found, aside=str(_aside(place.home)))
            _put(draft.home, place)
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
            return _Reviver(store, draft, place, told, found, now_ms).all(user, go_on=go_on)
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


@dataclass(slots=True)
class _Reviver:
    """Has a store of then go on now."""

    store: Store
    draft: Paths
    place: Paths
    told: dict[str, Any]
    found: Restored
    now_ms: int

    @property
    def _home_then(self) -> str:
        return str(self.told["home"])

    def all(self, user: str, *, go_on: bool) -> Restored:
        """Closes, holds, and tells it in the ledger, as one; returns what became of whom."""
        live = self.store.live_attempts()
        jobs = self.store.numbered({each.job_id for each in live})
        lost = [each for each in live if not self._there(each)]
        stays = {each.job_id for each in live} - {each.job_id for each in lost}
        last = int(self.told["store"]["jobs"])
        with self.store.transaction() as transaction:
            over: dict[int, tuple[str, JobState]] = {}
            for attempt in lost:
                self._close(transaction, attempt, jobs[attempt.job_id], over)
            self.found.adopted.extend(jobs[number].key for number in sorted(stays))
            self.found.cancelled.extend(settle_followers(transaction, self.store, over, self.now_ms))
            for job in self.store.jobs(_WAITING):
                self._again(transaction, job, stays | {*over, *self.found.cancelled}, go_on=go_on)
            transaction.execute(schema.session.delete())
            gap = max(LEAST_GAP, last)
            transaction.skip_numbers(last + gap)
            transaction.append(self.now_ms, KIND, self._record(user), reason=self._words())
        return replace(self.found, next_job=last + gap + 1)

    def _there(self, attempt: AttemptRecord) -> bool:
        """Whether it can still be followed: its folder is where it was, and somebody answers for it."""
        if self._home_then != str(self.place.home):
            return False
        folder = attempt_folder(self.draft, attempt)
        if attempt.backend != HOST:
            return (folder / REFERENCE).is_file() and not (folder / REFERENCE).is_symlink()
        try:
            taken = claim.read(folder)
        except (OSError, durable.CorruptError):
            return False
        return taken is not None and taken.process is not None and taken.process.alive()

    def _close(
        self,
        transaction: Transaction,
        attempt: AttemptRecord,
        job: JobRecord,
        over: dict[int, tuple[str, JobState]],
    ) -> None:
        """Its attempt is over as far as anybody knows; a job that ran has failed, one that waited is held."""
        reason = f"lost: {self._words()}, and what became of it since is not known"
        transaction.move_attempt(
            attempt, AttemptState.ENDED, reason, self.now_ms, ended_ms=self.found.taken_ms
        )
        if job.state in (JobState.RUNNING, JobState.PAUSED):
            transaction.move_job(
                job.id, JobState.FAILED, reason, self.now_ms,
                ended_ms=self.found.taken_ms, keeps_env=False, at_risk="", plan=None,
            )  # fmt: skip
            over[job.id] = job.key, JobState.FAILED
            self.found.lost.append(job.key)

    def _again(self, transaction: Transaction, job: JobRecord, known: set[int], *, go_on: bool) -> None:
        """A job that waited: its files are where they are now, and it starts when its owner says so."""
        if job.id in known:
            return
        self._moved(transaction, job)
        if job.state is JobState.HELD or go_on:
            return
        why = f"{self._words()}: it may have run since; `tidewatt release {job.key}` lets it go"
        if job.state is JobState.PAUSED:
            transaction.move_job(job.id, JobState.WAITING, self._words(), self.now_ms, paused="")
        transaction.move_job(job.id, JobState.HELD, why, self.now_ms, plan=None, at_risk="")
        self.found.held.append(job.key)

    def _moved(self, transaction: Transaction, job: JobRecord) -> None:
        """What lay in the state folder of then lies in this one."""
        then, now = f"{self._home_then}/", f"{self.place.home}/"
        if then == now:
            return

        def moved(path: str) -> str:
            return now + path.removeprefix(then) if path.startswith(then) else path

        source = {k: moved(v) if isinstance(v, str) else v for k, v in job.source.items()}
        transaction.change_job(job.id, stdout=moved(job.stdout), stderr=moved(job.stderr), source=source)

    def _record(self, user: str) -> dict[str, Any]:
        found = self.found
        return {
            "user": user, "taken_ms": found.taken_ms, "events": found.events, "key": found.key,
            "adopted": found.adopted, "lost": found.lost, "held": found.held,
        }  # fmt: skip

    def _words(self) -> str:
        return f"restored from a backup of {moment(self.found.taken_ms):%Y-%m-%d %H:%M} UTC"


def _aside(home: Path) -> Path:
    """Moves what is there out of the way, to a name that nobody has."""
    number = 1
    while (there := home.with_name(f"{home.name}.before-restore-{number}")).exists():
        number += 1
    home.rename(there)
    return there


def _put(draft: Path, place: Paths) -> None:
    """In one step: rename(2) takes the place of an empty folder."""
    place.home.parent.mkdir(parents=True, exist_ok=True)
    os.rename(draft, place.home)
    descriptor = os.open(place.home.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
