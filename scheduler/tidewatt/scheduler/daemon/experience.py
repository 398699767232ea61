"""Earlier runs of this user, and what they say of a new one."""

import shlex
from dataclasses import replace
from datetime import datetime, timedelta

from tidewatt.scheduler.accounting.phases import Phase
from tidewatt.scheduler.accounting.receipt import Settlement, productive_ms_of
from tidewatt.scheduler.daemon.callers import user_name
from tidewatt.scheduler.daemon.occupancy import fares
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.jobs import SettlementState
from tidewatt.scheduler.plan import Ask
from tidewatt.scheduler.planning.learnt import AskedRun, Learnt, PastRun, learn
from tidewatt.scheduler.planning.terms import ASSUMED
from tidewatt.scheduler.request_schema import SubmitRequest
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord
from tidewatt.scheduler.when import short

LOOKED_AT = 1000  # newest runs


class Experience:
    """Runs that ended well, read from the store once; what is new there is read when it is asked for."""

    def __init__(self, site: Site, store: Store) -> None:
        self._site, self._store = site, store
        self._runs: dict[int, tuple[SettlementState, PastRun | None]] = {}
        self._known: dict[str, list[PastRun]] = {}  # by user
        self._endings = -1  # of the store, when that was known

    def of(self, request: SubmitRequest) -> Learnt | None:
        """What earlier runs say of a new one; None where there are too few."""
        asked = AskedRun(
            user=user_name(),
            project=request.project,
            name=request.name,
            command=shlex.join(request.argv),
            gpus=request.gpus,
            gpu_kind=request.kinds[0].kind if request.kinds else request.gpu_kind,
            estimate_s=request.duration_s,
        )
        return learn(self._past(asked.user), asked)

    def _past(self, user: str) -> list[PastRun]:
        """The runs of a user, looked for again only where a job has ended or was settled."""
        endings = self._store.endings()
        if endings != self._endings:
            self._known, self._endings = {}, endings
        known = self._known
        if user not in known:
            known[user] = self._newest(user)
        return known[user]

    def _newest(self, user: str) -> list[PastRun]:
        states = self._store.done_by(user, LOOKED_AT)
        known = {number: each for number, each in self._runs.items() if number in states}
        new = [number for number, state in states.items() if known.get(number, (None, None))[0] is not state]
        jobs, attempts = self._store.numbered(new), self._store.attempts(new)
        known |= {number: (states[number], self._run(jobs[number], attempts[number])) for number in new}
        self._runs = known
        return [run for _, run in known.values() if run is not None]

    def _run(self, job: JobRecord, attempts: list[AttemptRecord]) -> PastRun | None:
        """A run as it is learnt from, at the speed that its estimate was meant for; None where none ran."""
        started = [each for each in attempts if each.started_ms is not None and each.ended_ms is not None]
        if not started:
            return None
        speed, _ = fares(job, started[-1], self._site)
        return past_run(job, started, speed)


def past_run(job: JobRecord, started: list[AttemptRecord], speed: float) -> PastRun:
    """A run as it is learnt from, by the last of the attempts that started; `speed` is that of its GPUs."""
    last = started[-1]
    ran_ms = (last.ended_ms or 0) - (last.started_ms or 0)
    if (productive_ms := _productive_ms(job)) is not None:
        ran_ms = productive_ms
    estimate_ms = job.estimate_ms if job.estimate_ms is not None else _told_ms(job)
    return PastRun(
        duration_s=ran_ms / 1000 * speed,
        estimate_s=None if estimate_ms is None else estimate_ms / 1000,
        power_w=mean_power_w(job, started),
        user=job.user,
        project=job.project,
        name=job.name,
        command=shlex.join(job.argv),
        gpus=job.gpus,
        gpu_kind=job.kinds[0].kind if job.kinds else job.gpu_kind,
        ended_ms=job.ended_ms or 0,
    )


def _productive_ms(job: JobRecord) -> int | None:
    """The running time of all attempts that counted; None for a job that never paused."""
    phases = (job.settlement or {}).get("phases", ())
    paused = {str(Phase.PAUSING), str(Phase.SUSPENDED)}.intersection(each["phase"] for each in phases)
    return productive_ms_of(phases) if paused else None


def mean_power_w(job: JobRecord, attempts: list[AttemptRecord]) -> float | None:
    """The measured draw above idle over all its attempts; None where a part of it was not measured."""
    if job.settlement is None:
        return None
    active = [part.active_uj for part in Settlement.restored(job.settlement, cells=False).components]
    ran_ms = sum((each.ended_ms or 0) - (each.started_ms or 0) for each in attempts if each.ended_ms)
    if not ran_ms or not active or None in active:
        return None
    return sum(each or 0 for each in active) / 1000 / ran_ms


def with_experience(ask: Ask, learnt: Learnt | None, now: datetime, fastest: float = 1.0) -> Ask:
    """What is asked, with the duration that earlier runs suggest.

    It never makes a deadline impossible that the owner's own estimate keeps: then that stands, and the
    source says what earlier runs took. Nor is more than the time limit believed. `fastest` is the speed on
    the best GPUs for it that there are.

    Raises:
        BadInput: where earlier runs took longer than there is time, and the owner gave no estimate.
    """
    if learnt is None:
        return ask
    limited = ask.duration_source == "time limit"
    usual, guarded = learnt.duration, learnt.guard_duration
    if limited:
        usual, guarded = min(usual, ask.duration), min(guarded, ask.duration)
    left = None if ask.finish_by is None else (ask.finish_by - now) * fastest  # as estimates count
    if left is not None and usual > left:
        return _against(ask, learnt, usual, left, now)
    if left is not None:
        guarded = min(guarded, left)
    own = f"; {short(ask.duration)} was yours" if ask.duration_source == "yours" else ""
    return replace(
        ask,
        duration=usual,
        duration_source=f"learnt: {learnt.source}{own}",
        guard_duration=max(guarded, usual),
    )


def _against(ask: Ask, learnt: Learnt, usual: timedelta, left: timedelta, now: datetime) -> Ask:
    """What is asked where earlier runs took longer than there is time left.

    Raises:
        BadInput: where the owner gave no estimate to go by.
    """
    if ask.late or (ask.duration_source != ASSUMED and ask.duration > left):
        return ask  # said of its own terms by those who look at them
    if ask.duration_source != ASSUMED:
        said = f"{ask.duration_source}, though {learnt.source} ({short(usual)})"
        return replace(ask, duration_source=said, guard_duration=left)
    away = "soon" if ask.finish_by is None else f"{short(ask.finish_by - now)} away"
    raise BadInput(
        f"{learnt.source}, which does not fit before --finish-by, {away}: give a later"
        " --finish-by, --late, or the --duration that it takes this time"
    )


def _told_ms(job: JobRecord) -> int | None:
    """The owner's own estimate of a job from before estimates were kept apart."""
    return job.duration_ms if job.duration_source == "yours" else None
