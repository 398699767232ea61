"""Plans the queue: quickly in every round, and with the whole queue in view in a process of its own."""

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace

import structlog

from tidewatt.scheduler.plan import Plan
from tidewatt.scheduler.planning import ladder
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.ladder import QueuePlan
from tidewatt.scheduler.planning.pausing.living import interrupted
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.queue import plan_queue
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.timetable.carrying import carried
from tidewatt.scheduler.planning.timetable.immediate import immediate
from tidewatt.scheduler.planning.timetable.polisher import Polisher
from tidewatt.scheduler.planning.timetable.problem import Certificate, Timetable
from tidewatt.scheduler.planning.timetable.situated import Situated, situated
from tidewatt.scheduler.planning.timetable.windows import Prices
from tidewatt.scheduler.planning.whole import refined
from tidewatt.scheduler.schemas import CertificateView

log = structlog.get_logger()
SEARCH_S = 30.0
LONG, POLL_S = 300, 10.0  # jobs; what is found for so many is checked so often, which takes its time


@dataclass(frozen=True, slots=True)
class Found:
    """What a search of a queue has found: a timetable until it was looked at, and the prices of its slots."""

    made: Situated
    timetable: Timetable | None
    prices: Prices | None

    @property
    def jobs(self) -> frozenset[int]:
        """Whom the search was about."""
        return frozenset(ask.job_id for ask in self.made.asks)

    def plans(self) -> Mapping[int, Plan]:
        """The timetable as plans, by job id; of a long queue that takes its time."""
        return {} if self.timetable is None else self.made.plans(self.timetable, immediate(self.made.problem))


class QueuePlanner:
    """Plans of the whole queue for the rounds.

    A search with the whole queue in view runs in another process, for `seconds`, on the queue as it was when
    it began. What it finds is a proposal: the next round checks it against the queue as it is then, and takes
    it where it is better.
    """

    def __init__(self, because: Callable[[str], None], seconds: float = SEARCH_S) -> None:
        self.newest: QueuePlan | None = None
        self._because, self._seconds = because, seconds
        self._search: tuple[Situated, Polisher] | None = None
        self._found: Found | None = None
        self._seen: Hashable = None
        self._polled = float("-inf")

    def plan(self, situation: Situation) -> Mapping[int, Plan | Infeasible]:
        """A plan for each waiting job; the simpler planners follow where a better one fails."""
        made = ladder.plan(situation, (("whole queue", self._with_pauses), *ladder.DEFAULT[1:]))
        for trouble in made.troubles:
            log.error("planner.failed", trouble=trouble, instead=made.planner)
        self.newest = made
        seen = _signature(situation)
        if seen != self._seen:
            self._seen = seen
            try:
                self._begin(situation)
            except Exception:
                # the plans of this round do not depend on it
                log.exception("search.failed")
        return made.plans

    @property
    def certificate(self) -> CertificateView | None:
        """How good the newest plan is; None where nothing was to be shifted, or a simpler planner made it."""
        made = self.newest
        proof = None if made is None else made.certificate
        if made is None or proof is None or proof.jobs == proof.unplaced:
            return None
        jobs = proof.jobs - proof.unplaced
        return CertificateView(planner=made.planner, jobs=jobs, gap=proof.gap, captured=proof.captured)

    def look(self) -> None:
        """Asks for a round where the search has found something."""
        if self._search is None:
            return
        made, search = self._search
        over = not search.running()  # before what it found last is taken
        if not over and len(made.asks) >= LONG and time.monotonic() - self._polled < POLL_S:
            return
        self._polled, found = time.monotonic(), search.poll()
        if over:
            self.stop()
        if found is not None:
            self._found = Found(made, found.timetable, found.prices)
            self._because("a longer look at the whole queue")

    def stop(self) -> None:
        """Ends a search that is under way."""
        if self._search is not None:
            self._search[1].stop()
            self._search = None

    def _with_pauses(self, situation: Situation) -> tuple[dict[int, Plan | Infeasible], Certificate | None]:
        plans, proof = self._refined(situation)
        paused = interrupted(situation, plans)
        return paused, proof if paused == plans else None

    def _refined(self, situation: Situation) -> tuple[dict[int, Plan | Infeasible], Certificate | None]:
        made, found = situated(situation), self._found
        if made is None:
            return plan_queue(situation), None
        if found is None:
            return refined(situation, made, {}, None)
        waiting = {ask.job_id for ask in situation.asks}
        proposed = {
            job_id: plan
            for job_id, plan in found.plans().items()
            if job_id in waiting and plan.window.start > situation.now
        }
        prices = None
        if found.jobs == {
            ask.job_id for ask in made.asks
        }:  # of another queue they are no measure of this one
            prices = found.prices and carried(found.prices, found.made.problem.places, made.problem.places)
        self._found = replace(
            found, timetable=None
        )  # taken or not: the prices stay a proof, while these jobs wait
        return refined(situation, made, proposed, prices)

    def _begin(self, situation: Situation) -> None:
        """Begins a search on the queue as it is; an older one is about another queue."""
        self.stop()
        made = situated(situation)
        if made is not None and len(made.asks) > 1:
            self._search = made, Polisher(made.problem, None, self._seconds)


def _signature(situation: Situation) -> Hashable:
    """What a plan depends on besides the time: the queue, what is booked, and which forecasts there are."""
    asks = tuple(
        (ask.job_id, ask.finish_by, ask.start_by, ask.duration, ask.priority) for ask in situation.asks
    )
    booked = tuple(
        (each.holder, each.region, each.pool, floor_ms(each.window.end) // 600_000)
        for each in situation.bookings
    )
    outlooks = [*situation.outlooks.values(), *situation.beside.values()]
    sources = tuple(
        tuple((part.source, part.issued_at) for part in outlook.segments)
        for outlook in outlooks
        if outlook is not None
    )
    return asks, booked, sources
