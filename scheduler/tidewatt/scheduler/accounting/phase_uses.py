"""How long a job was in each phase, and the energy of it."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.accounting.frozen import Frozen
from tidewatt.scheduler.accounting.metered import AttemptRun
from tidewatt.scheduler.accounting.phases import Phase, PhaseUse, Stretch
from tidewatt.scheduler.accounting.profile import Cell

_Key = tuple[Phase, bool, str]  # phase, lost, label


def phase_uses(frozen: Frozen, runs: Sequence[AttemptRun], cells: Iterable[Cell]) -> tuple[PhaseUse, ...]:
    """The phases of all attempts, in the order of the states, then as the script named them.

    The job waits from its submission (of one that was held: its release) to its first launch, and between
    attempts.
    """
    if not runs:
        return ()
    spent_ms: dict[_Key, int] = {(Phase.WAITING, False, ""): _waited_ms(frozen, runs)}
    energy_uj: dict[_Key, list[int]] = {}
    by_attempt: dict[str, list[Cell]] = {}
    for cell in cells:
        by_attempt.setdefault(cell.attempt_id, []).append(cell)
    for run in runs:
        stretches = run.stretches()
        _add(spent_ms, (Phase.LAUNCHING, False, ""), run.usage.start_ms - run.launched_ms)
        for stretch, lost in stretches:
            _add(spent_ms, _key(stretch, lost), stretch.end_ms - stretch.start_ms)
        starts_ms = [stretch.start_ms for stretch, _ in stretches]
        for cell in by_attempt.get(run.attempt_id, ()):
            key = _key(*stretches[bisect_right(starts_ms, cell.start_ms) - 1])
            amounts = energy_uj.setdefault(key, [0, 0])
            amounts[0] += cell.active_uj + cell.idle_uj
            amounts[1] += cell.active_uj
    order = {phase: place for place, phase in enumerate(Phase)}
    keys = sorted((key for key, ms in spent_ms.items() if ms), key=lambda key: (order[key[0]], key[1]))
    return tuple(
        PhaseUse(phase, label, lost, spent_ms[phase, lost, label], *energy_uj.get((phase, lost, label), ()))
        for phase, lost, label in keys
    )


def _key(stretch: Stretch, lost: bool) -> _Key:
    return stretch.phase, lost, stretch.label


def _add(spent_ms: dict[_Key, int], key: _Key, ms: int) -> None:
    spent_ms[key] = spent_ms.get(key, 0) + ms


def _waited_ms(frozen: Frozen, runs: Sequence[AttemptRun]) -> int:
    ends_ms = [time_ms(frozen.submitted), *(run.usage.end_ms for run in runs)]
    return sum(max(0, run.launched_ms - end_ms) for run, end_ms in zip(runs, ends_ms, strict=False))
