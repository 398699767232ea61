"""A job's output, copied from its pod line by line, so that it can be read on after the pod is gone."""

import threading
from dataclasses import dataclass
from pathlib import Path

from tidewatt.backends import durable
from tidewatt.backends.kubernetes.cluster import Cluster
from tidewatt.backends.kubernetes.manifest import CONTAINER
from tidewatt.backends.kubernetes.reference import Reference

NAME = "output"
_MARK = "output.json"
_PIECE = 4 * 2**20
_LARGEST = 64 * 2**20
_GUARD = threading.Lock()  # a poll and a witness may copy at once


@dataclass(frozen=True, slots=True)
class _Mark:
    """How far it was copied: the stamp of the last line, how many lines had it, and the copy's bytes."""

    stamp: str = ""
    same: int = 0
    size: int = 0


def copy(cluster: Cluster, folder: Path, ref: Reference, ended: bool = False) -> None:
    """Appends what is new; the last line only once it is whole, or its job has `ended`.

    Raises:
        BackendError: The cluster does not answer.
        OSError: It cannot be written.
    """
    limit = _PIECE
    while ref.pod:
        query = _query(folder) | {"limitBytes": str(limit)}
        text = cluster.text(f"{ref.pods}/{ref.pod}/log", query)
        if not text:
            return
        cut = len(text) >= limit
        moved = _append(folder, text, whole=ended and not cut)
        if not cut:
            return
        if not moved:  # one second has more than a piece
            if limit >= _LARGEST:
                return
            limit *= 4


def follow(cluster: Cluster, folder: Path, ref: Reference, read_s: float) -> None:
    """Copies what comes until the job ends, or until nothing comes for `read_s`.

    Raises:
        BackendError: The cluster does not answer.
        OSError: It cannot be written.
    """
    lines, size = list[bytes](), 0
    try:
        query = _query(folder) | {"follow": "true"}
        for line in cluster.stream(f"{ref.pods}/{ref.pod}/log", query, read_s):
            size += len(line)
            if size <= _LARGEST:
                lines.append(line + b"\n")
    finally:
        _append(folder, b"".join(lines), whole=True)


def read(folder: Path, offset: int, limit: int) -> bytes:
    """The copy's bytes from there on."""
    try:
        with open(folder / NAME, "rb") as file:
            file.seek(offset)
            return file.read(limit)
    except FileNotFoundError:
        return b""


def says(folder: Path, words: str) -> bool:
    """Whether a line of the copy has these words."""
    return words.encode() in read(folder, 0, _LARGEST)


def _query(folder: Path) -> dict[str, str]:
    """Asks for all lines of the last one's second, and what comes after them."""
    stamp = _marked(folder).stamp
    return {"container": CONTAINER, "timestamps": "true"} | ({"sinceTime": stamp} if stamp else {})


def _append(folder: Path, text: bytes, whole: bool) -> bool:
    """Adds the lines that come after the mark; True where there were any.

    `text` has all lines of the mark's own stamp, or only later ones.
    """
    with _GUARD:
        mark = _marked(folder)
        stamp, same, skipped, added = mark.stamp, mark.same, 0, list[bytes]()
        for line in text.splitlines(keepends=True):
            if not line.endswith(b"\n") and not whole:
                break
            at, _, words = line.partition(b" ")
            told = at.decode(errors="replace")
            if told < mark.stamp or (told == mark.stamp and skipped < mark.same):
                skipped += told == mark.stamp
                continue
            same = same + 1 if told == stamp else 1
            stamp = told
            added.append(words)
        if not added:
            return False
        with open(folder / NAME, "ab") as file:
            file.truncate(mark.size)  # a crash between the two may have left more
            file.write(b"".join(added))
        size = mark.size + sum(len(words) for words in added)
        durable.replace(folder / _MARK, {"stamp": stamp, "same": same, "size": size})
        return True


def _marked(folder: Path) -> _Mark:
    try:
        content = durable.read(folder / _MARK) or {}
        return _Mark(str(content.get("stamp", "")), int(content.get("same", 0)), int(content.get("size", 0)))
    except (durable.CorruptError, TypeError, ValueError):
        return _Mark()
