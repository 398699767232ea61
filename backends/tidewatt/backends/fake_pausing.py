"""Pauses of fake attempts: how a course goes on from the instant at which one is asked for."""

from collections.abc import Sequence
from dataclasses import replace

from tidewatt.backends.backend import Phase
from tidewatt.backends.fake_script import Leg, Script

FOR_EVER_S = 1e9  # a stop without an end yet
FAILED = "no whole checkpoint: it goes on from the one before"


def phase_at(script: Script, after_s: float) -> Phase:
    """What the attempt does so long after its start."""
    before, after = _cut(script.legs, after_s)
    return (after or before)[0 if after else -1].phase


def stopped(script: Script, after_s: float) -> tuple[Script, tuple[Leg, ...]]:
    """The script of an attempt that stands still from then on, and the legs that it has left."""
    before, left = _cut(script.legs, after_s)
    return replace(script, course=(*before, Leg(Phase.SUSPENDED, FOR_EVER_S))), left


def woken(script: Script, left: Sequence[Leg], after_s: float) -> Script:
    """The script of an attempt that stood still and goes on from then on."""
    before, _ = _cut(script.legs, after_s)
    return replace(script, course=(*before, Leg(Phase.RESUMING, script.wakes_s), *left))


def saved(script: Script, after_s: float) -> Script:
    """The script of an attempt that is asked for a checkpoint then, and ends with it."""
    before, _ = _cut(script.legs, after_s)
    course = (*before, Leg(Phase.PAUSING, script.saves_s))
    return replace(script, course=course, reason="" if script.saves else FAILED)


def worked_s(script: Script, after_s: float) -> float:
    """How long the attempt has been running by then."""
    before, _ = _cut(script.legs, after_s)
    return sum(leg.lasts_s for leg in before if leg.phase is Phase.RUNNING)


def _cut(legs: Sequence[Leg], after_s: float) -> tuple[tuple[Leg, ...], tuple[Leg, ...]]:
    """The legs before and after an instant; the first of them is kept, though it be of no length."""
    before: list[Leg] = []
    after: list[Leg] = []
    begun_s = 0.0
    for leg in legs:
        spent_s = min(max(after_s - begun_s, 0.0), leg.lasts_s)
        begun_s += leg.lasts_s
        if spent_s > 0 or not before:
            before.append(replace(leg, lasts_s=spent_s))
        if spent_s < leg.lasts_s:
            after.append(replace(leg, lasts_s=leg.lasts_s - spent_s))
    return tuple(before), tuple(after)
