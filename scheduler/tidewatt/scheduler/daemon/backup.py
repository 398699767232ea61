"""Makes a backup of a state folder: what is needed to go on elsewhere, with nothing run twice.

It works beside a daemon that runs. The heads of the ledger are read before the store, so that none of them is
ahead of it, and what jobs have in their folders after it, so that nothing the store knows of is missing.
"""

import os
import re
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tidewatt.backends import durable
from tidewatt.backends.backend import BackendError
from tidewatt.scheduler.daemon.backup_file import BackupFile, writing
from tidewatt.scheduler.daemon.ownership import acting
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import ENDED
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.proof import keys
from tidewatt.scheduler.store import copying
from tidewatt.scheduler.store.address import Address, address

STORE, HEADS, GRID, CONFIG = "tidewatt.db", "heads.jsonl", "grid.db", "config.toml"
PLACED = ("mark", "clock.json", "notices.json")  # small files of the state folder itself
LAST = "backup.json"  # in the state folder: what the newest backup was
ENVIRONMENT = "env.json"
_SNAPSHOT = "source"  # in the folder of a job: a copy of its owner's files
_LEFT = re.compile(r"(output\.log|supervisor\.log).*|.*\.lock")  # beside it: output, and what locks are on


@dataclass(frozen=True, slots=True)
class Parts:
    """What goes into a backup beside the store, the heads of its ledger and the rules that were in force."""

    keys: bool = True  # the key that signs, and environments of jobs that have not ended
    readings: bool = True
    grid: bool = True
    config: Path | None = None

    def left_out(self) -> list[str]:
        """Names of what does not."""
        told = {"keys": self.keys, "readings": self.readings, "grid": self.grid, "config": self.config}
        return [name for name, there in told.items() if not there]


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup that was made; times in Unix milliseconds."""

    path: str
    time_ms: int
    user: str
    bytes: int
    files: int
    events: int
    jobs: int  # the last number of a job
    open_jobs: int  # that had not ended
    left_out: list[str]


def back_up(place: Paths, path: Path, parts: Parts, time_ms: int, user: str) -> Taken:
    """Writes the backup of a state folder to a new file, and notes in the folder that it was made.

    Raises:
        BadInput: There is no store, or the file is there already.
        Refused: It cannot be written.
        StoreError: The store cannot be copied.
    """
    where = _found(place, path)
    drafts = [path.with_name(f".{path.name}.{os.getpid()}.{name}") for name in (STORE, GRID)]
    try:
        with writing(path) as file:
            told = _filled(file, place, where, parts, drafts)
            told |= {"software": f"tidewatt {version('tidewatt')}", "time_ms": time_ms, "user": user}
            file.add_list(told)
    finally:
        for draft in drafts:
            for end in ("", "-journal", "-wal", "-shm"):
                draft.with_name(draft.name + end).unlink(missing_ok=True)
    taken = Taken(
        str(path), time_ms, user, path.stat().st_size, len(file.listed), told["store"]["events"],
        told["store"]["jobs"], told["open_jobs"], parts.left_out(),
    )  # fmt: skip
    with suppress(OSError):  # the backup is there, whether that can be noted or not
        durable.replace(place.home / LAST, asdict(taken))
    return taken


def _found(place: Paths, path: Path) -> Address:
    """Where the store is; raises where there is none, it is not ours, or `path` cannot be."""
    if place.home.exists() and not os.access(place.home, os.R_OK):
        raise Refused(f"{place.home} is not yours to read: `sudo tidewatt --system backup` is")
    where = address(place)
    if isinstance(where, Path) and not where.exists():
        raise BadInput(
            f"there is no store in {place.home}: name its folder with TIDEWATT_HOME, or a shared server's"
            " with `tidewatt --system`"
        )
    if not path.parent.is_dir():
        raise BadInput(f"the folder {path.parent} does not exist: make it, or name another file")
    return where


def _filled(
    file: BackupFile, place: Paths, where: Address, parts: Parts, drafts: Sequence[Path]
) -> dict[str, Any]:
    """Puts everything in, in the order that keeps it consistent; what the list says of it."""
    heads_bytes = place.heads.stat().st_size if place.heads.exists() else 0
    copied = copying.copy(where, drafts[0])
    file.add_file(STORE, drafts[0])
    _add_proof(file, place, parts, heads_bytes)
    open_jobs = list(_open_jobs(drafts[0]))
    numbers = sorted({each for pair in open_jobs for each in pair if each})
    folders = dict(filter(None, (_add_job(file, place, number, parts) for number in numbers)))
    if parts.readings:
        _add_folder(file, "readings", place.readings)
    if parts.grid and place.archive.exists():
        copying.copy_file(place.archive, drafts[1])
        file.add_file(GRID, drafts[1])
    return {
        "home": str(place.home),
        "system": int(place.system),
        "left_out": parts.left_out(),
        "store": asdict(copied),
        "open_jobs": len(open_jobs),
        "folders": folders,
    }


def last(place: Paths) -> Taken | None:
    """The newest backup that was made of this state folder; None where none is known."""
    try:
        content = durable.read(place.home / LAST)
        return None if content is None else Taken(**content)
    except (OSError, durable.CorruptError, TypeError):
        return None


def _add_proof(file: BackupFile, place: Paths, parts: Parts, heads_bytes: int) -> None:
    """The heads, the keys, the rules by their digests, the configuration."""
    file.add_file(HEADS, place.heads, heads_bytes)
    file.add_file(f"keys/{keys.PUBLIC}", place.keys / keys.PUBLIC)
    if parts.keys:
        file.add_file(f"keys/{keys.PRIVATE}", place.keys / keys.PRIVATE)
    for name in PLACED:
        file.add_file(name, place.home / name)
    _add_folder(file, "policies", place.policies)
    if parts.config is not None and not file.add_file(CONFIG, parts.config):
        raise BadInput(f"there is no configuration file {parts.config}: name it with --config")


def _open_jobs(store: Path) -> Iterator[tuple[int, int]]:
    """The number of each job that has not ended, and that of its array, whose files its tasks share."""
    over = ", ".join(f"'{state}'" for state in ENDED)
    with closing(sqlite3.connect(store)) as connection:
        yield from connection.execute(f"select id, array from job where state not in ({over})")  # noqa: S608


def _add_job(file: BackupFile, place: Paths, number: int, parts: Parts) -> tuple[str, list[int]] | None:
    """Everything in the folder of a job but for what it wrote, read with its owner's rights; whose it is."""
    home = place.job(number)
    with suppress(BackendError, FileNotFoundError), acting(home, place):
        found = home.lstat()
        _add_folder(file, f"jobs/{number}", home, () if parts.keys else (ENVIRONMENT,))
        return str(number), [found.st_uid, found.st_gid]
    return None


def _add_folder(file: BackupFile, name: str, folder: Path, without: tuple[str, ...] = ()) -> None:
    for root, folders, names in os.walk(folder):
        folders.sort()
        for each in sorted((*names, *folders)):
            path = Path(root) / each
            below = path.relative_to(folder)
            if each in without or (below.parts[0] != _SNAPSHOT and _LEFT.fullmatch(each)):
                continue
            inside = f"{name}/{below.as_posix()}"
            with suppress(FileNotFoundError, PermissionError):  # it has ended meanwhile
                if path.is_symlink():
                    file.add_link(inside, path)
                elif stat.S_ISREG(path.lstat().st_mode):
                    file.add_file(inside, path)
