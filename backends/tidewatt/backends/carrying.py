"""Takes a checkpoint from one place to another, and makes sure that it arrived as it was.

A place is a folder of this host, a folder of another one (`host:/folder`, by SSH and rsync), or a URL of
object storage (`s3://bucket/folder`, by fsspec). What is there already and equal is not sent again, so that
an interrupted carriage goes on where it was. Every file is compared by its SHA-256 on arrival.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tidewatt.backends.backend import BackendError

TRIES = 3
CHUNK = 1 << 20
MOST_FILES = 100_000


@dataclass(frozen=True, slots=True)
class File:
    """A file of a checkpoint: its size in bytes, and its SHA-256 in hexadecimal digits."""

    size: int
    digest: str


Manifest = Mapping[str, File]
"""The files of a place by their names below it, with `/`."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What was carried: `bytes` were sent, in real `ms`; `digest` is of the whole; sent `tries` times."""

    bytes: int
    ms: int
    digest: str
    tries: int


class Place(Protocol):
    """Where a checkpoint is."""

    @property
    def name(self) -> str:
        """As it is configured."""
        ...

    def manifest(self) -> Manifest:
        """The files there; none where there is nothing."""
        ...

    def read(self, name: str) -> Iterator[bytes]:
        """The content of a file."""
        ...

    def write(self, name: str, chunks: Iterator[bytes]) -> None:
        """Writes a file under another name, then gives it its own."""
        ...


def carry(source: Place, target: Place, tries: int = TRIES) -> Carried:
    """Brings all files of `source` to `target`, each verified on arrival; corrupt ones are sent again.

    What lies at the target beside them stays there.

    Raises:
        BackendError: There is nothing to carry, a place cannot be reached (transient), or a file arrived
            corrupt `tries` times.
    """
    began, sent = time.monotonic(), 0
    wanted = source.manifest()
    if not wanted:
        raise BackendError(f"there is no checkpoint in {source.name}")
    if odd := [name for name in wanted if _leads_out(name)]:
        raise BackendError(f"{source.name} names {odd[0]!r}, which is no file below it: nothing was taken")
    for attempt in range(1, tries + 1):
        there = target.manifest()
        missing = [name for name, file in sorted(wanted.items()) if there.get(name) != file]
        if not missing:
            took_ms = round((time.monotonic() - began) * 1000)
            return Carried(sent, took_ms, digest_of(wanted), max(1, attempt - 1))
        for name in missing:
            send(source, target, name)
            sent += wanted[name].size
    there = target.manifest()
    bad = [name for name, file in sorted(wanted.items()) if there.get(name) != file]
    if bad:
        raise BackendError(f"{bad[0]} arrived corrupt in {target.name} {tries} times: it was not taken")
    took_ms = round((time.monotonic() - began) * 1000)
    return Carried(sent, took_ms, digest_of(wanted), tries)


def _leads_out(name: str) -> bool:
    """Whether a name from elsewhere could mean another place than below its folder."""
    parts = name.split("/")
    return not name or name.startswith("/") or ".." in parts or "" in parts or any(c in name for c in "\0\n")


def digest_of(manifest: Manifest) -> str:
    """One SHA-256 for all files: of their names, sizes and digests, in order of their names."""
    lines = "".join(f"{name}\0{file.size}\0{file.digest}\n" for name, file in sorted(manifest.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def place(text: str, *, ssh: Sequence[str] = (), timeout_s: float = 3600.0) -> Place:
    """The place that a configuration names; `ssh` are more arguments of that command.

    Raises:
        BackendError: It is of no known kind, or a package that it needs is not installed.
    """
    from tidewatt.backends import places

    if "://" in text:
        return places.Storage.at(text)
    host, sign, folder = text.partition(":")
    if sign and "/" not in host:
        return places.Host(text, host, folder, (*places.SSH, *ssh), timeout_s)
    if not text.startswith("/"):
        raise BackendError(
            f"{text!r} is no place for checkpoints: write /folder, host:/folder or s3://bucket"
        )
    return places.Folder.at(text)


def send(source: Place, target: Place, name: str) -> None:
    """Sends one file: between a folder here and one elsewhere with rsync, where that is installed."""
    from tidewatt.backends.places import Folder, Host

    if isinstance(source, Folder) and isinstance(target, Host) and target.syncs():
        target.push(source.path, name)
    elif isinstance(source, Host) and isinstance(target, Folder) and source.syncs():
        source.pull(name, target.path)
    else:
        target.write(name, source.read(name))


def below(text: str, name: str) -> str:
    """A place below another one."""
    return f"{text.rstrip('/')}/{name}"
