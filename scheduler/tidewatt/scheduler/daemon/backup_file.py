"""The file of a backup: a tar archive whose last member lists all others with their digests.

A file that was cut short has no list, and one that was changed does not fit it.
"""

import hashlib
import json
import os
import re
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tidewatt.scheduler.errors import BadInput, Refused

FORMAT = 1
LIST = "backup.json"
OWN = "sha256"  # of the list but for this
MOST_LIST_BYTES = 256 << 20
_NAME = re.compile(r"[^/\x00]+(/[^/\x00]+)*")
_AT_ONCE = 1 << 20


class BadBackup(BadInput):
    """The file is no backup that could be put back."""


@dataclass(slots=True)
class BackupFile:
    """A backup that is being written. `listed` are digests and sizes by name."""

    archive: tarfile.TarFile
    listed: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add_file(self, name: str, path: Path, most: int | None = None) -> bool:
        """Adds a plain file as long as it is now, or its first `most` bytes; False where there is none."""
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            return False
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                return False
            entry = _entry(name, found)
            entry.size = found.st_size if most is None else min(most, found.st_size)
            if entry.size > _AT_ONCE:
                self._add(entry, file)  # such files only grow
            else:
                content = file.read(entry.size)  # it may be written anew just now, and be shorter
                entry.size = len(content)
                self._add(entry, content)
        return True

    def add_link(self, name: str, path: Path) -> None:
        """Adds a symbolic link as it is."""
        entry = _entry(name, path.lstat())
        entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(path)
        self.listed[name] = {"link": entry.linkname}
        self.archive.addfile(entry)

    def add_list(self, told: Mapping[str, Any]) -> None:
        """Adds the list, last of all."""
        whole = {"format": FORMAT, **told, "files": self.listed}
        content = json.dumps({**whole, OWN: _digest(whole)}, sort_keys=True).encode()
        entry = tarfile.TarInfo(LIST)
        entry.size, entry.mode = len(content), 0o600
        self.archive.addfile(entry, _Hashed(content))

    def _add(self, entry: tarfile.TarInfo, file: IO[bytes] | bytes) -> None:
        reading = _Hashed(file)
        self.archive.addfile(entry, reading)
        self.listed[entry.name] = {"sha256": reading.digest(), "bytes": entry.size}


class _Hashed:
    """Reads and hashes at once."""

    def __init__(self, source: IO[bytes] | bytes) -> None:
        self._source = source
        self._at = 0
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        if isinstance(self._source, bytes):
            end = len(self._source) if size < 0 else self._at + size
            data = self._source[self._at : end]
            self._at += len(data)
        else:
            data = self._source.read(size)
        self._hash.update(data)
        return data

    def digest(self) -> str:
        """Of what was read."""
        return self._hash.hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[BackupFile]:
    """A new backup at `path`, packed where that ends in .gz: there is all of it in the end, or nothing.

    Raises:
        BadInput: There is something at that place.
        Refused: It cannot be written.
    """
    if path.exists() or path.is_symlink():
        raise BadInput(f"{path} is there already: name another file")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(draft, flags, 0o600), "r+b") as file:
            mode: Any = "w:gz" if path.suffix == ".gz" else "w"
            packing: dict[str, Any] = {"compresslevel": 3} if path.suffix == ".gz" else {}
            with tarfile.open(fileobj=file, mode=mode, format=tarfile.PAX_FORMAT, **packing) as archive:
                yield BackupFile(archive)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        _sync(path.parent)
    except OSError as error:
        raise Refused(f"the backup cannot be written to {path}: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)


Taking = Callable[[tarfile.TarInfo, IO[bytes] | None], None]


def read(path: Path, take: Taking | None = None) -> dict[str, Any]:
    """The list of a backup, each of whose files was compared with it; `take` gets each file on the way.

    What `take` was given may be believed only when this returns.

    Raises:
        BadBackup: It is none, was cut short, or was changed.
    """
    found: dict[str, dict[str, Any]] = {}
    listed: Any = None
    try:
        with tarfile.open(path, "r|*") as archive:
            for entry in archive:
                if listed is not None:
                    raise BadBackup(f"{path} goes on after its list: do not trust it")
                if entry.name == LIST:
                    listed = _list(archive, entry, path)
                    continue
                name = _checked(entry, found, path)  # before anything is done with it
                found[name] = _read(archive, entry, take)
    except OSError as error:
        raise BadBackup(f"{path} cannot be read: {error.strerror or error}") from error
    except (tarfile.TarError, zlib.error, EOFError, ValueError, RecursionError) as error:
        raise BadBackup(f"{path} is no backup, or a damaged one: {error}") from error
    if listed is None:
        raise BadBackup(f"{path} has no list of its files: it is no backup, or was cut short")
    _compare(listed, found, path)
    return dict(listed)


def _list(archive: tarfile.TarFile, entry: tarfile.TarInfo, path: Path) -> Any:
    file = archive.extractfile(entry) if entry.isreg() and entry.size <= MOST_LIST_BYTES else None
    if file is None:
        raise BadBackup(f"{path} has no list of its files: it is no backup")
    return json.loads(file.read())


def _checked(entry: tarfile.TarInfo, found: Mapping[str, Any], path: Path) -> str:
    """The name of a member, where a backup could have it."""
    odd = {".", ".."} & set(entry.name.split("/"))
    if odd or not _NAME.fullmatch(entry.name) or not (entry.isreg() or entry.issym()):
        raise BadBackup(f"{path} holds {entry.name[:80]!r}, which no backup has: do not trust it")
    if entry.name in found:
        raise BadBackup(f"{path} holds {entry.name[:80]!r} twice: do not trust it")
    return entry.name


def _read(archive: tarfile.TarFile, entry: tarfile.TarInfo, take: Taking | None) -> dict[str, Any]:
    if entry.issym():
        if take is not None:
            take(entry, None)
        return {"link": entry.linkname}
    file = archive.extractfile(entry)
    assert file is not None  # noqa: S101 - it is a plain file
    reading = _Hashed(file)
    if take is not None:
        take(entry, reading)  # type: ignore[arg-type] # all that is asked of it is `read`
    while reading.read(_AT_ONCE):
        pass
    return {"sha256": reading.digest(), "bytes": entry.size}


def _compare(listed: Any, found: Mapping[str, dict[str, Any]], path: Path) -> None:
    if not isinstance(listed, dict) or listed.get("format") != FORMAT:
        raise BadBackup(f"{path} has a form that this version of Tidewatt does not know: upgrade")
    if listed.pop(OWN, "") != _digest(listed):
        raise BadBackup(f"{path} has a list that was changed: do not trust it")
    files = listed.get("files")
    if not isinstance(files, dict):
        raise BadBackup(f"{path} has a list that cannot be read: do not trust it")
    wrong = [f"{name} was changed" for name in sorted(found) if name in files and files[name] != found[name]]
    wrong += [f"{name} was added" for name in sorted(found) if name not in files]
    wrong += [f"{name} is missing" for name in sorted(files) if name not in found]
    if wrong:
        raise BadBackup(f"{path} is not what was written: {'; '.join(wrong[:3])}")


def _digest(listed: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()


def _entry(name: str, found: os.stat_result) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.uid, entry.gid = stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid
    entry.mtime = int(found.st_mtime)
    return entry


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
