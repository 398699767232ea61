"""Budgets at work: what was used this month, what is expected, and what a submission would exceed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidewatt.backends.clock import moment, time_ms
from tidewatt.scheduler.accounting.budget import (
    BudgetView,
    Charge,
    Excess,
    excesses,
    month_of,
    standing,
)
from tidewatt.scheduler.accounting.frozen import MICRO
from tidewatt.scheduler.daemon.callers import current
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import ENDED, JobState
from tidewatt.scheduler.plan import Ask, Plan
from tidewatt.scheduler.request_schema import SubmitRequest
from tidewatt.scheduler.store import Store, Transaction
from tidewatt.scheduler.store.accounts import AccountRecord
from tidewatt.scheduler.store.records import JobRecord

if TYPE_CHECKING:
    from fastapi import FastAPI

    from tidewatt.scheduler.daemon.service import Service

KIND = "budget"  # of the events
HELD = "held for its budget: `tidewatt release` lets it go, if the operator agrees"
_SETTLED = ("provisional", "final", "unverified")
_NOT_ENDED = tuple(state for state in JobState if state not in ENDED)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the budgets say to a submission; nothing where it fits into all of them."""

    excesses: tuple[Excess, ...] = ()

    @property
    def holds(self) -> bool:
        """True where it has to wait for the operator."""
        return any(each.standing.budget.when == "hold" for each in self.excesses)

    def tell(self, transaction: Transaction, numbers: Sequence[int], now_ms: int) -> None:
        """Writes down with the job, or the first task of the array, what it exceeds and what follows."""
        if not self.excesses:
            return
        sentences = tuple(each.sentence for each in self.excesses)
        for each in self.excesses:
            decision = {"hold": "held", "warn": "told", "ask": "accepted"}[each.standing.budget.when]
            record = each.record(decision)
            transaction.append(now_ms, KIND, record, job_id=numbers[0], reason=each.sentence)
        for number in numbers:
            transaction.change_job(number, warnings=sentences)
            if self.holds:
                transaction.change_job(number, reason=HELD)


class Budgets:
    """The operator's budgets; without any, nothing is ever looked up."""

    def __init__(self, site: Site, store: Store) -> None:
        self._site = site
        self._store = store
        self._known: tuple[str, int] | None = None  # month of what is below, and how many jobs had ended
        self._last_event = 0  # when it was read
        self._settled: list[Charge] = []
        self._open: dict[int, int] = {}  # when jobs ended that are not settled yet, by number

    def judge(
        self, asked: Ask, request: SubmitRequest, plans: Sequence[Plan | None], now: datetime
    ) -> Verdict:
        """What a job, or an array with all its tasks, would exceed by its plans.

        Jobs that run or wait already are never touched. What has no plan yet is not judged.

        Raises:
            Refused: by a budget that wants to be asked, without `over_budget`.
        """
        budgets = [each for each in self._site.board.settings.budgets if _concerns(each, asked)]
        planned = [plan for plan in plans if plan is not None]
        if not budgets or not planned:
            return Verdict()
        newcomers = [self._expected(asked.user, asked.project, plan, *_draw(asked), now) for plan in planned]
        found = tuple(excesses(budgets, list(self._charges(now)), newcomers))
        refusing = [each for each in found if each.standing.budget.when == "ask"]
        if refusing and not request.over_budget:
            with self._store.transaction() as transaction:
                for each in refusing:
                    record = each.record("refused")
                    transaction.append(time_ms(now), KIND, record, reason=each.sentence)
            raise Refused(f"{refusing[0].sentence}; submit it with --over-budget if it has to be")
        return Verdict(found)

    def views(self, month: str = "") -> list[BudgetView]:
        """All budgets as they are configured now, in a month such as `2026-11`, this one where none is named.

        Raises:
            BadInput: for what is no month, or one to come.
        """
        now = self._site.clock.now()
        first = _first_of(now) if not month else _named(month, now)
        # of an earlier month nothing is kept at hand
        kept = self if first == _first_of(now) else Budgets(self._site, self._store)
        charges = list(kept._charges(now, first)) if self._site.board.settings.budgets else []
        name, caller = month_of(time_ms(first)), current()
        own = caller is not None and not caller.operator
        return [
            standing(each, name, charges).view()
            for each in self._site.board.settings.budgets
            if not own or (caller is not None and each.user == caller.name)
        ]

    def _charges(self, now: datetime, first: datetime | None = None) -> Iterator[Charge]:
        """Every job that ended since the first of the month, and all that have not ended."""
        self._read(_first_of(now) if first is None else first)
        yield from self._settled
        open_jobs = self._store.numbered(self._open).values() if self._open else ()
        for job in (*open_jobs, *self._store.jobs(_NOT_ENDED)):
            ended_ms = self._open.get(job.id)
            yield self._pending(
                job, now if ended_ms is None else moment(ended_ms), ended=ended_ms is not None
            )

    def _read(self, first: datetime) -> None:
        """What ended since then, read again only where a job has ended or was settled meanwhile."""
        counts = self._store.count()
        known = month_of(time_ms(first)), sum(counts.get(state, 0) for state in ENDED)
        if known == self._known and not self._store.settled_after(self._last_event):
            return
        self._last_event = self._store.tip().seq
        self._settled, self._open = [], {}
        for account in self._store.accounts_since(time_ms(first)):
            if account.settlement is not None and account.settlement["state"] in _SETTLED:
                self._settled.append(_settled(account, account.settlement))
            elif account.region:  # it ran, and its account is still open
                self._open[account.job_id] = account.ended_ms
        self._known = known

    def _pending(self, job: JobRecord, now: datetime, *, ended: bool) -> Charge:
        if job.plan is None or job.state is JobState.HELD:
            held = job.state is JobState.HELD
            return Charge(job.user, job.project, month_of(time_ms(now)), False, held=held)
        draw = job.power_mw / 1000, job.duration_ms / 1000
        charge = self._expected(job.user, job.project, job.plan, *draw, now)
        if not ended:
            return charge
        month = month_of(time_ms(now))  # it has ended, whenever that was planned
        return Charge(job.user, job.project, month, False, charge.emitted_ug, charge.used_j)

    def _expected(
        self, user: str, project: str, plan: Plan, power_w: float, duration_s: float, now: datetime
    ) -> Charge:
        region = self._site.region(plan.region)
        pue = 1.0 if region is None else region.pue
        ends_ms = max(time_ms(plan.window.end), time_ms(now))
        used_j = round(power_w * duration_s * pue)
        return Charge(user, project, month_of(ends_ms), False, _grams(plan), used_j)


def routes(api: "FastAPI", service: "Service") -> None:
    """Adds `budgets` to the interface."""

    @api.get("/api/v1/budgets")
    def budgets(month: str = "") -> dict[str, list[BudgetView]]:
        with service.lock:
            return {"budgets": service.budgets.views(month)}


def _first_of(now: datetime) -> datetime:
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _named(month: str, now: datetime) -> datetime:
    """The first moment of a month that was named."""
    try:
        first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise BadInput(f"{month!r} is no month: write for example {now:%Y-%m}") from None
    if first > now:
        raise BadInput(f"{month} is yet to come: `tidewatt budget` shows what is expected of this month")
    return first


def _concerns(budget: Any, asked: Ask) -> bool:
    return bool(asked.user == budget.user if budget.user is not None else asked.project == budget.project)


def _draw(asked: Ask) -> tuple[float, float]:
    return asked.power_w, asked.duration.total_seconds()


def _grams(plan: Plan) -> dict[str, int]:
    """What the plan expects, by the signals that it knows."""
    told = {plan.signal: plan.expected_g}
    if plan.beside is not None:
        told[plan.beside.signal] = plan.beside.expected_g
    return {signal: round(grams * MICRO) for signal, grams in told.items() if signal and grams is not None}


def _settled(account: AccountRecord, record: Mapping[str, Any]) -> Charge:
    ledgers: Iterable[Mapping[str, Any]] = record["ledgers"]
    emitted = {each["signal"]: each["emissions_ug"] for each in ledgers}
    counts = record["state"] != "unverified"
    saved = {
        each["signal"]: each["feasible_ug"] - each["actual_ug"]
        for each in ledgers
        if counts and each.get("feasible_ug") is not None
    }
    facility_uj = record.get("facility_uj")
    return Charge(
        user=account.user,
        project=account.project,
        month=month_of(account.ended_ms),
        settled=True,
        emitted_ug=emitted,
        used_j=None if facility_uj is None else round(facility_uj / MICRO),
        saved_ug=saved,
    )
