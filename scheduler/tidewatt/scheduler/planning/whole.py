"""The plans of all waiting jobs, made with the whole queue in view, and how good they are, proved."""

from collections.abc import Mapping
from dataclasses import replace

from tidewatt.scheduler.plan import Plan
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.queue import plan_queue
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.timetable.certificate import certify
from tidewatt.scheduler.planning.timetable.immediate import immediate
from tidewatt.scheduler.planning.timetable.problem import Certificate
from tidewatt.scheduler.planning.timetable.situated import Situated, situated
from tidewatt.scheduler.planning.timetable.solve import solve
from tidewatt.scheduler.planning.timetable.windows import Prices

EXACT = 60  # jobs: up to so many are checked and refined to the millisecond, one by one
WORTH = 0.005  # plans change as a whole only where all grams together fall by so much

Plans = dict[int, Plan | Infeasible]


def plan_whole(situation: Situation, seconds: float | None = None) -> tuple[Plans, Certificate | None]:
    """A plan for each waiting job, by id, and the certificate of those that may be shifted; None without any.

    `seconds` is a soft limit for the improvement of large queues.
    """
    made = situated(situation)
    if made is None:
        return plan_queue(situation), None
    solution = solve(made.problem, seconds=seconds)
    proposed = made.plans(solution.timetable, immediate(made.problem))
    if len(situation.asks) <= EXACT:
        return refined(situation, made, proposed, solution.prices)
    plans = _as_proposed(situation, proposed)
    return plans, certify(made.relaxed, made.timetable(plans), solution.prices)


def refined(
    situation: Situation, made: Situated, proposed: Mapping[int, Plan], prices: Prices | None
) -> tuple[Plans, Certificate]:
    """The better of two: jobs placed one by one, or as `proposed`, checked and refined in the same way.

    `prices` may be of an earlier look at the queue: with any the certificate is a proof.
    """
    plans = plan_queue(situation)
    proof = certify(made.relaxed, made.timetable(plans), prices)
    if not proposed:
        return plans, proof
    kept = {job_id: plan for job_id, plan in situation.keep.items() if job_id not in proposed}
    other = plan_queue(replace(situation, keep={**kept, **proposed}))
    proof_of_other = certify(made.relaxed, made.timetable(other), prices)
    fewer = _missed(other) - _missed(plans)
    if fewer < 0 or (fewer == 0 and proof_of_other.cost_g < proof.cost_g * (1 - WORTH)):
        return _explained(situation, other, proposed), proof_of_other
    return plans, proof


def _explained(situation: Situation, plans: Plans, proposed: Mapping[int, Plan]) -> Plans:
    """The plans, those that were taken as proposed with all that is to be said of them."""
    board = Board(situation)
    asks = {ask.job_id: ask for ask in situation.asks}
    return {
        job_id: board.plan_at(asks[job_id], plan.region, plan.pool, floor_ms(plan.window.start))
        if isinstance(plan, Plan) and plan is proposed.get(job_id) and not plan.stints
        else plan
        for job_id, plan in plans.items()
    }


def _as_proposed(situation: Situation, proposed: Mapping[int, Plan]) -> Plans:
    """The proposal as it is; whoever has no place in it is placed in what is left."""
    rest = [ask for ask in situation.asks if ask.job_id not in proposed]
    if not rest:
        return dict(proposed)
    kept = {ask.job_id: situation.keep[ask.job_id] for ask in rest if ask.job_id in situation.keep}
    return plan_queue(replace(situation, keep={**kept, **proposed}), improve=False)


def _missed(plans: Plans) -> int:
    return sum(isinstance(plan, Infeasible) for plan in plans.values())
