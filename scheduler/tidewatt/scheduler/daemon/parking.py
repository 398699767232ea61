"""Jobs that lie in the queues of engines until their time has come: parked, and moved whenever their plan is.

A parked job waits as before, and is planned on. Its attempt is moved there with its plan, is held where its
job is, and is taken back where the job is planned elsewhere: its next attempt begins when that is certain.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog

from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import BackendError, Reschedule, StopReason
from tidewatt.backends.clock import moment, time_ms
from tidewatt.backends.durable import CorruptError
from tidewatt.scheduler.daemon.endings import LEAVING
from tidewatt.scheduler.daemon.faults import told
from tidewatt.scheduler.daemon.launching import Launcher, NotFree, attempt_folder, real_ms
from tidewatt.scheduler.daemon.limiting import limited
from tidewatt.scheduler.daemon.predecessors import waits
from tidewatt.scheduler.daemon.replanning import Queue
from tidewatt.scheduler.daemon.resuming import has_run
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.daemon.starting import RESCHEDULED
from tidewatt.scheduler.daemon.waits import Waits
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.plan import Plan
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

log = structlog.get_logger()
LEAST_MOVE_S = 60.0  # of real time: a start that moves by less is left where it is
LONGEST_S = 2.0  # real seconds of a round for launches: what is left is launched in the next one
AGAIN_S = 10.0  # real seconds, after an engine could not be told
STAYS = timedelta(hours=1)  # a start that has come is not moved back by less
LATEST = "its latest start has come"


@dataclass(frozen=True, slots=True)
class _Terms:
    """What an engine knows of a job from its launch on: another value needs another launch."""

    time_limit_s: float | None
    name: str
    gpus: int
    cpus: int
    mem_mb: int

    def changed(self, now: "_Terms") -> str:
        """What is not as it was, in words; "" where all is."""
        words = {"time_limit_s": "time limit", "name": "name", "gpus": "GPUs", "cpus": "cores"}
        words["mem_mb"] = "memory"
        found = [word for name, word in words.items() if getattr(self, name) != getattr(now, name)]
        return " and ".join(found)


@dataclass(slots=True)
class _Place:
    """Where an attempt lies: when it may begin (jobs' clock; None: held), and what it was launched with."""

    begin: datetime | None
    terms: _Terms
    told: bool  # False: the engine has to be told (again)
    again_at: float = float("-inf")
    hurried: bool = False
    leaving: bool = False


class Parking:
    """Tends the parked attempts, under the lock of the rounds; engines are told over their lines."""

    def __init__(self, site: Site, store: Store, launcher: Launcher) -> None:
        self._site, self._store, self._launcher = site, store, launcher
        self.waits = Waits(site, store, launcher.polls)
        self._places: dict[str, _Place] = {}

    @property
    def owes(self) -> bool:
        """Whether an engine could not be told something that it has to be told."""
        return any(not place.told for place in self._places.values())

    def tend(self, found: Queue) -> None:
        """Moves what lies there with its plan."""
        live = {attempt.id for attempt in found.parked.values()}
        for gone in self._places.keys() - live:
            del self._places[gone]
        for number, attempt in found.parked.items():
            job = found.not_ended.get(number)
            if job is not None and not job.stopping:
                with told("park", job=number):
                    self._tend(job, attempt, found)

    def park(self, found: Queue) -> Queue:
        """Hands planned jobs over to the engines that keep them until their time; many in several rounds."""
        began = time.monotonic()
        keeping = any(self._site.keeps(region.backend) for region in self._site.regions)
        for job in found.planned if keeping else ():
            if time.monotonic() - began > LONGEST_S:
                break
            plan = job.plan
            if plan is None or job.id in found.parked or plan.window.start <= found.now:
                continue
            if job.array_limit or limited(job, self._site.board.settings.limits):
                continue  # how many run then is known then
            region = self._site.region(plan.region)
            if region is None or not self._site.keeps(region.backend) or waits(job, self._store):
                continue
            with told("park", job=job.id):
                try:
                    begin = self.begin(plan)
                    words = f"planned for {plan.window.start:%H:%M} UTC{self._lead_in_words(plan.region)}"
                    attempt = self._launcher.launch(job, region, plan.pool, found, words, begin)
                except NotFree:
                    continue
                self._place(job, attempt)  # as it was launched: it may be changed before the next round
                found = found.started(job, attempt, parked=True)
        return found

    def hurry(self, job: JobRecord, attempt: AttemptRecord, now: datetime) -> str:
        """Has a parked attempt begin now, whatever its plan says; returns how that stands."""
        place = self._place(job, attempt)
        if place.leaving:
            return f"it is being taken back from {attempt.region}"
        if not place.hurried:  # told whatever is known: somebody may have moved it there by hand
            place.hurried, place.told = True, False
        self._move(attempt, place, now, LATEST)
        return f"it waits in the queue of {attempt.region}: {attempt.reason or 'no reason is known'}"

    def begin(self, plan: Plan) -> datetime:
        """When its engine may begin it: earlier by the learnt wait where it does not age before that."""
        return plan.window.start - self.lead(plan.region)

    def lead(self, region: str) -> timedelta:
        """So much earlier a job is let begin there."""
        found = self._site.region(region)
        if found is None:
            return timedelta(0)
        ages = getattr(self._site.backend_of(found.backend), "ages_while_delayed", None)
        try:
            return timedelta(0) if ages is None or ages(region) else self.waits.of(region)
        except BackendError:  # the engine does not say: as if it did age, nothing begins too early
            return timedelta(0)

    def _lead_in_words(self, region: str) -> str:
        lead = self.lead(region)
        if not lead:
            return ""
        return (
            f", let begin {lead.total_seconds() / 60:.0f} min earlier: so long 95 of 100 waited in {region}"
        )

    def _tend(self, job: JobRecord, attempt: AttemptRecord, found: Queue) -> None:
        place, plan = self._place(job, attempt), job.plan
        if place.leaving:
            self._take_back(attempt, place, "")
            return
        if job.state is JobState.HELD or job.id in found.stuck or waits(job, self._store):
            place.hurried = False  # when it is let go the guard looks at it anew
            self._move(attempt, place, None, "held")
        elif place.hurried:
            self._move(attempt, place, found.now, LATEST)  # the engine may not have heard it yet
        elif plan is None:
            return
        elif (plan.region, plan.pool) != (attempt.region, attempt.pool):
            self._take_back(attempt, place, f"planned for {plan.region} {plan.pool}".rstrip())
        elif changed := place.terms.changed(self._terms(job, place)):
            self._take_back(attempt, place, f"changed: {changed}")
        elif not self._stays(place, self.begin(plan), found.now):
            self._move(attempt, place, self.begin(plan), f"planned for {plan.window.start:%H:%M} UTC")

    def _stays(self, place: _Place, begin: datetime, now: datetime) -> bool:
        """Whether one whose turn in the queue it is keeps it: moved back it would wait all over again."""
        its_turn = place.told and place.begin is not None and place.begin <= now
        return its_turn and begin - now < STAYS

    def _terms(self, job: JobRecord, place: _Place) -> _Terms:
        """What a launch now would be given; what pauses have used up is not known here."""
        if has_run(job) or job.time_limit_ms is None:
            return _terms(job, place.terms.time_limit_s)
        return _terms(job, job.time_limit_ms / 1000)

    def _move(self, attempt: AttemptRecord, place: _Place, begin: datetime | None, why: str) -> None:
        """Has it begin then; nothing where that makes no difference."""
        if time.monotonic() < place.again_at:
            return
        if place.told and not self._differs(place.begin, begin):
            return
        backend = self._site.backend_of(attempt.backend)
        if not isinstance(backend, Reschedule):
            return
        if self._differs(place.begin, begin):
            self._record(attempt, begin, why)
        place.begin, place.told = begin, True
        at_ms = None if begin is None else real_ms(self._site.clock, begin)
        folder = attempt_folder(self._site.paths, attempt)
        call = partial(backend.reschedule, folder, at_ms)
        self._launcher.polls.tell(attempt.backend, call, partial(self._not_told, place))

    def _take_back(self, attempt: AttemptRecord, place: _Place, why: str) -> None:
        """Stops it there; the job's next attempt begins when this one is proved never to have started."""
        if time.monotonic() < place.again_at or (place.leaving and place.told):
            return
        if not place.leaving:
            place.leaving = True
            with self._store.transaction() as transaction:
                transaction.append(
                    time_ms(self._site.clock.now()), LEAVING,
                    job_id=attempt.job_id, attempt_id=attempt.id, reason=why,
                )  # fmt: skip
        place.told = True
        folder, backend = attempt_folder(self._site.paths, attempt), self._site.backend_of(attempt.backend)
        stop = partial(backend.stop, folder, StopReason.CANCELLED)
        self._launcher.polls.tell(attempt.backend, stop, partial(self._not_told, place))

    def _not_told(self, place: _Place, _error: Exception) -> None:
        place.told, place.again_at = False, time.monotonic() + AGAIN_S

    def _record(self, attempt: AttemptRecord, begin: datetime | None, why: str) -> None:
        payload = {} if begin is None else {"begin_ms": time_ms(begin)}
        with self._store.transaction() as transaction:
            transaction.append(
                time_ms(self._site.clock.now()), RESCHEDULED, payload,
                job_id=attempt.job_id, attempt_id=attempt.id, reason=why,
            )  # fmt: skip

    def _differs(self, before: datetime | None, after: datetime | None) -> bool:
        """Whether the engine has to be told. What may begin by now lies there as one that begins now."""
        now = self._site.clock.now()
        if before is None or after is None:
            return before is not after
        least_s = max(self._site.settings.tick_s * self._site.clock.factor, LEAST_MOVE_S)
        return abs((max(before, now) - max(after, now)).total_seconds()) >= least_s

    def _place(self, job: JobRecord, attempt: AttemptRecord) -> _Place:
        """What is known of it; after a restart what its events and its launch say."""
        if attempt.id not in self._places:
            begin_ms: int | None = attempt.factors.get("begin_ms", attempt.launched_ms)
            leaving, fresh = False, True
            for event in self._store.events(job.id):
                if event["attempt_id"] == attempt.id and event["kind"] == RESCHEDULED:
                    begin_ms, fresh = event["payload"].get("begin_ms"), False
                if event["attempt_id"] == attempt.id and event["kind"] == LEAVING:
                    leaving, fresh = True, False
            begin = None if begin_ms is None else moment(begin_ms)
            terms = self._launched(attempt, job)
            self._places[attempt.id] = _Place(begin, terms, told=fresh, leaving=leaving)
        return self._places[attempt.id]

    def _launched(self, attempt: AttemptRecord, job: JobRecord) -> _Terms:
        """What it was launched with; as the job is now where nothing says so yet."""
        try:
            launch = Attempt(attempt_folder(self._site.paths, attempt)).launch()
        except (OSError, CorruptError):
            launch = None
        if launch is not None:
            return _Terms(launch.time_limit_s, launch.name, launch.gpus, launch.cpus, launch.mem_mb)
        return _terms(job, None if job.time_limit_ms is None else job.time_limit_ms / 1000)


def _terms(job: JobRecord, time_limit_s: float | None) -> _Terms:
    return _Terms(time_limit_s, job.name, job.gpus, job.cpus, job.mem_mb)
