"""Settles ended jobs: gathers what their account needs, and stores it whenever it says something new."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from tidewatt.backends.clock import moment, time_ms
from tidewatt.backends.meters.client import MeterClient
from tidewatt.backends.meters.energy import usage
from tidewatt.backends.meters.reading import Usage
from tidewatt.scheduler.accounting.baseline import ReplayJob, first_feasible, predecessors_ended
from tidewatt.scheduler.accounting.frozen import Frozen
from tidewatt.scheduler.accounting.pairs import Efficiency
from tidewatt.scheduler.accounting.receipt import Settlement, productive_ms_of
from tidewatt.scheduler.accounting.runs import overdue_ms, promised_ug, runs_of
from tidewatt.scheduler.accounting.settlement import settle
from tidewatt.scheduler.daemon.collecting import Collector, readings_of
from tidewatt.scheduler.daemon.faults import told
from tidewatt.scheduler.daemon.hardware import efficiencies
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.jobs import JobState, SettlementState
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord
from tidewatt.scheduler.store.schema import canonical
from tidewatt.scheduler.store.turns import TurnRecord

log = structlog.get_logger()
REPLAYED_MS = 7 * 86_400_000  # the queue is replayed from so long before a job was submitted
SETTLE_EVERY_MS = 60_000  # of the job's clock, between two looks at a young account
SHORTEST_PAUSE_MS = 2_000  # of real time, however fast a replay runs
CLOSED = frozenset({SettlementState.FINAL, SettlementState.UNVERIFIED})
REMEMBERED_SPANS = 600_000  # of energy, kept in memory: some 20 MB


@dataclass(frozen=True, slots=True)
class Case:
    """What a job's account is made from, besides readings and intensity; `queue` is that of its home."""

    frozen: Frozen
    events: list[dict[str, Any]]
    efficiencies: Mapping[str, Efficiency]
    queue: list[ReplayJob]
    feasible_start: datetime | None
    predecessors_ended: bool


@dataclass(frozen=True, slots=True)
class _Queue:
    """The jobs to be replayed, by home; `starts` are kept by home and its capacity once they are known."""

    homes: Mapping[str, list[ReplayJob]]
    starts: dict[str, dict[int, datetime]] = field(default_factory=dict)

    def of_home(self, home: str) -> list[ReplayJob]:
        """Those of one home, which share its capacity."""
        return self.homes.get(home, [])


class Settler:
    """Works through the ended jobs whose account is open; the older an account, the more rarely."""

    def __init__(self, site: Site, store: Store) -> None:
        self._site = site
        self._store = store
        self._usages: dict[str, Usage] = {}
        self._looked_ms: dict[int, int] = {}  # job -> when it was looked at last, on the job's clock
        self._collector = Collector(site, store)
        self.stopping = False
        paths, settings = site.paths, site.settings
        self._meter = MeterClient(paths.readings, settings.meter_interval_s, site.clock, (paths.lock,))

    def _read(self) -> None:
        """Asks for the reading after a job's end, which its account takes in, rather than wait for it."""
        self._meter.read("settle")

    def collect(self) -> None:
        """Brings readings of attempts elsewhere here; apart, since engines may hang."""
        self._collector.look()

    def look(self) -> None:
        """Settles what can be settled now; a job that ran elsewhere when its readings are here."""
        now_ms = time_ms(self._site.clock.now())
        ended_ms = self._store.open_accounts()
        due = [number for number, at_ms in ended_ms.items() if self._due(number, at_ms, now_ms)]
        due.sort(key=lambda number: (number in self._looked_ms, -ended_ms[number]))  # news first
        attempts = self._store.attempts(due)
        due = [number for number in due if self._collector.complete(attempts[number])]
        jobs = [job for number in due if (job := self._store.job(number)) is not None]
        if not jobs:
            return
        queue = self._queue(min(job.submitted_ms for job in jobs) - REPLAYED_MS)
        if any(job.id not in self._looked_ms for job in jobs):
            self._read()
        for job in jobs:
            if self.stopping:
                return
            self._looked_ms[job.id] = now_ms
            with told("settle", job=job.id):
                self._settle(job, queue)

    def case(self, job: JobRecord) -> Case:
        """What a job's account is made from as of now, besides readings and intensity."""
        return self._case(job, self._queue(job.submitted_ms - REPLAYED_MS))

    def _due(self, number: int, ended_ms: int, now_ms: int) -> bool:
        """True where the account may have changed; late observations come ever more rarely."""
        looked_ms = self._looked_ms.get(number)
        pause_ms = max(SETTLE_EVERY_MS, (now_ms - ended_ms) / 20, SHORTEST_PAUSE_MS * self._site.clock.factor)
        return looked_ms is None or not 0 <= now_ms - looked_ms < pause_ms

    def _case(self, job: JobRecord, queue: _Queue) -> Case:
        frozen = Frozen.restored(job.frozen)
        started = [each for each in self._store.attempts([job.id])[job.id] if each.started_ms is not None]
        own = {"submitted_ms", "gpus", "lot"}
        # The rest is the home: jobs of the same capacity share one replay.
        place = canonical({name: value for name, value in job.frozen.items() if name not in own})
        at_home = queue.of_home(frozen.home)
        if place not in queue.starts:
            queue.starts[place] = first_feasible(at_home, frozen.region())
        return Case(
            frozen=frozen,
            events=self._store.events(job.id),
            efficiencies=efficiencies(job, started, self._site, self._store),
            queue=at_home,
            feasible_start=queue.starts[place].get(job.id),
            predecessors_ended=predecessors_ended(at_home, job.id),
        )

    def _settle(self, job: JobRecord, queue: _Queue) -> None:
        case, settings = self._case(job, queue), self._site.settings
        settlement = settle(
            case.frozen,
            runs_of(case.events, self._usage, case.efficiencies),
            case.feasible_start,
            self._site.observations,
            self._site.clock.now(),
            predecessors_ended=case.predecessors_ended,
            final_after=self._site.final_after,
            unverified_after=settings.unverified_after,
            forecast_saved_ug=promised_ug(case.events),
            overdue_ms=overdue_ms(case.events, case.feasible_start),
        )
        if self._says_more(settlement, job):
            with self._store.transaction() as transaction:
                at_ms = time_ms(settlement.settled_at)
                transaction.set_settlement(job.id, settlement.state, settlement.record(), at_ms)
            log.info("job.settled", job=job.id, state=str(settlement.state))
        if settlement.state in CLOSED:
            self._looked_ms.pop(job.id, None)

    def _says_more(self, new: Settlement, job: JobRecord) -> bool:
        """True where the account is not what is stored, and not less: what was settled once stays so."""
        if job.settlement is None:
            return True
        fell_back = job.settlement_state is SettlementState.PROVISIONAL and new.state in (
            SettlementState.NONE,
            SettlementState.UNVERIFIED,
        )
        return not fell_back and new.restates(Settlement.restored(job.settlement))

    def _usage(self, attempt_id: str, gpu_uuids: Sequence[str], start_ms: int, end_ms: int) -> Usage:
        if attempt_id in self._usages:
            return self._usages[attempt_id]
        used = usage(readings_of(self._site.paths, attempt_id), attempt_id, gpu_uuids, start_ms, end_ms)
        if self._site.clock.now() - moment(end_ms) > self._site.read_after:  # before, more readings may come
            while sum(len(each.spans) for each in self._usages.values()) > REMEMBERED_SPANS:
                del self._usages[next(iter(self._usages))]
            self._usages[attempt_id] = used
        return used

    def _queue(self, since_ms: int) -> _Queue:
        """All jobs that asked something of their home, to be replayed first in, first out."""
        turns = self._store.turns_since(since_ms)
        attempts = self._store.attempts([each.job_id for each in turns])
        homes: dict[str, list[ReplayJob]] = {}
        for each in turns:
            own = attempts[each.job_id]
            asked = each.state not in (JobState.HELD, JobState.CANCELLED)
            if asked or any(attempt.started_ms for attempt in own):
                homes.setdefault(each.home, []).append(self._replayed(each, own))
        return _Queue(homes)

    def _replayed(self, turn: TurnRecord, attempts: list[AttemptRecord]) -> ReplayJob:
        started = [each for each in attempts if each.started_ms is not None]
        duration_ms = turn.duration_ms
        ran_ms = productive_ms_of(turn.phases)
        if ran_ms is None and started:
            start_ms = started[-1].started_ms or 0
            end_ms = started[-1].ended_ms
            ran_ms = (end_ms or time_ms(self._site.clock.now())) - start_ms
            over = end_ms is not None and turn.ended_ms is not None  # else it runs, or is tried again
            ran_ms = ran_ms if over else max(ran_ms, duration_ms)
        duration = timedelta(milliseconds=duration_ms if ran_ms is None else ran_ms)
        return ReplayJob(turn.job_id, moment(turn.turn_ms), duration, turn.need, turn.ended_ms is not None)
