"""What projects and users may still emit or use this month, and what a new job would add."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from tidewatt.backends.clock import moment
from tidewatt.scheduler.account_tables import BudgetTable
from tidewatt.scheduler.accounting.quantity import mass, watt_hours
from tidewatt.scheduler.accounting.units import J_PER_KWH, UG_PER_KG
from tidewatt.scheduler.schemas import Message


@dataclass(frozen=True, slots=True)
class Charge:
    """What one job emitted and used, or is expected to; signals and energy that are not known are absent.

    It falls into the month (UTC) in which the job ends. `saved_ug` is against the feasible baseline, of
    settled jobs alone. A `held` job has no plan, so nothing is expected of it until it is let go.
    """

    user: str
    project: str
    month: str
    settled: bool
    emitted_ug: Mapping[str, int] = field(default_factory=dict)
    used_j: int | None = None
    saved_ug: Mapping[str, int] = field(default_factory=dict)
    held: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """A budget in a month, in micrograms or in joules; `unknown` jobs are in none of the amounts."""

    budget: BudgetTable
    month: str
    limit: int
    credit: int
    used: int
    expected: int
    settled: int  # jobs in `used`
    pending: int  # jobs in `expected`
    unknown: int
    held: int

    @property
    def left(self) -> int:
        """What may still come; negative where it is exceeded."""
        return self.limit + self.credit - self.used - self.expected

    def view(self) -> "BudgetView":
        """As clients see it, in kg or kWh."""
        size = _size(self.budget)
        return BudgetView(
            of=self.budget.called,
            project=self.budget.project,
            user=self.budget.user,
            month=self.month,
            unit="kWh" if self.budget.kg is None else "kg",
            signal="" if self.budget.kg is None else self.budget.signal,
            when=self.budget.when,
            limit=self.limit / size,
            credit=self.credit / size,
            used=self.used / size,
            expected=self.expected / size,
            left=self.left / size,
            settled_jobs=self.settled,
            expected_jobs=self.pending,
            unknown_jobs=self.unknown,
            held_jobs=self.held,
        )


class BudgetView(Message):
    """A budget of a month. `used` is settled, `expected` is of jobs that run, wait or are not settled yet.

    Settled amounts are all energy with PUE; expected ones are those of plans: the draw above idle. Jobs of
    which neither is known are counted as `unknown_jobs`, and those on hold as `held_jobs`.
    """

    of: str
    project: str | None
    user: str | None
    month: str
    unit: str
    signal: str
    when: str
    limit: float
    credit: float
    used: float
    expected: float
    left: float
    settled_jobs: int
    expected_jobs: int
    unknown_jobs: int
    held_jobs: int


@dataclass(frozen=True, slots=True)
class Excess:
    """What a submission does to a budget: it `adds` (None: not known), and exceeds it by `over`."""

    standing: Standing
    adds: int | None
    over: int

    @property
    def sentence(self) -> str:
        """What is exceeded, by how much, and how that comes about."""
        at, budget = self.standing, self.standing.budget
        credit = f" and {_told(budget, at.credit)} credit" if at.credit else ""
        month = datetime.strptime(at.month, "%Y-%m").replace(tzinfo=UTC)
        limit = f"the {month:%B %Y} budget of {budget.called}, {_told(budget, at.limit)}{credit}"
        adds = "an amount that is not known" if self.adds is None else _told(budget, self.adds)
        by = f" by {_told(budget, self.over)}" if self.over > 0 else ""
        kind = "" if budget.kg is None else f" ({budget.signal})"
        return (
            f"it would exceed {limit}{kind}{by}: {_told(budget, at.used)} used,"
            f" {_told(budget, at.expected)} expected of jobs before it, {adds} of this"
        )

    def record(self, decision: str) -> dict[str, Any]:
        """For the event table, in integers and strings."""
        at, budget = self.standing, self.standing.budget
        return {
            "budget": budget.called,
            "month": at.month,
            "unit": "J" if budget.kg is None else "ug",
            "signal": "" if budget.kg is None else budget.signal,
            "limit": at.limit,
            "credit": at.credit,
            "used": at.used,
            "expected": at.expected,
            **({} if self.adds is None else {"adds": self.adds}),
            "over": self.over,
            "decision": decision,
        }


def month_of(time_ms: int) -> str:
    """The calendar month of an instant in UTC, as `2026-11`."""
    return f"{moment(time_ms):%Y-%m}"


def standing(budget: BudgetTable, month: str, charges: Iterable[Charge]) -> Standing:
    """The budget in that month with what jobs of its project or user used, and what is expected of others."""
    ours = [each for each in charges if each.month == month and _whose(budget, each)]
    pending = [each for each in ours if not each.held]
    known = [(each, amount) for each in pending if (amount := _amount(budget, each)) is not None]
    used = [amount for each, amount in known if each.settled]
    expected = [amount for each, amount in known if not each.settled]
    size = _size(budget)
    return Standing(
        budget=budget,
        month=month,
        limit=round((budget.kwh if budget.kg is None else budget.kg) * size),  # type: ignore[operator] # one is
        credit=_credit(budget, ours),
        used=sum(used),
        expected=sum(expected),
        settled=len(used),
        pending=len(expected),
        unknown=len(pending) - len(known),
        held=len(ours) - len(pending),
    )


def excesses(
    budgets: Iterable[BudgetTable], charges: Sequence[Charge], newcomers: Sequence[Charge]
) -> list[Excess]:
    """Of each budget and month that the newcomers fall into, what they exceed; none where they fit.

    Newcomers of which nothing is known exceed what is used up already, and nothing else.
    """
    found = []
    for budget in budgets:
        ours = [each for each in newcomers if _whose(budget, each)]
        for month in sorted({each.month for each in ours}):
            amounts = [_amount(budget, each) for each in ours if each.month == month]
            known = [amount for amount in amounts if amount is not None]
            at = standing(budget, month, charges)
            over = sum(known) - at.left
            if over > 0 or (not known and at.left <= 0):
                found.append(Excess(at, sum(known) if known else None, max(over, 0)))
    return found


def _whose(budget: BudgetTable, charge: Charge) -> bool:
    return charge.user == budget.user if budget.user is not None else charge.project == budget.project


def _amount(budget: BudgetTable, charge: Charge) -> int | None:
    return charge.used_j if budget.kg is None else charge.emitted_ug.get(budget.signal)


def _credit(budget: BudgetTable, charges: Iterable[Charge]) -> int:
    """A share of what the month's settled jobs saved in sum; losses count against it, down to nothing."""
    saved = sum(each.saved_ug.get(budget.signal, 0) for each in charges if each.settled)
    return max(0, int(Fraction(str(budget.credit)) * saved))


def _size(budget: BudgetTable) -> int:
    return J_PER_KWH if budget.kg is None else UG_PER_KG


def _told(budget: BudgetTable, amount: int) -> str:
    if budget.kwh is None:
        return mass(amount / 1e6)
    return watt_hours(amount / _size(budget), budget.kwh)
