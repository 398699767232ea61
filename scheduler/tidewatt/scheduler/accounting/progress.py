"""What attempts did and achieved, from the events of their job."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tidewatt.scheduler.accounting.phases import Phase, Progress, Stretch

Event = Mapping[str, Any]
"""An event of the store: `kind`, `attempt_id`, `time_ms`, `payload`."""

UNNUMBERED = -1  # a checkpoint whose step was not told
_PHASES = {f"attempt.{phase}": phase for phase in Phase if phase is not Phase.WAITING}


@dataclass(slots=True)
class History:
    """One attempt as its events tell it; times are those of the attempt's clock."""

    attempt_id: str
    phases: list[tuple[int, Phase]] = field(default_factory=list)
    ended_ms: int | None = None
    paused: bool = False  # it wrote its checkpoint and made room: its job was paused, not tried again
    marks: Mapping[str, Any] = field(default_factory=dict)
    resumes: str = ""  # the attempt whose work it was given to go on with
    kept_until_ms: int | None = None  # of its work, as found when it was paused; None: nobody looked

    @property
    def checkpoints(self) -> list[tuple[int, int]]:
        """When a checkpoint was saved, and of which step."""
        return [(at_ms, step) for at_ms, step in self.marks.get("checkpoints", ())]

    @property
    def resumed_step(self) -> int | None:
        """The step that it went on from; None where it did not say."""
        return self.marks.get("resumed_step")

    def paused_ms(self) -> int | None:
        """When the pause that ended it began; None where it ended otherwise."""
        last_ms, phase = self.phases[-1] if self.phases else (0, Phase.RUNNING)
        return last_ms if self.paused and phase is Phase.PAUSING else None


def progress_of(events: Iterable[Event]) -> dict[str, Progress]:
    """The progress of every attempt that started, by its id, from all events of one job in their order.

    The last attempt counts to its end. Of an earlier one counts what a later one went on from: up to the
    checkpoint of the step that this said it resumed from; where it said nothing, nothing, unless the earlier
    one ended by a pause with a checkpoint: then up to that pause, or to the last whole checkpoint before it.
    """
    histories = [each for each in _histories(events).values() if _started(each)]
    kept_ms = _kept(histories)
    return {
        each.attempt_id: Progress(
            tuple(_stretches(each)),
            kept_ms[each.attempt_id],
            _counts(each, kept_ms[each.attempt_id], last=each is histories[-1]),
        )
        for each in histories
    }


def _histories(events: Iterable[Event]) -> dict[str, History]:
    found: dict[str, History] = {}
    last: History | None = None
    for event in events:
        kind, payload = str(event["kind"]), event["payload"]
        if kind == "job.paused" and last is not None and last.ended_ms is not None:
            last.paused = True
        attempt_id = event["attempt_id"]
        if not attempt_id:
            continue
        history = found.setdefault(attempt_id, History(attempt_id))
        if kind == "marks":
            history.marks = payload
        elif kind == "progress":
            history.kept_until_ms = payload["kept_until_ms"]
        elif kind == "attempt.ended":
            history.ended_ms = payload.get("ended_ms", event["time_ms"])
        elif kind in _PHASES:
            history.resumes = payload.get("resumes", history.resumes)
            _enter(history, _PHASES[kind], event)
        last = history if kind.startswith("attempt.") else last
    return found


def _enter(history: History, phase: Phase, event: Event) -> None:
    """Notes a change of phase; an attempt that was out of sight goes on with what it did before."""
    payload = event["payload"]
    at_ms = payload.get("at_ms", event["time_ms"])
    before = history.phases[-1][1] if history.phases else None
    if phase is Phase.RUNNING and before in (None, Phase.LAUNCHING):
        at_ms = payload.get("started_ms", at_ms)
    if phase is not before:
        history.phases.append((at_ms, phase))


def _started(history: History) -> bool:
    return any(phase is not Phase.LAUNCHING for _, phase in history.phases)


def _kept(histories: Sequence[History]) -> dict[str, int]:
    """Until when the work of each attempt counts, going back from the last one."""
    kept = {each.attempt_id: _start_ms(each) for each in histories}
    for place, later in reversed(list(enumerate(histories))):
        if place == len(histories) - 1:
            kept[later.attempt_id] = _end_ms(later)
        elif kept[later.attempt_id] <= _start_ms(later):
            continue  # nothing of it counts, so nothing that it went on from does by way of it
        if origin := _origin(later, histories[:place]):
            history, until_ms = origin
            kept[history.attempt_id] = max(until_ms, _start_ms(history))
    return kept


def _origin(later: History, earlier: Sequence[History]) -> tuple[History, int] | None:
    """The attempt that a later one went on from, and when it had come so far; None for a fresh start."""
    step = later.resumed_step
    saved = [(each, at_ms, at) for each in earlier for at_ms, at in each.checkpoints]
    if step == 0 or not earlier:
        return None
    if step is not None and saved:
        return _checkpoint(saved, step)
    if later.resumes:
        return _given(later, earlier)
    paused_ms = earlier[-1].paused_ms()
    return None if paused_ms is None else (earlier[-1], paused_ms)


def _given(later: History, earlier: Sequence[History]) -> tuple[History, int] | None:
    """The attempt whose work was handed on to a later one; of one that kept nothing, where that began."""
    known = {each.attempt_id: each for each in earlier}
    wanted = later.resumes
    while wanted in known:
        history = known.pop(wanted)
        until_ms = history.paused_ms() if history.kept_until_ms is None else history.kept_until_ms
        if until_ms is not None and until_ms > _start_ms(history):
            return history, until_ms
        wanted = history.resumes
    return None


def _checkpoint(saved: Sequence[tuple[History, int, int]], step: int) -> tuple[History, int] | None:
    """The newest checkpoint of the highest step up to `step`; the newest of all where steps have no numbers.

    A checkpoint that is not known to be of the step or before it is no proof of anything kept.
    """
    numbered = [(each, at_ms, at) for each, at_ms, at in saved if at >= 0]
    if step == UNNUMBERED or not numbered:
        history, at_ms, _ = saved[-1]
        return history, at_ms
    until = [each for each in numbered if each[2] <= step]
    if not until:
        return None
    best = max(at for _, _, at in until)
    history, at_ms, _ = [each for each in until if each[2] == best][-1]
    return history, at_ms


def _start_ms(history: History) -> int:
    return next(at_ms for at_ms, phase in history.phases if phase is not Phase.LAUNCHING)


def _end_ms(history: History) -> int:
    return history.phases[-1][0] if history.ended_ms is None else history.ended_ms


def _stretches(history: History) -> Iterator[Stretch]:
    edges = [*history.phases, (_end_ms(history), Phase.WAITING)]
    for (start_ms, phase), (end_ms, _) in pairwise(edges):
        if end_ms > start_ms and phase is Phase.RUNNING:
            yield from _labelled(start_ms, end_ms, history.marks.get("phases", ()))
        elif end_ms > start_ms:
            yield Stretch(phase, start_ms, end_ms)


def _labelled(start_ms: int, end_ms: int, named: Iterable[Sequence[Any]]) -> Iterator[Stretch]:
    """A running stretch by the script's own words; of two that overlap the one counts that began last."""
    inside = [
        (max(first, start_ms), min(last, end_ms), str(label))
        for first, last, label in named
        if first < end_ms and last > start_ms
    ]
    edges = sorted({start_ms, end_ms, *(edge for first, last, _ in inside for edge in (first, last))})
    pieces = [(first, last, _label(inside, first)) for first, last in pairwise(edges)]
    begin_ms = start_ms
    for piece, following in pairwise([*pieces, (end_ms, end_ms, None)]):
        if piece[2] != following[2]:
            yield Stretch(Phase.RUNNING, begin_ms, piece[1], piece[2] or "")
            begin_ms = piece[1]


def _label(inside: Iterable[tuple[int, int, str]], at_ms: int) -> str:
    holding = [(first, label) for first, last, label in inside if first <= at_ms < last]
    return max(holding, key=lambda each: each[0])[1] if holding else ""


def _counts(history: History, kept_ms: int, *, last: bool) -> dict[str, int]:
    """What was reported of work that counts: of an earlier attempt, up to the checkpoint that was kept.

    Where that is not its last checkpoint, nobody reported how much it is.
    """
    marks, saved = history.marks, history.checkpoints
    reported = marks.get("counts", {})
    if not last:
        newest = bool(saved) and kept_ms >= saved[-1][0]
        whole = history.paused_ms() == kept_ms
        reported = marks.get("kept", {}) if newest else reported if whole and not saved else {}
    return {str(name): int(count) for name, count in reported.items()}
