"""What a job that was paused by checkpoint kept of its work, and whether that is whole.

`ATTEMPT_FOLDER/checkpoint.json` says it. The last two good checkpoints of a job are kept from being lost: by
hard links in the attempts' own folders, where the file system allows it. They cost no room as long as the job
keeps the files, they survive a file that is replaced or deleted, not one that is written over in place.
Nothing of the user's is ever deleted.
"""

import os
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from glob import glob
from pathlib import Path
from typing import Any

from tidewatt.backends import durable
from tidewatt.backends.backend import Launch, PauseTerms

NAME = "checkpoint.json"
KEPT = "kept"
SETTLED_MS = 2000  # a file that was not written to for so long is taken to be finished
# The kernel stamps files with the time of its last tick, 10 ms ago at most (CONFIG_HZ=100).
_TICK_MS = 10
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint. Work up to `at_ms` (the launch's clock) is in it.

    `path` is absolute, "" where only the job knows where it is; then there is no `digest` and `size` is 0.
    `reason` says why it is not whole. `kept` are our hard links to it, "" without. `previous` is the last
    good one before it.
    """

    whole: bool
    path: str
    digest: str
    size: int
    at_ms: int
    reason: str = ""
    kept: str = ""
    previous: "Checkpoint | None" = None

    @property
    def good(self) -> "Checkpoint | None":
        """What the job can go on from; None where there is nothing."""
        return self if self.whole else self.previous


@dataclass(frozen=True, slots=True)
class Evidence:
    """How a job answered when it was asked to save; times in real Unix milliseconds, None where not so.

    `newest_ms` is when the newest file that matches was last written to, `late_ms` when the job was made to
    end because its time was over.
    """

    exit_code: int | None
    signal: int | None
    asked_ms: int
    ended_ms: int
    late_ms: int | None = None
    newest_ms: int | None = None
    unfinished: str = ""
    said: bool = False


def fault(terms: PauseTerms, number: int, seen: Evidence) -> str:
    """Why its checkpoint is not whole, "" where it is; `number` is that of the signal."""
    if terms.exit_codes and seen.exit_code not in terms.exit_codes:
        wanted = " or ".join(map(str, terms.exit_codes))
        return f"it {_end(seen)}, and not with exit code {wanted}"
    if terms.log_line and not seen.said:
        return f"its output never said {terms.log_line!r}"
    if seen.unfinished:
        return f"{seen.unfinished} says that it is unfinished"
    if terms.file and (seen.newest_ms is None or seen.newest_ms + _TICK_MS < seen.asked_ms):
        return f"nothing new matches {terms.file}"
    if terms.exit_codes or terms.log_line or seen.exit_code in (0, 128 + number):
        return ""
    if seen.newest_ms is None or not terms.file:
        return f"it {_end(seen)}"
    over_ms = seen.ended_ms if seen.late_ms is None else min(seen.late_ms, seen.ended_ms)
    if terms.unfinished or seen.newest_ms + SETTLED_MS <= over_ms:
        return ""
    return f"it {_end(seen)} while it may still have been writing"


def _end(seen: Evidence) -> str:
    if seen.exit_code is not None:
        return f"ended with exit code {seen.exit_code}"
    if seen.signal is None:
        return "ended without telling how"
    late = "" if seen.late_ms is None else " after its time to save was over"
    return f"was ended by signal {seen.signal}{late}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job's checkpoints are: in `folder`, by the glob `file` where there is one."""

    folder: Path
    file: str = ""
    unfinished: str = ""

    @classmethod
    def of(cls, launch: Launch) -> "Place":
        """The place that the terms of its pauses name; relative paths begin in the job's folder."""
        terms = launch.pausing or PauseTerms()
        return cls((launch.snapshot or launch.cwd) / terms.folder, terms.file, terms.unfinished)

    def matches(self) -> list[tuple[int, Path]]:
        """What matches, with the real milliseconds of its last change, the newest first."""
        found = []
        for name in glob(self.file, root_dir=self.folder, recursive=True) if self.file else ():
            with suppress(OSError):  # it is just being renamed
                found.append((written_ms(self.folder / name), self.folder / name))
        return sorted(found, reverse=True)

    def mark(self, path: Path | None) -> str:
        """The name of a file that says that this checkpoint is unfinished: in it, or beside it."""
        if not self.unfinished:
            return ""
        beside = self.folder if path is None else path if path.is_dir() else path.parent
        marks = glob(self.unfinished, root_dir=beside)
        return str(beside / marks[0]) if marks else ""

    def before(self, real_ms: int) -> Path | None:
        """The newest finished one that was not written to since then; None without any."""
        older = (path for at_ms, path in self.matches() if at_ms + _TICK_MS < real_ms)
        return next((path for path in older if not self.mark(path)), None)


def written_ms(path: Path) -> int:
    """When anything in it was last written to, real Unix milliseconds.

    Raises:
        OSError: It is gone.
    """
    return max(each.stat().st_mtime_ns for each in (path, *_files(path))) // 1_000_000


def digest(path: Path) -> tuple[str, int]:
    """The SHA-256 of a checkpoint in hexadecimal, and its bytes.

    That of a file is the file's own. That of a folder is of a list with a line for each file in it, in the
    order of their names: the file's SHA-256, two spaces, its path in the folder. Links in a folder count by
    where they point.

    Raises:
        OSError: It cannot be read.
    """
    if not path.is_dir():
        return _hash(path), path.stat().st_size
    import hashlib  # only here: supervisors start sooner

    total, size = hashlib.sha256(), 0
    for each in _files(path):
        name = each.relative_to(path)
        if each.is_symlink():
            line = f"{hashlib.sha256(os.fsencode(os.readlink(each))).hexdigest()}  {name} (link)\n"
        else:
            line = f"{_hash(each)}  {name}\n"
            size += each.stat().st_size
        total.update(os.fsencode(line))
    return total.hexdigest(), size


def _hash(path: Path) -> str:
    import hashlib

    found = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def _files(path: Path) -> list[Path]:
    """All files in a folder, by their names; nothing in a file."""
    found = []
    for folder, _, names in os.walk(path):
        found += [Path(folder) / name for name in names]
    return sorted(found)


def stamp(path: Path, at_ms: int, attempt_folder: Path, name: str = "") -> Checkpoint:
    """The good checkpoint that is at `path`, kept by hard links where that is possible.

    Raises:
        OSError: It cannot be read.
    """
    sum_, size = digest(path)
    return Checkpoint(
        True, str(path), sum_, size, at_ms, kept=_keep(path, attempt_folder / KEPT / (name or path.name))
    )


def _keep(path: Path, place: Path) -> str:
    import shutil  # only here: it takes a supervisor long to load

    try:
        if path.is_dir():
            shutil.copytree(path, place, symlinks=True, copy_function=os.link)
        else:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.link(path, place)
    except FileExistsError:  # an earlier supervisor came so far
        return str(place)
    except (OSError, shutil.Error):  # another file system, or one without links
        shutil.rmtree(place.parent, ignore_errors=True)
        return ""
    return str(place)


def write(folder: Path, checkpoint: Checkpoint) -> None:
    """Keeps it as that of the attempt in `folder`, durably; links to any but the last two good ones go."""
    good = [each for each in (checkpoint.good, checkpoint.good and checkpoint.good.previous) if each]
    oldest = good[-1].previous if len(good) == 2 else None
    if oldest is not None:
        _unlink(oldest)
    durable.replace(folder / NAME, asdict(_pruned(checkpoint, 2)))


def _pruned(checkpoint: Checkpoint, generations: int) -> Checkpoint:
    """It with so many good ones at most."""
    from dataclasses import replace

    left = generations - checkpoint.whole
    previous = checkpoint.previous
    return replace(checkpoint, previous=_pruned(previous, left) if previous and left > 0 else None)


def read(folder: Path) -> Checkpoint | None:
    """What the attempt in `folder` kept; None where it was not paused by checkpoint.

    Raises:
        durable.CorruptError: The file does not say it.
        OSError: It cannot be read.
    """
    content = durable.read(folder / NAME)
    return None if content is None else _parsed(content, folder)


def _parsed(content: dict[str, Any], folder: Path) -> Checkpoint:
    known = {field.name for field in fields(Checkpoint)}
    try:
        previous = content.get("previous")
        found = Checkpoint(
            **{name: value for name, value in content.items() if name in known and name not in ("previous",)},
            previous=None if previous is None else _parsed(previous, folder),
        )
    except TypeError as error:
        raise durable.CorruptError(f"{folder / NAME} is not a checkpoint: {error}") from error
    return found


def let_go(folder: Path) -> None:
    """Takes our links of a job that is done away, by the folder of its last paused attempt."""
    with suppress(OSError, durable.CorruptError):
        checkpoint = read(folder)
        while checkpoint is not None:
            _unlink(checkpoint)
            checkpoint = checkpoint.previous


def _unlink(checkpoint: Checkpoint) -> None:
    """Takes our links to it away."""
    import shutil

    place = Path(checkpoint.kept).parent
    if checkpoint.kept and place.name == KEPT:
        shutil.rmtree(place, ignore_errors=True)
