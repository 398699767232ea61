"""What a choice of region gives: one for all stints, or another one after each pause."""

from dataclasses import replace

from tidewatt.scheduler.planning.pausing.programme import best_stints
from tidewatt.scheduler.planning.pausing.work import Stints, Work


def compared(work: Work) -> tuple[Stints | None, Stints | None]:
    """The best stints in one place for all, and the best where the job may move after each pause."""
    static = best_stints(replace(work, pausing=replace(work.pausing, moves=False)))
    dynamic = best_stints(replace(work, pausing=replace(work.pausing, moves=True)))
    return static, dynamic
