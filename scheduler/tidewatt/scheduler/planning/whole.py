"""The plans of all waiting jobs, made with the whole queue in view, and how good they are, proved."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from tidewatt.scheduler.plan import Ask, Plan
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.choice import TIE
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.permission import permitted
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.queue import plan_queue
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import latest_start_ms
from tidewatt.scheduler.planning.timetable.immediate import immediate
from tidewatt.scheduler.planning.timetable.problem import Certificate
from tidewatt.scheduler.planning.timetable.situated import Situated, situated
from tidewatt.scheduler.planning.timetable.solve import solve
from tidewatt.scheduler.planning.timetable.windows import Prices
from tidewatt.scheduler.planning.timetable.wishes import kw_of

EXACT = 60  # jobs: up to so many are checked and refined to the millisecond, one by one
WORTH = 0.005  # of all grams: for less no plans are made otherwise than one by one

Plans = dict[int, Plan | Infeasible]


def plan_whole(situation: Situation, seconds: float | None = None) -> tuple[Plans, Certificate | None]:
    """A plan for each waiting job, by id, and the certificate of those that may be shifted; None without any.

    `seconds` is a soft limit for the improvement of large queues.
    """
    if any(ask.power_steps for ask in situation.asks):
        situation = _with_changing(situation)
    made = situated(situation)
    if made is None:
        return plan_queue(situation), None
    solution = solve(made.problem, seconds=seconds)
    proposed = made.plans(solution.timetable, immediate(made.problem))
    if len(situation.asks) <= EXACT:
        return refined(situation, made, proposed, solution.prices)
    plans = _as_proposed(situation, proposed)
    if _spoiled(situation, situation.keep, plans):
        plans = plan_queue(situation)
    return plans, made.certificate(plans, solution.prices)


def refined(
    situation: Situation, made: Situated, proposed: Mapping[int, Plan], prices: Prices | None
) -> tuple[Plans, Certificate]:
    """The better of two: jobs placed one by one, or as `proposed`, checked and refined in the same way.

    `prices` may be of an earlier look at the queue: with any the certificate is a proof.
    """
    plans = plan_queue(situation)
    proof = _proved(situation, made, plans, prices)
    proposed = _outwaiting(proposed, situation)
    if not proposed:
        return plans, proof
    kept = {job_id: plan for job_id, plan in situation.keep.items() if job_id not in proposed}
    other = plan_queue(replace(situation, keep={**kept, **proposed}))
    other = _permitted(situation, other, proposed)
    if _spoiled(situation, plans, other):
        return plans, proof
    proof_of_other = _proved(situation, made, other, prices)
    fewer = _missed(other) - _missed(plans)
    saved = proof.cost_g - proof_of_other.cost_g
    # Plans that stand are left for no less than one job's would be: forecasts are noisy.
    stand = all(ask.job_id in situation.keep for ask in made.asks)
    worth = max(WORTH, situation.policy.min_saving) if stand else WORTH
    if fewer < 0 or (fewer == 0 and saved > worth * abs(proof.cost_g)):
        return other, proof_of_other
    return plans, proof


def _with_changing(situation: Situation) -> Situation:
    """The situation in which jobs whose draw changes have the plans that they would have among themselves.

    The timetable takes these as given. Jobs that wait for others, or others for them, or for their turn in an
    array, have none of their own: they are placed when the others are.
    """
    behind = {job_id for ask in situation.asks for job_id in ask.after}
    alone = [
        ask
        for ask in situation.asks
        if ask.power_steps and not ask.after and ask.job_id not in behind and not ask.array_limit
    ]
    plans = plan_queue(replace(situation, asks=alone))
    own = {job_id: plan for job_id, plan in plans.items() if isinstance(plan, Plan)}
    return replace(situation, keep={**situation.keep, **own})


def _spoiled(situation: Situation, before: Mapping[int, object], after: Plans) -> bool:
    """True where a job whose draw changes would emit more than by the plan that it has without the others."""
    for ask in situation.asks:
        own = before.get(ask.job_id) if ask.power_steps else None
        if isinstance(own, Plan) and own.expected_g is not None:
            other = after[ask.job_id]
            if not isinstance(other, Plan) or other.expected_g is None:
                return True
            if other.expected_g > own.expected_g + TIE * abs(own.expected_g):
                return True
    return False


def _proved(situation: Situation, made: Situated, plans: Plans, prices: Prices | None) -> Certificate:
    """The certificate of plans at what they cost to the millisecond: slots are coarser."""
    proof = made.certificate(plans, prices)
    if proof.unplaced:
        return proof
    board, total = Board(situation), 0.0
    for ask in made.asks:
        plan = plans.get(ask.job_id)
        if not isinstance(plan, Plan) or plan.stints:
            return proof
        choice = board.cost(ask, plan)
        if choice.cost is None:
            return proof
        total += (choice.cost + choice.extra) * kw_of(ask)
    return replace(proof, cost_g=total, bound_g=min(proof.bound_g, total))


def _permitted(situation: Situation, plans: Plans, proposed: Mapping[int, Plan]) -> Plans:
    """The plans, those that were taken as proposed with all that is to be said of them.

    Where the policy does not let a job wait or move like that, it is placed anew in what the others leave.
    """
    board = Board(situation)
    chosen: Plans = {}
    for ask in board.in_order(board.in_turn(situation.asks)):
        plan = plans[ask.job_id]
        booked = plan.earliest if isinstance(plan, Infeasible) else plan
        if booked is not None:
            board.put(ask, booked)
    for ask in board.in_order(board.in_turn(situation.asks)):
        plan = plans[ask.job_id]
        if isinstance(plan, Plan) and plan is proposed.get(ask.job_id) and not plan.stints:
            board.take(ask.job_id)
            fine = permitted(board, ask, plan)
            if fine:
                plan = board.plan_at(ask, plan.region, plan.pool, floor_ms(plan.window.start))
            else:
                anew = board.place(ask)
                plan = anew if isinstance(anew, Plan) else plan  # its place is free: the deadline comes first
            board.put(ask, plan)
        chosen[ask.job_id] = plan
    return chosen


def _as_proposed(situation: Situation, proposed: Mapping[int, Plan]) -> Plans:
    """The proposal as it is; whoever has no place in it, or may not wait so, is placed in what is left."""
    postponed = {ask.job_id: ask.postponed for ask in situation.asks}
    fine = {
        job_id: plan
        for job_id, plan in _outwaiting(proposed, situation).items()
        if _worth_it(plan, postponed[job_id], situation)
    }
    rest = [ask for ask in situation.asks if ask.job_id not in fine]
    if not rest:
        return dict(fine)
    kept = {ask.job_id: situation.keep[ask.job_id] for ask in rest if ask.job_id in situation.keep}
    return plan_queue(replace(situation, keep={**kept, **fine}), improve=False)


def _worth_it(plan: Plan, postponed: int, situation: Situation) -> bool:
    """The policy as far as it can be seen from the plan alone: in large queues not every start is weighed."""
    policy, before = situation.policy, situation.keep.get(plan.job_id)
    put_off = policy.max_postponed is not None and postponed >= policy.max_postponed
    if put_off and before is not None and plan.window.start > before.window.start:
        return False
    if plan.immediate_start is None or plan.expected_g is None or not plan.immediate_g:
        return True
    waits = plan.window.start - plan.immediate_start
    saving = 1 - plan.expected_g / plan.immediate_g
    return waits <= timedelta(0) or (waits >= policy.min_wait and saving >= policy.min_saving)


def _outwaiting(proposed: Mapping[int, Plan], situation: Situation) -> dict[int, Plan]:
    """Those by which jobs end in time also after the longest usual wait in the queues that they come into."""
    waits = {region.name: region.queue_wait_ms for region in situation.regions}
    if not any(waits.values()):
        return dict(proposed)
    asks = {ask.job_id: ask for ask in situation.asks}
    return {
        job_id: plan
        for job_id, plan in proposed.items()
        if plan.stints or _outwaits(asks[job_id], plan, waits[plan.region])
    }


def _outwaits(ask: Ask, plan: Plan, wait_ms: int) -> bool:
    speed = ask.duration / (plan.window.end - plan.window.start)
    sure = latest_start_ms(ask, speed, wait_ms=wait_ms)
    return sure is None or not wait_ms or floor_ms(plan.window.start) <= sure


def _missed(plans: Plans) -> int:
    return sum(isinstance(plan, Infeasible) for plan in plans.values())
