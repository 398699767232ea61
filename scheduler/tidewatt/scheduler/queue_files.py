"""A queue of jobs read from a file, as arrays: `docs/formats.md` describes the columns."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tidewatt.scheduler.columns import UNKNOWN_MS, Columns, read
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.plan import GpuKind, Pausing, PowerStep
from tidewatt.scheduler.planning.instants import floor_ms, utc
from tidewatt.scheduler.planning.terms import FARTHEST
from tidewatt.scheduler.queue_power import draws_of

Ints = NDArray[np.int64]
Amounts = NDArray[np.float64]
Words = tuple[str, ...]
_Made = TypeVar("_Made")

NEEDED = ("duration_s",)
PAUSES = (
    "checkpoint_s",
    "restart_s",
    "checkpoint_wh",
    "restart_wh",
    "suspended_w",
    "min_stint_s",
    "max_pauses",
)
KNOWN = (
    *("id", "submitted", "release", "duration_s", "finish_by", "slack_h", "gpus", "gpu_kind", "cpus"),
    *(
        "power_w",
        "power_steps",
        "home",
        "regions",
        "exclude_regions",
        "priority",
        "after",
        "array",
        "array_limit",
        "data_gb",
    ),
    *("user", "project", "pausable", "moves", *PAUSES),
)
LONGEST_S = FARTHEST.total_seconds()
ASSUMED_GPU_W, ASSUMED_CPU_W = 300.0, 10.0  # of one of them, for a job that does not say its power


@dataclass(frozen=True, slots=True, eq=False)
class JobTable:
    """`n` jobs in the file's order. Times in Unix milliseconds; `due_ms` is UNKNOWN_MS without a deadline.

    `work_ms` is at speed 1, `kw` the draw of the whole job above idle; `assumed` marks those that did not
    say it. Where it changes while a job runs, `kw` is the mean, and `power_steps` say how, by index. A job
    without GPUs occupies `cpus`. `before` holds (E, 2) indices: the second starts when the
    first has ended. `pausing` are those, by index, that may be interrupted.
    """

    columns: Columns
    ids: Ints
    release_ms: Ints
    due_ms: Ints
    work_ms: Ints
    gpus: Ints
    cpus: Ints
    kw: Amounts
    assumed: NDArray[np.bool_]
    kinds: list[tuple[GpuKind, ...]]
    home: list[str]
    regions: list[Words]
    exclude_regions: list[Words]
    priority: Ints
    before: Ints
    array: list[str]
    array_limit: Ints
    data_gb: Amounts
    user: list[str]
    project: list[str]
    pausing: dict[int, Pausing]
    power_steps: dict[int, tuple[PowerStep, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)


def read_jobs(path: Path, now: datetime, default_slack: timedelta | None = None) -> JobTable:
    """The jobs of a CSV, Parquet or JSON file. One that does not say when it was released is so `now`.

    `default_slack` is granted to jobs that state none.

    Raises:
        BadInput: the file cannot be read, or a cell is wrong; the text names row and column.
    """
    columns = read(path, KNOWN, NEEDED)
    if not len(columns):
        raise BadInput(f"{path} holds no job: it needs at least one row below its columns")
    ids = _ids(columns)
    release_ms = _release(columns, now)
    work_ms = np.ceil(columns.numbers("duration_s", np.inf, 0, LONGEST_S, open_end=True) * 1000).astype(
        np.int64
    )
    gpus = columns.integers("gpus", 1, 0, 1_000_000)
    cpus = columns.integers("cpus", 1, 1, 1_000_000)
    watts, draws = columns.numbers("power_w", np.nan, 0, 1e9), draws_of(columns)
    for index, (mean_w, _) in draws.items():
        watts[index] = mean_w
    assumed = np.isnan(watts)
    usual = np.where(gpus > 0, gpus * ASSUMED_GPU_W, cpus * ASSUMED_CPU_W)
    return JobTable(
        columns=columns,
        ids=ids,
        release_ms=release_ms,
        due_ms=_due(columns, release_ms, work_ms, now, default_slack),
        work_ms=work_ms,
        gpus=gpus,
        cpus=cpus,
        kw=np.where(assumed, usual, watts) / 1000,
        assumed=assumed,
        kinds=_each(columns, "gpu_kind", _kinds),
        home=columns.texts("home"),
        regions=columns.words("regions"),
        exclude_regions=columns.words("exclude_regions"),
        priority=columns.integers("priority", 0, -1_000_000, 1_000_000),
        before=_before(columns, ids),
        array=columns.texts("array"),
        array_limit=columns.integers("array_limit", 0, 0),
        data_gb=columns.numbers("data_gb", 0.0, 0, 1e9),
        user=columns.texts("user"),
        project=columns.texts("project"),
        pausing=_pausing(columns),
        power_steps={index: steps for index, (_, steps) in draws.items() if steps},
    )


def _ids(columns: Columns) -> Ints:
    """The jobs' numbers, else that of their row."""
    if "id" not in columns:
        return np.arange(1, len(columns) + 1, dtype=np.int64)
    ids = columns.integers("id", -1, 0)
    _, first = np.unique(ids, return_index=True)
    twice = np.setdiff1d(np.arange(len(ids)), first)
    if twice.size:
        columns.refuse(int(twice[0]), "id", f"{ids[twice[0]]} is there twice: each job has its own number")
    return ids


def _release(columns: Columns, now: datetime) -> Ints:
    if "submitted" in columns and "release" in columns:
        raise BadInput(f"{columns.path}: submitted and release are the same column: keep one of them")
    name = "submitted" if "submitted" in columns else "release"
    released = columns.times_ms(name, np.ceil)
    _check_near(columns, name, released, now)
    return np.where(released == UNKNOWN_MS, floor_ms(now), released)


def _check_near(columns: Columns, name: str, moments: Ints, now: datetime) -> None:
    """Refuses moments that are further away than any plan reaches."""
    far = np.flatnonzero(moments > floor_ms(now + FARTHEST))
    if far.size:
        # The cell's own words: Python's times end before some that can be written.
        cell = columns.texts(name)[int(far[0])]
        columns.refuse(int(far[0]), name, f"{cell} is over a year away: give an earlier time")


def _due(
    columns: Columns, release_ms: Ints, work_ms: Ints, now: datetime, default_slack: timedelta | None
) -> Ints:
    """When jobs have to end: by `finish_by`, else `slack_h` after they could have ended."""
    finish_ms = columns.times_ms("finish_by")
    _check_near(columns, "finish_by", finish_ms, now)
    early = np.flatnonzero((finish_ms != UNKNOWN_MS) & (finish_ms <= release_ms))
    if early.size:
        index = int(early[0])
        due, released = utc(int(finish_ms[index])), utc(int(release_ms[index]))
        sentence = f"the deadline {due} is not after the release, {released}: give a later time"
        columns.refuse(index, "finish_by", sentence)
    usual_h = np.nan if default_slack is None else default_slack / timedelta(hours=1)
    slack_h = columns.numbers("slack_h", np.nan, 0, LONGEST_S / 3600)
    both = (finish_ms != UNKNOWN_MS) & ~np.isnan(slack_h)
    if both.any():
        columns.refuse(int(np.flatnonzero(both)[0]), "slack_h", "finish_by is given too: keep one of them")
    slack_h = np.where(np.isnan(slack_h), usual_h, slack_h)
    neither = (finish_ms == UNKNOWN_MS) & np.isnan(slack_h)
    if neither.any():
        columns.refuse(
            int(np.flatnonzero(neither)[0]),
            "finish_by",
            "there is neither finish_by nor slack_h: give one, or set default_slack with the regions",
        )
    due_ms = release_ms + work_ms + np.nan_to_num(slack_h * 3_600_000).astype(np.int64)
    return np.where(finish_ms == UNKNOWN_MS, due_ms, finish_ms)


def _before(columns: Columns, ids: Ints) -> Ints:
    """Pairs of indices: the second starts when the first has ended."""
    if "after" not in columns:
        return np.empty((0, 2), np.int64)
    at = {int(each): index for index, each in enumerate(ids)}
    pairs: list[tuple[int, int]] = []
    for index, names in enumerate(columns.words("after")):
        for name in names:
            first = at.get(int(name)) if name.isdecimal() else None
            if first is None or first == index:
                columns.refuse(index, "after", f"{name!r} is no other job of this file")
            pairs.append((first, index))
    _check_order(columns, pairs)
    return np.array(pairs, np.int64).reshape(-1, 2)


def _check_order(columns: Columns, pairs: list[tuple[int, int]]) -> None:
    """Refuses jobs that wait for each other."""
    followers: dict[int, list[int]] = {}
    waits: dict[int, int] = {}
    for first, second in pairs:
        followers.setdefault(first, []).append(second)
        waits[second] = waits.get(second, 0) + 1
    ready = [index for index in followers if index not in waits]
    while ready:
        for index in followers.get(ready.pop(), ()):
            waits[index] -= 1
            if not waits[index]:
                ready.append(index)
    stuck = [index for index, count in waits.items() if count]
    if stuck:
        columns.refuse(min(stuck), "after", "this job waits for others that wait for it")


def _each(columns: Columns, name: str, made: Callable[[Words], _Made]) -> list[_Made]:
    """What `made` makes of the words of each cell, made once for equal ones."""
    seen: dict[Words, _Made] = {}
    found = []
    for index, words in enumerate(columns.words(name)):
        if words not in seen:
            try:
                seen[words] = made(words)
            except ValueError as error:
                columns.refuse(index, name, str(error))
        found.append(seen[words])
    return found


def _kinds(words: Words) -> tuple[GpuKind, ...]:
    return tuple(_kind(word) for word in words)


def _kind(word: str) -> GpuKind:
    """`a100`, or `h100:speed=1.8,power=1.3`."""
    kind, _, text = word.partition(":")
    ratios: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        try:
            ratios[name.strip()] = float(value)
        except ValueError:
            ratios[name.strip()] = 0.0
    if not kind.strip() or not set(ratios) <= {"speed", "power"} or not all(v > 0 for v in ratios.values()):
        raise ValueError(f"{word!r} is no kind of GPU: write a100, or h100:speed=1.8,power=1.3")
    return GpuKind(kind.strip(), **ratios)


def _pausing(columns: Columns) -> dict[int, Pausing]:
    """How each job that may be interrupted takes it."""
    pausable = columns.flags("pausable")
    checkpoint_s, restart_s, suspended_w, min_stint_s = (
        columns.numbers(name, 0.0, 0, LONGEST_S)
        for name in ("checkpoint_s", "restart_s", "suspended_w", "min_stint_s")
    )
    checkpoint_wh, restart_wh, most = (
        columns.numbers(name, np.nan, 0, 1e9) for name in ("checkpoint_wh", "restart_wh", "max_pauses")
    )
    moves = columns.flags("moves")
    return {
        index: Pausing(
            checkpoint=timedelta(seconds=checkpoint_s[index]),
            restart=timedelta(seconds=restart_s[index]),
            checkpoint_wh=_known(checkpoint_wh[index]),
            restart_wh=_known(restart_wh[index]),
            suspended_w=float(suspended_w[index]),
            min_stint=timedelta(seconds=min_stint_s[index]),
            max_pauses=None if np.isnan(most[index]) else int(most[index]),
            moves=bool(moves[index]),
        )
        for index in np.flatnonzero(pausable).tolist()
    }


def _known(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
