"""Whether to wait or to move: the cleanest start against the first one at home."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tidewatt.forecasting.kind import Kind
from tidewatt.scheduler.plan import Ask, Why, Window
from tidewatt.scheduler.planning import reasons
from tidewatt.scheduler.planning.choice import (
    TIE,
    Choice,
    Option,
    Scale,
    bearable,
    choice_at,
    earliest,
    weight,
)
from tidewatt.scheduler.planning.instants import length_ms, moment
from tidewatt.scheduler.planning.intensity import CostCurve
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.search import best_start
from tidewatt.scheduler.planning.terms import Bounds


@dataclass(frozen=True, slots=True)
class Decision:
    """A choice, why it was made, and what a reader must know besides."""

    choice: Choice
    why: Why
    reason: str
    notes: tuple[str, ...] = ()


def cleanest(
    in_time: Sequence[Choice], ask: Ask, bounds: Bounds, policy: Policy, home: Choice | None = None
) -> Decision:
    """The cleanest choice, unless it is not worth waiting or moving for.

    `in_time` holds the first start of each option. The reference is the first of them at home. `home` is the
    first start there of a job that may not run at home: what is said compares with it all the same.
    """
    margin = _margin(in_time, length_ms(policy.margin))
    firsts = [
        choice_at(first.option, first.start_ms)
        for first in in_time
        if first.start_ms <= _shift(first.option) - margin
    ]
    if not firsts:
        first = earliest(in_time)
        if bounds.due_ms is not None and first.end_ms > bounds.due_ms:
            return Decision(first, Why.FOLLOWED, reasons.FOLLOWED)
        if bounds.not_after_ms is not None and first.start_ms > bounds.not_after_ms:
            return Decision(first, Why.NOTHING_TO_GAIN, reasons.put_off(ask.postponed))
        firsts = [choice_at(first.option, first.start_ms)]  # a default slack that is used up
    kind = _deciding_kind(firsts, policy.signal)
    if kind is None:
        return Decision(earliest(firsts), Why.NO_SIGNAL, reasons.no_signal(firsts))
    firsts = [_by_kind(first, kind) for first in firsts]
    compared: list[Choice] = []
    others: list[Choice] = []
    for first in firsts:
        (compared if first.cost is not None and _same(first.option.curve, kind) else others).append(first)
    notes = reasons.left_out([first.option for first in others], kind)
    reference = earliest([first for first in compared if first.option.home] or compared)
    compared = [_by_second(first, reference) for first in compared]
    said = None if home is None else _by_kind(choice_at(home.option, home.start_ms), kind)
    if said is not None and (said.cost is None or not _same(said.option.curve, kind)):
        said = None
    choice, why, reason = _Weighing(compared, reference, policy, margin, said).outcome()
    return Decision(choice, why, reason, (*reasons.one_decides(reference, choice), *notes))


class _Weighing:
    """The first starts of all options that can be compared, and what they are compared with."""

    def __init__(
        self,
        compared: Sequence[Choice],
        reference: Choice,
        policy: Policy,
        margin_ms: int,
        home: Choice | None = None,
    ) -> None:
        self.compared, self.reference, self.policy, self.margin_ms = compared, reference, policy, margin_ms
        self.home = home
        self.options = [first.option for first in compared]
        self.scale = scale_of(reference)
        self.bound = weight(reference, self.scale)
        undelayed, option = reference, reference.option
        money_g = option.g_per_price * option.price_at(reference.start_ms, reference.end_ms)
        if reference.extra != money_g:
            undelayed = replace(reference, extra=money_g)
        self.base = weight(undelayed, self.scale)

    def outcome(self) -> tuple[Choice, Why, str]:
        """What to do, why, and that in words."""
        policy = self.policy
        stay = earliest([first for first in self.compared if self._no_worse(first)])
        min_wait = length_ms(policy.min_wait)
        best = best_start(self.options, min_wait, margin_ms=self.margin_ms, scale=self.scale) or stay
        saving = self.saving(best)
        if self._worth(saving):
            chance = self._chance(best)
            if chance is None or chance >= policy.min_chance:
                return best, Why.CLEANEST, self._reason(best)
            return self._without_waiting(stay, chance)
        if best.start_ms < stay.start_ms:
            return best, Why.CLEANEST, reasons.sooner(best, self.reference)
        near = None
        if min_wait:
            near = best_start(self.options, margin_ms=self.margin_ms, scale=self.scale, within_ms=min_wait)
        if near is not None and self.saving(near) > max(policy.min_saving, TIE):
            return stay, Why.NOTHING_TO_GAIN, reasons.too_soon(near.start_ms - stay.start_ms, min_wait)
        if saving > TIE:
            return stay, Why.NOTHING_TO_GAIN, reasons.too_little(saving, policy.min_saving)
        return stay, Why.NOW_IS_CLEANEST, reasons.NOW_IS_CLEANEST

    def saving(self, choice: Choice) -> float:
        """Share of what the reference weighs that the choice saves."""
        gain = self.bound - weight(choice, self.scale)
        return gain / abs(self.base) if self.base else float(gain > 0)  # a marginal signal may be negative

    def _worth(self, saving: float) -> bool:
        return saving >= self.policy.min_saving and saving > TIE

    def _no_worse(self, first: Choice) -> bool:
        least = self.bound + abs(self.bound) * TIE
        return first is self.reference or (bearable(first, self.scale) and weight(first, self.scale) <= least)

    def _without_waiting(self, stay: Choice, chance: float) -> tuple[Choice, Why, str]:
        """The best of all that needs no waiting, since that is unlikely to gain anything."""
        at_once = [first for first in self.compared if bearable(first, self.scale)]
        best = min(at_once, key=lambda first: weight(first, self.scale), default=stay)
        if self._worth(self.saving(best)):
            return best, Why.CLEANEST, self._reason(best)
        return stay, Why.NOTHING_TO_GAIN, reasons.unlikely(chance, self.policy.min_chance)

    def _chance(self, best: Choice) -> float | None:
        """How likely waiting gains anything where the job is to run; None: not known, or it does not wait."""
        first_ms = self._first_ms(best)
        if not self.policy.min_chance or best.start_ms <= first_ms:
            return None
        from tidewatt.scheduler.planning.chance import chance  # few policies ask for it

        curves = [best.option.curve]
        if self.scale.second is not None and best.option.binds:
            curves.append(best.option.second)
        first, chosen = (_window(best.option, start) for start in (first_ms, best.start_ms))
        steps = best.option.steps
        known = [chance(curve.outlook, first, chosen, steps=steps) for curve in curves if curve is not None]
        return min((each for each in known if each is not None), default=None)

    def _first_ms(self, choice: Choice) -> int:
        return next(first.start_ms for first in self.compared if first.option is choice.option)

    def _reason(self, best: Choice) -> str:
        """The sentence for a choice that is worth it; for another region also what waiting alone gives."""
        alone, against = None, self.home or self.reference
        if self.home is None and best.option.region != self.reference.option.region:
            here = [o for o in self.options if o.region == self.reference.option.region]
            waiting = best_start(here, length_ms(self.policy.min_wait), margin_ms=self.margin_ms)
            alone = 0.0 if waiting is None else reasons.less(waiting.cost, self.reference.cost)
        both = self.scale.second is not None and against.second is not None
        return reasons.weighed(best, self._first_ms(best), against, alone=alone, both=both)


def scale_of(reference: Choice) -> Scale:
    """What others are weighed against: by both signals where both decide and are known."""
    return Scale(reference.cost or 0.0, reference.second if reference.option.binds else None)


def _window(option: Option, start_ms: int) -> Window:
    return Window(moment(start_ms), moment(start_ms + option.duration_ms))


def _shift(option: Option) -> int:
    assert option.shift_ms is not None  # noqa: S101 - jobs that start at once were handled before
    return option.shift_ms


def _margin(in_time: Sequence[Choice], margin_ms: int) -> int:
    """How much earlier than it must the job is to start: nothing where that cannot be."""
    return margin_ms if any(first.start_ms <= _shift(first.option) - margin_ms for first in in_time) else 0


def _deciding_kind(firsts: Sequence[Choice], signal: str) -> Kind | None:
    """Home's kind, else one of the policy's signal, else the first known."""
    kinds = [
        (not first.option.home, first.option.curve.kind.signal != signal, i, first.option.curve.kind)
        for i, first in enumerate(firsts)
        if first.option.curve is not None and first.cost is not None
    ]
    return min(kinds, key=lambda ranked: ranked[:3])[3] if kinds else None


def _same(curve: CostCurve | None, kind: Kind) -> bool:
    return curve is not None and curve.kind.continues(kind)


def _by_kind(first: Choice, kind: Kind) -> Choice:
    """The choice by its other signal, where only that one can be compared."""
    option = first.option
    if _same(option.curve, kind) or not _same(option.second, kind):
        return first
    return choice_at(option.turned(), first.start_ms)


def _by_second(first: Choice, reference: Choice) -> Choice:
    """The choice, without its other signal where that cannot be compared with the reference's."""
    option, second = first.option, reference.option.second
    if option.second is None or second is None or option.second.kind.continues(second.kind):
        return first
    return choice_at(replace(option, second=None), first.start_ms)
