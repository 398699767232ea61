"""Preferred regions and prices below their ceilings first: others only for jobs that would be late there."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.plan import Ask, Plan, Why
from tidewatt.scheduler.planning.barring import is_ceiled
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import allowed

Answer = TypeVar("Answer")


def narrowed(ask: Ask, regions: Iterable[str]) -> Ask:
    """The job with its preferred regions alone; as it is where none of those is open to it."""
    open_to_it = [name for name in regions if allowed(ask, name)]
    if not any(name in ask.prefer for name in open_to_it):
        return ask
    others = tuple(name for name in open_to_it if name not in ask.prefer)
    return replace(ask, exclude_regions=(*ask.exclude_regions, *others))


def narrow(situation: Situation, wide: frozenset[int] = frozenset()) -> Situation:
    """The situation in which jobs keep to their preferred regions, but for those that are `wide`."""
    if not wide and not any(ask.prefer for ask in situation.asks):
        return situation
    names = [region.name for region in situation.regions]
    asks = [replace(ask, dear=True) if ask.job_id in wide else narrowed(ask, names) for ask in situation.asks]
    return replace(situation, asks=asks)


def lost(situation: Situation, plans: Mapping[int, Plan | Infeasible]) -> frozenset[int]:
    """Jobs that would be late, or run nowhere, in their preferred regions, or below the ceilings of prices.

    A job without a deadline is never late for a price: it waits until that has fallen.
    """
    preferring = {
        ask.job_id
        for ask in situation.asks
        if ask.prefer or (_is_urgent(ask) and is_ceiled(ask, situation.regions))
    }
    return frozenset(job_id for job_id, plan in plans.items() if job_id in preferring and is_late(plan))


def first_narrow(
    newcomers: Iterable[Ask],
    situation: Situation,
    admit: Callable[[list[Ask], Situation], Answer],
    late: Callable[[Answer], bool],
) -> Answer:
    """What `admit` answers in the preferred regions, where that is in time; else in all.

    Raises:
        SchedulerError: what it raises where all regions are open.
    """
    asked = list(newcomers)
    names = [region.name for region in situation.regions]
    close, within = [narrowed(ask, names) for ask in asked], narrow(situation)
    ceiled = any(_is_urgent(ask) and is_ceiled(ask, situation.regions) for ask in asked)
    if close == asked and within is situation and not ceiled:
        return admit(asked, situation)
    widened = [replace(ask, dear=True) if _is_urgent(ask) else ask for ask in asked]
    try:
        made = admit(close, within)
        return admit(widened, situation) if late(made) else made
    except SchedulerError:
        return admit(widened, situation)


def _is_urgent(ask: Ask) -> bool:
    return ask.finish_by is not None or ask.start_by is not None


def is_late(plan: Plan | Infeasible) -> bool:
    """True where the job misses its deadline, or runs nowhere."""
    return isinstance(plan, Infeasible) or plan.why is Why.LATE
