"""Whether the operator's policy lets a job wait and move as a plan of the whole queue would have it."""

from tidewatt.scheduler.plan import Ask, Plan, Window
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.chance import chance
from tidewatt.scheduler.planning.choice import TIE, Choice, Option, bearable, choice_at, earliest, weight
from tidewatt.scheduler.planning.instants import floor_ms, length_ms, moment
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.weighing import scale_of


def permitted(board: Board, ask: Ask, plan: Plan) -> bool:
    """True where the job may run as planned, in what the others leave free; it is not on the board itself.

    Against the first free start at home it has to be worth waiting or moving for, by each signal that has a
    say, likely enough, and no later than a job may be put off that has been put off as often as it may.
    """
    bounds, start = board.bounds(ask), floor_ms(plan.window.start)
    if bounds.not_after_ms is not None and start > bounds.not_after_ms:
        return False
    options = board.options(ask, bounds)
    option = next((each for each in options if (each.region, each.pool) == (plan.region, plan.pool)), None)
    firsts = [Choice(each, each.first_ms) for each in options if each.first_ms is not None]
    if option is None or option.first_ms is None or not firsts:
        return False
    first = earliest([each for each in firsts if each.option.home] or firsts)
    chosen, reference = choice_at(option, start), choice_at(first.option, first.start_ms)
    if chosen.cost is None or reference.cost is None:
        return start == option.first_ms
    return _worth(chosen, reference, board.policy) and _likely(option, start, board.policy)


def _worth(chosen: Choice, reference: Choice, policy: Policy) -> bool:
    scale = scale_of(reference)
    if not bearable(chosen, scale):
        return False
    first_ms = chosen.option.first_ms
    waits = chosen.start_ms - (chosen.start_ms if first_ms is None else first_ms)
    if waits <= 0 and chosen.option.region == reference.option.region:
        return True
    against = weight(reference, scale)
    gain = against - weight(chosen, scale)
    saving = gain / abs(against) if against else float(gain > 0)
    return saving > TIE and saving >= policy.min_saving and not 0 < waits < length_ms(policy.min_wait)


def _likely(option: Option, start_ms: int, policy: Policy) -> bool:
    """True where the chance that waiting gains anything is high enough, or not known."""
    if not policy.min_chance or option.first_ms is None or start_ms <= option.first_ms:
        return True
    curves = [option.curve, *([option.second] if option.binds else [])]
    first, chosen = (_window(option, each) for each in (option.first_ms, start_ms))
    known = [
        chance(curve.outlook, first, chosen, steps=option.steps) for curve in curves if curve is not None
    ]
    return all(each is None or each >= policy.min_chance for each in known)


def _window(option: Option, start_ms: int) -> Window:
    return Window(moment(start_ms), moment(start_ms + option.duration_ms))
