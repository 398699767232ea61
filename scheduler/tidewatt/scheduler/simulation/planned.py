"""Ours: the production planner and guard on the simulated clock."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from heapq import heappop, heappush
from time import process_time

from tidewatt.forecasting.kind import Signal
from tidewatt.scheduler.plan import Ask, Booking, Plan, Window
from tidewatt.scheduler.planning import guard
from tidewatt.scheduler.planning.instants import ceil_ms, floor_ms, moment
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.simulation.grid import Foresight
from tidewatt.scheduler.simulation.site import Spot
from tidewatt.scheduler.simulation.submitted import Submitted
from tidewatt.scheduler.simulation.world import Standing, World

Plans = Mapping[int, Plan | Infeasible]
Planner = Callable[[Situation], Plans]
HOUR_MS = 3_600_000
FIRST_TICK_MS = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """How ours decides: by the operator's `policy` and `signal`, anew at most `every`.

    `pausing` False plans every job in one piece. `knows` gives the oracle the real lengths of jobs; `coming`
    the jobs that are yet to come, too: then it plans once.
    """

    policy: Policy
    signal: Signal
    every: timedelta = timedelta(minutes=5)
    pausing: bool = True
    knows: bool = False
    coming: bool = False


class Planned:
    """Plans the whole queue at each new forecast, arrival and unforeseen end; starts what is due."""

    def __init__(self, name: str, foresight: Foresight, planner: Planner, rules: Rules) -> None:
        self.name = name
        self._foresight, self._planner, self._rules = foresight, planner, rules
        self._every_ms = rules.every // timedelta(milliseconds=1)
        self._margin = rules.policy.margin
        self.plans: dict[int, Plan] = {}
        self.rounds, self.seconds = 0, 0.0
        self._starts: list[tuple[int, int]] = []  # of plans, some of them outdated
        self._latest: list[tuple[int, int]] = []
        self._planned_until_ms: dict[int, int] = {}
        self._lost: set[int] = set()  # jobs for which no room was found in time
        self._stale, self._urgent, self._issued_ms = False, False, -1

    def turn(self, world: World) -> None:
        """Plans where there is reason to, then starts what the guard and the plans say."""
        self._notice(world)
        tick = world.now_ms % self._every_ms == FIRST_TICK_MS
        if self._stale and (tick or self._urgent or self._issued_ms < 0):
            self._plan(world)
        self._start_urgent(world)
        self._start_planned(world)

    def wake_ms(self, world: World) -> int | None:
        """The next planned start, latest start, round of planning, or issue."""
        if not world.waiting:
            return None
        times = [self._foresight.next_ms(world.now_ms)]
        if self._stale:
            times.append(world.now_ms // self._every_ms * self._every_ms + self._every_ms)
        times += [heap[0][0] for heap in (self._starts, self._latest) if heap and heap[0][0] > world.now_ms]
        return min(times)

    def _notice(self, world: World) -> None:
        """Takes in what has changed since the last turn."""
        now_ms = world.now_ms
        next_tick = now_ms // self._every_ms * self._every_ms + self._every_ms
        for standing in world.new:
            latest = self._latest_ms(standing)
            heappush(self._latest, (latest, standing.id))
            planned = standing.id in self.plans
            self._urgent |= latest < next_tick and not planned and standing.job.due_ms is not None
            self._stale |= not planned
        for standing in world.ended:
            expected = self._planned_until_ms.pop(standing.id, -1)
            self._stale |= abs(expected - now_ms) > 1000 and not self._rules.coming
            if standing.ended_ms is None:
                heappush(self._latest, (self._latest_ms(standing), standing.id))
        issued = self._foresight.issued_ms(now_ms)
        if issued != self._issued_ms and world.waiting and not self._rules.coming:
            self._stale = self._urgent = True

    def _plan(self, world: World) -> None:
        """Makes all plans anew."""
        began = process_time()
        self._issued_ms = self._foresight.issued_ms(world.now_ms)
        made = self._planner(self._situation(world))
        self.rounds += 1
        self.seconds += process_time() - began
        self._stale = self._urgent = False
        self._lost = set(world.waiting).difference(made)
        for job_id in self._lost:
            self.plans.pop(job_id, None)
            heappush(self._latest, (world.now_ms, job_id))
        for job_id, plan in made.items():
            new = plan.earliest if isinstance(plan, Infeasible) else plan
            if new is not None:
                self.plans[job_id] = new
                heappush(self._starts, (floor_ms(new.window.start), job_id))
        self._go_on(world)

    def _situation(self, world: World) -> Situation:
        now = moment(world.now_ms)
        signal, both = self._rules.signal, self._rules.policy.signal == "both"
        asks = [self._ask(standing) for standing in world.waiting.values()]
        asks = [ask for ask in asks if _possible(ask, now)]
        asks += [self._rest(standing) for standing in world.running.values() if standing.until_ms]
        if self._rules.coming:
            asks += [_coming(job, self._rules) for job in world.coming if job.submitted_ms > world.now_ms]
        return Situation(
            regions=world.site.regions,
            outlooks=self._foresight.outlooks(world.now_ms, signal),
            bookings=[_booking(standing, world.now_ms) for standing in world.running.values()],
            now=now,
            policy=self._rules.policy,
            asks=asks,
            keep=self.plans if not self._rules.coming else {},
            beside=self._foresight.outlooks(world.now_ms, _other(signal)) if both else {},
            ends={
                standing.id: moment(standing.expected_end_ms(world.now_ms))
                for standing in world.running.values()
            },
        )

    def _ask(self, standing: Standing) -> Ask:
        """What a waiting job asks for now: of a paused one the rest, its restart included."""
        ask = standing.job.ask
        rest_ms = (standing.left_ms if self._rules.knows else standing.estimate_ms) + standing.restart_ms
        pausing = ask.pausing if self._rules.pausing else None
        duration = timedelta(milliseconds=rest_ms)
        if duration == ask.duration and pausing == ask.pausing and not self._rules.knows:
            return ask
        longer = None if self._rules.knows else ask.guard_duration
        longer = None if longer is None else duration * (longer / ask.duration)
        return replace(ask, duration=duration, guard_duration=longer, pausing=pausing)

    def _rest(self, standing: Standing) -> Ask:
        """What a job that will be paused asks for after that."""
        assert standing.until_ms is not None and standing.spot is not None  # noqa: S101, PT018 - it will be
        gone = standing.until_ms - standing.since_ms - standing.restart_ms - standing.checkpoint_ms
        left = (standing.left_ms if self._rules.knows else standing.estimate_ms) - gone * standing.spot.speed
        restart = standing.pausing.restart
        ask = standing.job.ask
        duration = timedelta(milliseconds=max(round(left), 60_000)) + restart
        return replace(ask, duration=duration, guard_duration=None, release=moment(standing.until_ms))

    def _latest_ms(self, standing: Standing) -> int:
        """When the guard has to start the job; at once without a deadline."""
        deadline = _deadline(self._ask(standing))
        latest = guard.latest_start(deadline, self._margin)
        if latest is None:
            slack = self._rules.policy.default_slack or timedelta(0)
            return standing.job.submitted_ms + slack // timedelta(milliseconds=1)
        return ceil_ms(latest)

    def _start_urgent(self, world: World) -> None:
        """Starts what the guard says, wherever there is room; what finds none is tried again."""
        reached: dict[int, guard.Deadline] = {}
        while self._latest and self._latest[0][0] <= world.now_ms:
            job_id = heappop(self._latest)[1]
            if job_id in world.waiting:
                reached[job_id] = _deadline(self._ask(world.waiting[job_id]))
        due = guard.due(reached.values(), moment(world.now_ms), self._margin)
        others = [
            job_id
            for job_id, each in reached.items()
            if job_id not in due and (job_id in self._lost or each.finish_by is each.start_by is None)
        ]
        for job_id in (*due, *others):
            if self._anywhere(world, world.waiting[job_id]):
                del reached[job_id]
        for job_id in reached:
            latest = world.now_ms if job_id in self._lost else self._latest_ms(world.waiting[job_id])
            heappush(self._latest, (latest, job_id))

    def _anywhere(self, world: World, standing: Standing) -> bool:
        plan = self.plans.get(standing.id)
        spots = sorted(
            world.site.spots(standing.job.ask),
            key=lambda spot: plan is None or (spot.region, spot.pool) != (plan.region, plan.pool),
        )
        return any(self._begin(world, standing, spot, None) for spot in spots)

    def _start_planned(self, world: World) -> None:
        """Starts what is planned for now; what finds no room is tried again at the next end."""
        late: list[tuple[int, int]] = []
        seen: set[int] = set()
        while self._starts and self._starts[0][0] <= world.now_ms:
            at, job_id = heappop(self._starts)
            plan, standing = self.plans.get(job_id), world.waiting.get(job_id)
            if standing is None or plan is None or job_id in seen or floor_ms(plan.window.start) != at:
                continue
            seen.add(job_id)
            spot = _spot(world, standing, plan)
            if spot is None or not self._begin(world, standing, spot, _until(plan)):
                late.append((at, job_id))
        for each in late:
            heappush(self._starts, each)
        self._stale |= bool(late) and not self._rules.coming

    def _begin(self, world: World, standing: Standing, spot: Spot, until_ms: int | None) -> bool:
        if not world.start(standing, spot, until_ms):
            return False
        self._planned_until_ms[standing.id] = standing.expected_end_ms(world.now_ms)
        plan = self.plans.pop(standing.id, None)
        if plan is not None and until_ms is not None and len(plan.stints) > 1:
            self.plans[standing.id] = rest = _after_first(plan)
            heappush(self._starts, (floor_ms(rest.window.start), standing.id))
        return True

    def _go_on(self, world: World) -> None:
        """Spares jobs a pause after which they would go on at once in the same place."""
        for standing in world.running.values():
            plan = self.plans.get(standing.id)
            if plan is None or standing.until_ms is None or standing.spot is None:
                continue
            same = (plan.region, plan.pool) == (standing.spot.region, standing.spot.pool)
            if same and floor_ms(plan.window.start) <= standing.until_ms:
                world.extend(standing, _until(plan))
                del self.plans[standing.id]
                self._planned_until_ms[standing.id] = standing.expected_end_ms(world.now_ms)


def _possible(ask: Ask, now: datetime) -> bool:
    """False for a job that is late whatever is done: it starts wherever there is room first."""
    return ask.finish_by is None or ask.finish_by - ask.duration >= now


def _after_first(plan: Plan) -> Plan:
    """What is left of a plan with stints when the first of them has begun."""
    later = plan.stints[1:]
    window = Window(later[0].window.start, plan.window.end)
    return replace(plan, region=later[0].region, pool=later[0].pool, window=window, stints=later)


def _until(plan: Plan) -> int | None:
    """When the first stint of a plan ends in a pause; None where it is the only one."""
    return floor_ms(plan.stints[0].window.end) if len(plan.stints) > 1 else None


def _spot(world: World, standing: Standing, plan: Plan) -> Spot | None:
    where = (plan.stints[0].region, plan.stints[0].pool) if plan.stints else (plan.region, plan.pool)
    spots: Iterable[Spot] = world.site.spots(standing.job.ask)
    return next((spot for spot in spots if (spot.region, spot.pool) == where), None)


def _booking(standing: Standing, now_ms: int) -> Booking:
    spot, need = standing.spot, standing.job.ask.need
    assert spot is not None  # noqa: S101 - it runs
    window = Window(moment(standing.since_ms), moment(standing.expected_end_ms(now_ms)))
    return Booking(spot.region, spot.pool, window, need.gpus, need.cpus, need.mem_mb, f"job {standing.id}")


def _coming(job: Submitted, rules: Rules) -> Ask:
    release = max(job.ask.submitted, job.ask.release or job.ask.submitted)
    pausing = job.ask.pausing if rules.pausing else None
    duration = timedelta(milliseconds=job.work_ms)
    return replace(job.ask, release=release, duration=duration, guard_duration=None, pausing=pausing)


def _deadline(ask: Ask) -> guard.Deadline:
    return guard.Deadline(ask.job_id, ask.guard_duration or ask.duration, ask.finish_by, ask.start_by)


def _other(signal: Signal) -> Signal:
    return Signal.MARGINAL if signal is Signal.AVERAGE else Signal.AVERAGE
