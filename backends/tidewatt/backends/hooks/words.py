"""What a training script can say, and the one question that it can ask.

Every word is safe everywhere: in a job that Tidewatt did not start nothing happens, and nothing is ever
raised into the training. Numbers are of what this process did itself; `tidewatt.backends.marks` adds them up.
"""

from __future__ import annotations

import atexit
import os
import time
from operator import index
from time import monotonic

from tidewatt.backends.hooks.diary import MOST_SAID, Diary
from tidewatt.backends.hooks.trackers import Trackers

TYPE_CHECKING = False  # importing `typing` for it would take longer than all of the rest
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, SupportsIndex

VARIABLE = "TIDEWATT_MARKS"  # the folder of the attempt's marks
PAUSE = "pause.json"  # beside that folder, while a pause is asked for
_LOOK_S = 0.5


class Stretch:
    """A phase that began; leaving it as a context goes back to the phase before."""

    __slots__ = ("_before",)

    def __init__(self, before: str) -> None:
        self._before = before

    def __enter__(self) -> None:
        """The phase has begun already."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Goes back to the phase before."""
        phase(self._before)


def active() -> bool:
    """Whether somebody listens: True in a job that Tidewatt started."""
    return _diary is not None


def phase(label: str) -> Stretch:
    """Names what the job does from now on, or for as long as a `with` lasts; "" ends a phase without another.

    Of a label, 64 printable characters are kept.
    """
    diary = _diary
    if diary is None:
        return _NOTHING
    before = diary.label
    try:
        diary.begin(label)
    except Exception as error:
        _trouble(diary, error)
    return Stretch(before)


def steps(
    number: SupportsIndex | float = 1,
    *,
    samples: SupportsIndex | float = 0,
    tokens: SupportsIndex | float = 0,
) -> None:
    """Adds optimiser steps and, in the same breath, the samples and tokens that went into them."""
    diary = _diary
    if diary is None:
        return
    # The one word that a fast loop says all the time. After a step the caches hold the step's data, and every
    # line of code that is fetched again counts: so what was said is looked at when it is written.
    diary.said.append((number, samples, tokens))
    if monotonic() >= diary.due or len(diary.said) >= MOST_SAID:
        flush()


def samples(number: SupportsIndex | float) -> None:
    """Adds training samples that this process went through."""
    _count("samples", number)


def samples_of(tell: Callable[[Any], int], batch: Any) -> None:
    """Adds as many samples as `tell` finds in a batch; a mistake in it does not stop the training."""
    _tell(lambda diary: diary.count("samples", tell(batch)))


def tokens(number: SupportsIndex | float) -> None:
    """Adds training tokens that this process went through."""
    _count("tokens", number)


def epoch(number: SupportsIndex | float = 1) -> None:
    """Adds an epoch that is over."""
    _count("epochs", number)


def flops(number: SupportsIndex | float) -> None:
    """Adds floating-point operations that this process made, for whoever knows them."""
    _count("flops", number)


def parameters(number: SupportsIndex | float) -> None:
    """Says how many parameters the model has; the last word counts."""
    _tell(lambda diary: diary.hold("parameters", number))


def checkpoint(step: SupportsIndex | None = None) -> None:
    """Says that a checkpoint was saved: what was done up to now is kept, whatever becomes of this attempt."""
    _tell(lambda diary: diary.checkpoint(None if step is None else index(step)))


def resumed(step: SupportsIndex | None = None) -> None:
    """Says that the work goes on from a checkpoint of an earlier attempt."""
    _tell(lambda diary: diary.resume(None if step is None else index(step)))


def flush() -> None:
    """Writes what was counted now, rather than within a second."""
    _tell(Diary.flush)


def end_of_run() -> None:
    """Tells MLflow and Weights & Biases what was counted, where runs of theirs are known."""
    _tell(lambda diary: _trackers.end())


def counts() -> dict[str, int]:
    """What this process has counted so far."""
    if _diary is None:
        return {}
    _tell(Diary.take)
    return dict(_diary.counts)


def pause_coming() -> float | None:
    """Seconds until a pause that is asked for (0.0: now), None where none is."""
    global _said_then
    diary = _diary
    if diary is None:
        return None
    said, before = len(diary.said), _said_then
    _said_then = said
    if said > before and _look_at and _pause_at is None:
        return None  # steps go by: it looks by itself every second, and asking costs next to nothing
    moment = monotonic()
    if moment >= _look_at:
        _look(moment)
    return None if _pause_at is None else max(0.0, _pause_at - moment)


def _look(moment: float) -> None:
    """Looks whether a pause is asked for."""
    global _look_at, _pause_at
    _look_at = moment + _LOOK_S
    _pause_at = _asked(moment)


def _asked(moment: float) -> float | None:
    """When the pause comes, by the monotonic clock; a request that cannot be read asks for one at once."""
    if not os.access(_pause, os.F_OK):  # mostly there is none, and this is a cheap way to see that
        return None
    try:
        with open(_pause, "rb") as file:
            text = file.read(4096)
    except OSError:
        return None
    try:
        import json  # only here: mostly there is no such file

        return moment + float(json.loads(text)["at_ms"]) / 1000 - time.time()
    except Exception:
        return moment


def _count(kind: str, number: SupportsIndex | float) -> None:
    _tell(lambda diary: diary.count(kind, number))


def _tell(say: Callable[[Diary], None]) -> None:
    diary = _diary
    if diary is None:
        return
    try:
        say(diary)
    except Exception as error:
        _trouble(diary, error)


def _trouble(diary: Diary, error: Exception) -> None:
    """Nothing that is said here may end a training."""
    try:
        diary.warn(f"tidewatt.backends.hooks was told something that it cannot keep: {error!r}")
    except Exception:
        return


def begin(folder: str | None) -> None:
    """Begins a diary in `folder`, or none: at the start of every process, and in tests."""
    global _diary, _trackers, _pause, _look_at, _pause_at, _said_then
    _trackers = Trackers(counts)
    _diary = Diary(folder, _each_time) if folder else None
    _pause = os.path.join(os.path.dirname(folder or ""), PAUSE)
    _look_at, _pause_at, _said_then = 0.0, None, 0


def _each_time(rank: int) -> None:
    """With each write of the counts, so once a second while a script counts."""
    _look(monotonic())
    if not rank:
        _trackers.greet()


def _end() -> None:
    """Ends the phase and writes the last counts, where the process ends in order."""
    _tell(lambda diary: diary.begin(""))
    flush()


_NOTHING = Stretch("")
_diary: Diary | None = None
_trackers: Trackers
_pause = PAUSE
_look_at = 0.0
_pause_at: float | None = None
_said_then = 0  # words that waited to be counted when a pause was asked for last
begin(os.environ.get(VARIABLE))
atexit.register(_end)
if hasattr(os, "register_at_fork"):  # a fork is a process of its own, and counts from nothing
    os.register_at_fork(after_in_child=lambda: begin(os.environ.get(VARIABLE)))
