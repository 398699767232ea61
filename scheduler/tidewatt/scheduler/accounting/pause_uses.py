"""The pauses of a job, and the energy of each."""

from collections.abc import Iterable, Iterator, Sequence

from tidewatt.scheduler.accounting.metered import AttemptRun
from tidewatt.scheduler.accounting.pauses import PauseUse
from tidewatt.scheduler.accounting.phases import Phase, Stretch
from tidewatt.scheduler.accounting.profile import Cell


def pause_uses(runs: Sequence[AttemptRun], cells: Iterable[Cell]) -> tuple[PauseUse, ...]:
    """All pauses of a job, in the order of time, from its attempts and their energy in cells."""
    by_attempt: dict[str, list[Cell]] = {}
    for cell in cells:
        by_attempt.setdefault(cell.attempt_id, []).append(cell)
    found: list[PauseUse] = []
    for place, run in enumerate(runs):
        own = by_attempt.get(run.attempt_id, [])
        found += _stops(run, own)
        following = runs[place + 1] if place + 1 < len(runs) else None
        later = [] if following is None else by_attempt.get(following.attempt_id, [])
        found += _checkpoint(run, own, following, later)
    return tuple(found)


def _stops(run: AttemptRun, cells: Sequence[Cell]) -> Iterator[PauseUse]:
    """The times that it stood still."""
    whole = [stretch for stretch, _ in run.stretches()]
    for place, stretch in enumerate(whole):
        if stretch.phase is not Phase.SUSPENDED:
            continue
        before, after = whole[max(place - 1, 0)], whole[min(place + 1, len(whole) - 1)]
        saving = [before] if before.phase is Phase.PAUSING else []
        back = [after] if after.phase is Phase.RESUMING else []
        yield PauseUse(
            attempt_id=run.attempt_id,
            by="stop",
            at_ms=(saving or [stretch])[0].start_ms,
            saving_ms=_ms(saving),
            saving_uj=_uj(saving, cells),
            standing_ms=_ms([stretch]),
            standing_uj=_uj([stretch], cells),
            coming_back_ms=_ms(back),
            coming_back_uj=_uj(back, cells),
            region=run.region,
            next_region=run.region,
        )


def _checkpoint(
    run: AttemptRun, cells: Sequence[Cell], following: AttemptRun | None, later: Sequence[Cell]
) -> Iterator[PauseUse]:
    """The pause that ended the attempt, if one did."""
    whole = run.stretches()
    if not whole or whole[-1][0].phase is not Phase.PAUSING:
        return
    saving, lost = [whole[-1][0]], [stretch for stretch, gone in whole if gone]
    back: list[Stretch] = []
    if following is not None:
        first = [stretch for stretch, _ in following.stretches()][:1]
        back = [stretch for stretch in first if stretch.phase is Phase.RESUMING]
    came_up_ms = 0 if following is None else following.usage.start_ms - following.launched_ms
    yield PauseUse(
        attempt_id=run.attempt_id,
        by="checkpoint",
        at_ms=saving[0].start_ms,
        saving_ms=_ms(saving),
        saving_uj=_uj(saving, cells),
        coming_back_ms=None if following is None else max(0, came_up_ms) + _ms(back),
        coming_back_uj=_uj(back, later),
        lost_ms=_ms(lost),
        lost_uj=_uj(lost, cells),
        region=run.region,
        next_region="" if following is None else following.region,
        moved_uj=None if following is None or following.move is None else following.move.energy_uj,
    )


def _ms(stretches: Iterable[Stretch]) -> int:
    return sum(stretch.end_ms - stretch.start_ms for stretch in stretches)


def _uj(stretches: Sequence[Stretch], cells: Iterable[Cell]) -> int | None:
    """The energy of the cells that lie in these stretches: they are cut at the borders of phases."""
    amounts = [
        cell.active_uj + cell.idle_uj
        for cell in cells
        if any(stretch.start_ms <= cell.start_ms < stretch.end_ms for stretch in stretches)
    ]
    return sum(amounts) if amounts else None
