"""From planner to planner: the best one whose plans stand up to the independent check.

A planner may raise, hang or answer nonsense. Then the next simpler one is asked, down to first come, first
served, which looks at no forecast. Beside all of this stands the guard, which needs no plan at all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tidewatt.scheduler.errors import Refused, SchedulerError
from tidewatt.scheduler.plan import Ask, Plan, Why
from tidewatt.scheduler.planning import newcomers as array
from tidewatt.scheduler.planning import preferring, queue
from tidewatt.scheduler.planning.bounded import NoAnswerError, bounded
from tidewatt.scheduler.planning.first_come import late_by_priority, plan_first_come
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.queue import Admission, Offer
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.timetable.problem import Certificate

Plans = Mapping[int, Plan | Infeasible]
Planner = Callable[[Situation], tuple[Plans, Certificate | None]]
Rung = tuple[str, Planner]
PATIENCE_S = 5.0  # for each planner


@dataclass(frozen=True, slots=True)
class QueuePlan:
    """A plan for each waiting job, by id, and its certificate; which planner made it, and what failed."""

    plans: dict[int, Plan | Infeasible]
    certificate: Certificate | None
    planner: str
    troubles: tuple[str, ...] = ()


def _whole(situation: Situation) -> tuple[Plans, Certificate | None]:
    from tidewatt.scheduler.planning.whole import plan_whole  # cannot it be loaded, the next one is used

    return plan_whole(situation)


def _one_by_one(situation: Situation) -> tuple[Plans, Certificate | None]:
    return queue.plan_queue(situation), None


DEFAULT: tuple[Rung, ...] = (("whole queue", _whole), ("one by one", _one_by_one))
LAST = "first come, first served"


def plan(situation: Situation, rungs: Sequence[Rung] = DEFAULT, seconds: float = PATIENCE_S) -> QueuePlan:
    """The plans of the first planner that answers within `seconds`, soundly, and keeps as many deadlines.

    Jobs keep to the regions that are preferred for them and to hours below the ceilings of prices, but for
    those that would be late so. The plans
    must stand up to `plan_faults`, and no more jobs be late than first come, first served, those of a higher
    priority counted first. That one is also what is left where all others fail. Never raises; with no planner
    left there are no plans, and the guard alone keeps the deadlines.
    """
    close = preferring.narrow(situation)
    made = _planned(close, rungs, seconds)
    wide = preferring.lost(close, made.plans)
    return _planned(preferring.narrow(situation, wide), rungs, seconds) if wide else made


def _planned(situation: Situation, rungs: Sequence[Rung], seconds: float) -> QueuePlan:
    """The same, with all regions that each job names open to it."""
    troubles: list[str] = []
    plainly = _Plainly(situation)
    for name, planner in rungs:
        made = _asked(planner, name, situation, seconds)
        wrong = made if isinstance(made, str) else _wrong(situation, made[0], plainly)
        if isinstance(made, str) or wrong:
            troubles.append(f"{name}: {wrong}")
        else:
            return QueuePlan(dict(made[0]), made[1], name, tuple(troubles))
    try:
        return QueuePlan(plainly.plans, None, LAST, tuple(troubles))
    except Exception as error:  # whatever it is, the guard goes on
        troubles.append(f"{LAST}: {_named(error)}")
        return QueuePlan({}, None, "none", tuple(troubles))


def admit(newcomer: Ask, situation: Situation, seconds: float = PATIENCE_S) -> Admission:
    """The newcomer's plan, and those that move for it, as `queue.admit`; also where that one fails or hangs.

    In the regions that are preferred for it, where it can be in time there. Where planning fails, without
    any forecast; and where that fails too, as soon as it fits beside the plans made before.

    Raises:
        BadInput: the job could not be done as asked even if nothing else ran.
        Refused: there is no room before the deadline, and `late` was not accepted.
    """

    def one(asked: list[Ask], around: Situation) -> Admission:
        return _admitted(asked[0], around, seconds)

    return preferring.first_narrow([newcomer], situation, one, lambda made: preferring.is_late(made.plan))


def _admitted(newcomer: Ask, situation: Situation, seconds: float) -> Admission:
    blind = replace(situation, outlooks={}, beside={})
    for seen in (situation, blind):
        try:
            return bounded(queue.admit, "admission", partial(queue.admit, newcomer, seen), seconds)
        except SchedulerError:
            raise
        except NoAnswerError as error:
            return _admitted_plainly(newcomer, situation, f"it could not be planned in time: {error}")
        except Exception as error:  # a planner may raise anything; the job still is to be taken
            trouble = f"the planner failed: {_named(error)}"
    return _admitted_plainly(newcomer, situation, trouble)


def beside(
    newcomers: Sequence[Ask], situation: Situation, seconds: float = PATIENCE_S
) -> Mapping[int, Plan | Infeasible] | None:
    """The newcomers in what the plans of `keep` leave free, as `newcomers.beside`; None where it fails."""
    try:
        return bounded(array.beside, "array", partial(array.beside, newcomers, situation), seconds)
    except Exception:  # whatever it is, everything may still be planned anew
        return None


def offers(ask: Ask, situation: Situation, seconds: float = PATIENCE_S) -> tuple[Offer, ...]:
    """What slack should save, as `queue.offers`; nothing where there is no answer in time."""
    try:
        return bounded(queue.offers, "offers", partial(queue.offers, ask, situation), seconds)
    except NoAnswerError:
        return ()


def _admitted_plainly(newcomer: Ask, situation: Situation, trouble: str) -> Admission:
    """As soon as it fits, if that makes no waiting job late."""
    others = [ask for ask in situation.asks if ask.job_id != newcomer.job_id]
    plans = plan_first_come(replace(situation, asks=[*others, newcomer]))
    answer = plans.pop(newcomer.job_id)
    before = plan_first_come(replace(situation, asks=others))
    worse = [i for i, plan in plans.items() if _late(plan) and not _late(before[i])]
    if isinstance(answer, Infeasible) or worse:
        reason = answer.reason if isinstance(answer, Infeasible) else f"job {worse[0]} would be late by it"
        raise Refused(f"{reason} ({trouble})")
    carried = {i: plan.earliest if isinstance(plan, Infeasible) else plan for i, plan in plans.items()}
    keep = situation.keep
    return Admission(answer, {i: plan for i, plan in carried.items() if plan and plan != keep.get(i)})


def _late(plan: Plan | Infeasible) -> bool:
    return isinstance(plan, Infeasible) or plan.why is Why.LATE


def _asked(
    planner: Planner, name: str, situation: Situation, seconds: float
) -> tuple[Plans, Certificate | None] | str:
    """The planner's answer, or why there is none."""
    try:
        answer = bounded(planner, name, partial(planner, situation), seconds)
    except NoAnswerError as error:
        return str(error)
    except Exception as error:  # a planner may raise anything; all of it is told
        return _named(error)
    if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[0], Mapping):
        return f"its answer is {type(answer).__name__}, not plans and a certificate"
    return answer


class _Plainly:
    """First come, first served, of one situation: looked up once, when first asked for."""

    def __init__(self, situation: Situation) -> None:
        self._situation = situation
        self._plans: dict[int, Plan | Infeasible] | None = None

    @property
    def plans(self) -> dict[int, Plan | Infeasible]:
        if self._plans is None:
            self._plans = plan_first_come(self._situation)
        return self._plans


def _wrong(situation: Situation, plans: Plans, plainly: _Plainly) -> str:
    """What is wrong with an answer, in a sentence; "" for a sound one."""
    from tidewatt.scheduler.planning.validator import missed, plan_faults

    try:
        found = plan_faults(situation, plans)
        if found:
            return "; ".join(found[:3])
        late = missed(situation, plans)
        if not late:
            return ""
        fewer = missed(situation, plainly.plans)
        if late_by_priority(situation.asks, late) > late_by_priority(situation.asks, fewer):
            return f"{len(late)} jobs miss their deadlines, {len(fewer)} if each starts as soon as it fits"
    except Exception as error:  # nonsense of a kind that even the check did not expect
        return f"it cannot be checked: {_named(error)}"
    return ""


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
