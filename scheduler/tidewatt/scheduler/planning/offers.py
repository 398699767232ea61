"""What more slack would be expected to give."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from tidewatt.scheduler.plan import Ask, Plan
from tidewatt.scheduler.planning.choice import Option
from tidewatt.scheduler.planning.instants import moment
from tidewatt.scheduler.planning.intensity import MS_PER_HOUR
from tidewatt.scheduler.planning.planner import Infeasible, place
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.reasons import less

OFFERED_SLACK_H = (6.0, 24.0)

Offer = tuple[float, datetime | None, float | None]  # slack_h, start, saving_percent


class Around(Protocol):
    """What the others leave free, at a moment."""

    now: datetime
    policy: Policy

    def options(self, ask: Ask) -> list[Option]:
        """Where `ask` could run."""
        ...


def offered(ask: Ask, board: Around) -> tuple[Offer, ...]:
    """What slack should save against starting at once, with all others on the board.

    For a job without a deadline 6 h and 24 h of slack beyond the earliest finish, for one with a deadline its
    own slack, and 6 h and 24 h more. Start and saving are None where nothing is known of the grid.
    """
    own = replace(ask, guard_duration=None)
    options = board.options(own)
    firsts = [option for option in options if option.allowed and option.first_ms is not None]
    first_ms = min((option.first_ms for option in firsts if option.first_ms is not None), default=None)
    slacks: tuple[float, ...] = OFFERED_SLACK_H
    if first_ms is None:
        return tuple((slack_h, None, None) for slack_h in slacks)
    present = _slack_h(firsts)
    if present is not None:
        slacks = (present, *(present + more for more in slacks))
    exact = replace(board.policy, margin=timedelta(0))
    made = []
    for slack_h in slacks:
        start_by = moment(first_ms) + timedelta(hours=slack_h)
        easy = replace(
            own, finish_by=None, start_by=start_by, duration_source="", at_once=False,
            power_w=ask.power_w or 1000.0,
        )  # fmt: skip
        made.append(_offer(slack_h, place(easy, board.options(easy), board.now, exact)))
    return tuple(made)


def alternatives(made: Sequence[Offer]) -> tuple[str, ...]:
    """Sentences on what more slack than the first offer's would give; none where it gives nothing more."""
    now_h, _, now = made[0] if made else (0.0, None, None)
    if now is None:
        return ()
    return tuple(
        f"{slack_h - now_h:g} h more slack would be expected to give {saving:.0f} % instead of {now:.0f} %"
        for slack_h, _, saving in made[1:]
        if saving is not None and round(saving) > round(now)
    )


def _slack_h(firsts: Sequence[Option]) -> float | None:
    """How much later than it could the job may start, in whole minutes; None for one without a deadline."""
    slacks = [
        option.last_ms - option.first_ms
        for option in firsts
        if option.last_ms is not None and option.first_ms is not None
    ]
    return round(60 * max(0, max(slacks)) / MS_PER_HOUR) / 60 if slacks else None


def _offer(slack_h: float, placed: Plan | Infeasible) -> Offer:
    if isinstance(placed, Infeasible) or placed.expected_g is None or placed.immediate_g is None:
        return slack_h, None, None
    saving = less(placed.expected_g, placed.immediate_g)
    return slack_h, placed.window.start, 100 * saving
