"""Readings of past days, packed: the same lines in less than half the space, read like any others.

gzip of the standard library: of what it offers, zlib unpacks fastest by far, and an account reads a day more
often than it is packed. Sizes and times of both are in docs/metering.md.
"""

import gzip
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tidewatt.backends.clock import moment
from tidewatt.backends.durable import MODE, sync_folder
from tidewatt.backends.meters.stored import PACKED, is_copy, packed_of

_LEVEL = 6


def compact(folder: Path, before_ms: int) -> int:
    """Packs the files of days that ended before that instant; returns how many were packed.

    Whatever happens on the way, every reading is there once: the packed file has its name only when it is
    whole and on the disk, and readers pass over a packed file whose plain one is still there.

    Raises:
        OSError: A file cannot be read or written, as on a full disk; those before it are packed.
    """
    _sweep(folder)
    before_day = f"{moment(before_ms):%Y-%m-%d}"
    due = sorted(path for path in folder.glob("????-??-??-*.jsonl") if path.name[:10] < before_day)
    return sum(_pack(path) for path in due)


def forget(folder: Path, before_ms: int, keep: Callable[[str], bool] = lambda _day: False) -> int:
    """Deletes the files of days that ended before that instant, but those for whose day `keep` says so.

    `keep` gets the day as YYYY-MM-DD. Returns how many files are gone. What rests on them can be recomputed
    from bundles only, so this is for days of which no account is open.
    """
    before_day = f"{moment(before_ms):%Y-%m-%d}"
    gone = 0
    for path in sorted(folder.glob("????-??-??-*.jsonl*")):
        if path.name[:10] < before_day and not keep(path.name[:10]):
            path.unlink(missing_ok=True)
            gone += 1
    return gone


def _pack(path: Path) -> bool:
    packed = packed_of(path)
    if packed.exists() and is_copy(packed):
        packed.unlink()  # of a packing that was cut short after its end: the plain file has all of it
    draft = path.with_name(f".{path.name}{PACKED}.draft")
    size = path.stat().st_size
    try:
        _write(draft, packed if packed.exists() else None, path)
        if path.stat().st_size != size:  # a meter whose clock was set back writes into that day
            draft.unlink()
            return False
        os.replace(draft, packed)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    sync_folder(path.parent)
    path.unlink()
    return True


def _write(draft: Path, before: Path | None, path: Path) -> None:
    """Writes what `before` holds already and what is in `path`, durably."""
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
    with open(fd, "wb") as raw:
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=_LEVEL, mtime=0) as file:
            if before is not None:
                with gzip.open(before, "rb") as earlier:
                    shutil.copyfileobj(earlier, file, 2**20)
            with open(path, "rb") as plain:
                shutil.copyfileobj(plain, file, 2**20)
        raw.flush()
        os.fsync(fd)


def _sweep(folder: Path) -> None:
    """Takes away drafts that a crash left."""
    for draft in folder.glob(f".????-??-??-*.jsonl{PACKED}.draft"):
        draft.unlink(missing_ok=True)
