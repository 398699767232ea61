"""What a job's processes told of their work, read when its attempt has ended, whatever they wrote there.

A training script's marks and counts lie in a folder of files, two for each process that said something (see
`tidewatt.backends.hooks.diary`). A job may write there what it likes: only so much is read, and only what has
the right form counts. Of the processes of a job, those with the same rank are taken together:

| what | of several ranks | of several processes of one rank |
| --- | --- | --- |
| phases, checkpoints, the step it goes on from | those of the lowest that said any | all of them |
| samples, tokens, FLOPs | the sum: each rank tells of its own part | the sum |
| steps, epochs | the greatest: they go together | the sum: they follow each other |
| parameters | the greatest | the greatest |
"""

import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from tidewatt.backends.clock import Clock

PHASES = 200
CHECKPOINTS = 50
NOT_SAID = -1  # a step that goes without its number
_PROCESSES = 256
_NAMES = 8192  # looked at in the folder
_FILE_BYTES = 2 << 20
_ALL_BYTES = 8 << 20
_LINE_BYTES = 4096
_LABEL = 64
_NAME = re.compile(r"(\d{13}-\d{1,10})\.(jsonl|counts)")
_GREATEST = 2**53 - 1
_LIMITS = dict.fromkeys(("steps", "samples", "tokens", "epochs", "parameters"), _GREATEST) | {"flops": 10**40}
_TOGETHER = ("steps", "epochs")

Moment = Callable[[list[int]], int]


@dataclass(frozen=True, slots=True)
class Marks:
    """What was told, times in milliseconds of the attempt's clock and within the attempt.

    `phases` are (start, end, label), `checkpoints` the last (time, step). `resumed_step` None: nothing was
    said. `kept` are the counts at the last checkpoint, None without one. `NOT_SAID` stands for a step that a
    script did not give. `processes_left_out` were too many: then there are no counts, rather than low ones.
    """

    phases: tuple[tuple[int, int, str], ...] = ()
    checkpoints: tuple[tuple[int, int], ...] = ()
    resumed_step: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    kept: Mapping[str, int] | None = None
    processes_left_out: int = 0

    def __bool__(self) -> bool:
        """True where anything was told."""
        return self != Marks()


@dataclass(slots=True)
class _Process:
    """What one process told; times in the attempt's clock."""

    rank: int = 0
    phases: list[tuple[int, str]] = field(default_factory=list)
    checkpoints: list[tuple[int, int]] = field(default_factory=list)
    resumed: int | None = None
    counts: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] | None = None


def read(folder: Path, clock: Clock, start_ms: int, end_ms: int) -> Marks:
    """What is in the folder of an attempt that ran from start to end; empty where nothing was told.

    At most 8 MiB of at most 256 processes are read. Within a process times go by the clock that nobody sets.
    """
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # nobody told anything, or there is something else in its place
        return Marks()
    try:
        stems = sorted({found[1] for name in _names(fd) if (found := _NAME.fullmatch(name))})
        budget = [_ALL_BYTES]
        processes = [_process(fd, stem, clock, start_ms, end_ms, budget) for stem in stems[:_PROCESSES]]
    finally:
        os.close(fd)
    return _together(processes, len(stems) - len(processes), end_ms)


def _names(fd: int) -> list[str]:
    with os.scandir(fd) as entries:
        return [entry.name for entry in islice(entries, _NAMES)]


def _process(fd: int, stem: str, clock: Clock, start_ms: int, end_ms: int, budget: list[int]) -> _Process:
    counted = next(_forms(_content(fd, f"{stem}.counts", _LINE_BYTES)[0]), {})
    text, cut = _content(fd, f"{stem}.jsonl", min(_FILE_BYTES, budget[0]))
    budget[0] -= len(text)
    forms = list(_forms(text))
    anchor = next((pair for form in (*forms, counted) if (pair := _pair(form.get("at")))), None)
    process = _Process(rank=_integer(counted.get("rank"), 2**31) or 0)
    process.counts = _counts(counted.get("counts"))
    if anchor is None:
        return process

    def at(pair: list[int]) -> int:
        moment_ms = clock.at_ms(anchor[0]) + round((pair[1] - anchor[1]) * clock.factor)
        return min(max(moment_ms, start_ms), end_ms)

    for form in forms:
        _take(process, form, at)
    if cut:  # what came after is not known: the last phase must not seem to go on
        process.phases = [*process.phases[:-1], (process.phases[-1][0], "")] if process.phases else []
    last = counted.get("checkpoint")
    if isinstance(last, dict):
        process.kept = _counts(last.get("counts"))
        _take(process, {"at": last.get("at"), "checkpoint": last.get("step")}, at)
    return process


def _take(process: _Process, form: dict[str, Any], at: Moment) -> None:
    """Takes one mark, where it is one."""
    pair = _pair(form.get("at"))
    if pair is None:
        return
    if isinstance(label := form.get("phase"), str):
        process.phases.append((at(pair), _clean(label)))
    elif "checkpoint" in form:
        process.checkpoints.append((at(pair), _step(form["checkpoint"])))
    elif "resumed" in form and process.resumed is None:
        process.resumed = _step(form["resumed"])


def _together(processes: list[_Process], left_out: int, end_ms: int) -> Marks:
    """The job's, of its processes'."""
    phases = sorted(_of_lowest(processes, lambda process: process.phases), key=lambda mark: mark[0])
    checkpoints = sorted(set(_of_lowest(processes, lambda process: process.checkpoints)))
    resumed = _of_lowest(processes, lambda process: [] if process.resumed is None else [process.resumed])
    kept = [process for process in processes if process.kept is not None]
    return Marks(
        tuple(_bounded(_stretches(phases, end_ms))),
        tuple(checkpoints[-CHECKPOINTS:]),
        resumed[0] if resumed else None,
        {} if left_out else _added([(process.rank, process.counts) for process in processes]),
        _kept(processes) if kept and not left_out else None,
        left_out,
    )


def _of_lowest(processes: list[_Process], what: Callable[[_Process], list[Any]]) -> list[Any]:
    """What the processes of the lowest rank said that said any."""
    ranks = [process.rank for process in processes if what(process)]
    return [each for process in processes if ranks and process.rank == min(ranks) for each in what(process)]


def _added(told: list[tuple[int, dict[str, int]]]) -> dict[str, int]:
    """The counts of (rank, counts) as the job's."""
    found: dict[str, int] = {}
    for kind in _LIMITS:
        by_rank: dict[int, list[int]] = {}
        for rank, counts in told:
            if kind in counts:
                by_rank.setdefault(rank, []).append(counts[kind])
        if not by_rank:
            continue
        if kind == "parameters":
            found[kind] = max(number for numbers in by_rank.values() for number in numbers)
        elif kind in _TOGETHER:
            found[kind] = max(sum(numbers) for numbers in by_rank.values())
        else:
            found[kind] = sum(number for numbers in by_rank.values() for number in numbers)
    return found


def _kept(processes: list[_Process]) -> dict[str, int]:
    """The counts at the last checkpoint; sums only where every process that counts said what it had then."""
    found = _added([(process.rank, process.kept) for process in processes if process.kept is not None])
    silent = {kind for process in processes if process.kept is None for kind in process.counts}
    return {kind: number for kind, number in found.items() if kind in _TOGETHER or kind not in silent}


def _stretches(marks: list[tuple[int, str]], end_ms: int) -> list[tuple[int, int, str]]:
    """The phases between marks; the last lasts until the end. Those without length or name are left out."""
    ends = [*marks, (end_ms, "")]
    pieces = [(here[0], there[0], here[1]) for here, there in pairwise(ends)]
    whole: list[tuple[int, int, str]] = []
    for start, end, label in pieces:
        if start >= end or not label:
            continue
        if whole and whole[-1][1:] == (start, label):
            start = whole.pop()[0]
        whole.append((start, end, label))
    return whole


def _bounded(phases: list[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
    """At most `PHASES` of them: where there are more, neighbours become one that has all of their names."""
    size = -(-len(phases) // PHASES)
    for first in range(0, len(phases), max(1, size)):
        group = phases[first : first + size]
        labels = dict.fromkeys(label for _, _, label in group)
        if any(here[1] != there[0] for here, there in pairwise(group)):
            labels["unnamed"] = None
        yield group[0][0], group[-1][1], " + ".join(labels)[:_LABEL].strip()


def _content(fd: int, name: str, most: int) -> tuple[bytes, bool]:
    """The beginning of a regular file, and whether there is more; nothing where it cannot be read."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with suppress(OSError):
        file = os.open(name, flags, dir_fd=fd)
        try:
            if stat.S_ISREG(os.fstat(file).st_mode):
                text = os.pread(file, most, 0)
                return text, os.fstat(file).st_size > most
        finally:
            os.close(file)
    return b"", False


def _forms(text: bytes) -> Iterator[dict[str, Any]]:
    """The objects in its lines; what is cut off, too long or no object is passed over."""
    for line in text.splitlines(keepends=True):
        if not line.endswith(b"\n") or len(line) > _LINE_BYTES:
            continue
        with suppress(ValueError, RecursionError):
            form = json.loads(line)
            if isinstance(form, dict):
                yield form


def _pair(value: Any) -> list[int] | None:
    """A moment on both clocks."""
    if (
        isinstance(value, list)
        and len(value) == 2
        and all(_integer(each, 2**47) is not None for each in value)
    ):
        return value
    return None


def _integer(value: Any, greatest: int) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= greatest:
        return value
    return None


def _step(value: Any) -> int:
    step = _integer(value, _GREATEST)
    return NOT_SAID if step is None else step


def _counts(value: Any) -> dict[str, int]:
    found: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else ()
    return {
        kind: number
        for kind, number in found
        if kind in _LIMITS and _integer(number, _LIMITS[kind]) is not None
    }


def _clean(label: str) -> str:
    """At most 64 printable characters."""
    return "".join(letter if letter.isprintable() else " " for letter in label[:_LABEL]).strip()
