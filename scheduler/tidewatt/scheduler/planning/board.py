"""All regions with what is booked in them, on which waiting jobs are placed and moved."""

from tidewatt.scheduler.plan import Ask, Booking, Plan, Window
from tidewatt.scheduler.planning.capacity import Timeline
from tidewatt.scheduler.planning.instants import ceil_ms, floor_ms, length_ms, moment
from tidewatt.scheduler.planning.intensity import CostCurve, curve_of
from tidewatt.scheduler.planning.planner import Infeasible, options_of, place
from tidewatt.scheduler.planning.search import Choice, Option, choice_at
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import allowed, latest_start_ms

DUE_FOR_MS = 300_000  # a plan not carried out for so long after its start was slept through


class Board:
    """The regions at one moment. Bookings of what runs or is foreign stay; plans are put on and taken off."""

    def __init__(self, situation: Situation) -> None:
        self.now = situation.now
        self.now_ms = ceil_ms(situation.now)
        self.policy = situation.policy
        names = [region.name for region in situation.regions]
        self._timelines = {region.name: Timeline(region) for region in situation.regions}
        self._curves = {name: curve_of(situation.outlooks.get(name)) for name in names}
        self._placed: dict[int, str] = {}  # job id: region
        for booking in situation.bookings:
            if booking.region in self._timelines:  # a region may be gone from the configuration
                self._timelines[booking.region].book(booking)

    def options(self, ask: Ask) -> list[Option]:
        """Where `ask` could run now."""
        timelines = list(self._timelines.values())
        return options_of(ask, timelines, list(self._curves.values()), self.now_ms)

    def place(self, ask: Ask) -> Plan | Infeasible:
        """The best plan in what is free; it is not put on the board."""
        return place(ask, self.options(ask), self.now, self.policy)

    def put(self, ask: Ask, plan: Plan) -> None:
        """Books the window of a plan; one that is due begins now."""
        self.put_at(ask, plan.region, plan.pool, max(floor_ms(plan.window.start), self.now_ms))

    def put_at(self, ask: Ask, region: str, pool: str, start_ms: int) -> None:
        """Books the time that the job takes from `start_ms`."""
        window = Window(moment(start_ms), moment(start_ms + length_ms(ask.duration)))
        need = ask.need
        holder = _holder(ask.job_id)
        booking = Booking(region, pool, window, need.gpus, need.cpus, need.mem_mb, holder)
        self._timelines[region].book(booking)
        self._placed[ask.job_id] = region

    def take(self, job_id: int) -> None:
        """Frees what a waiting job had booked."""
        region = self._placed.pop(job_id, None)
        if region is not None:
            self._timelines[region].release(_holder(job_id))

    def still_holds(self, ask: Ask, plan: Plan) -> bool:
        """True where a plan made earlier can still be carried out as it is, in time."""
        start, duration = floor_ms(plan.window.start), length_ms(ask.duration)
        if start + DUE_FOR_MS < self.now_ms or not self._fits_terms(ask, plan):
            return False
        begin = max(start, self.now_ms)
        latest = latest_start_ms(ask)
        if latest is not None and begin > latest and not ask.late:
            return False
        free = self._timelines[plan.region].free(ask.need, plan.pool, begin, begin + duration)
        return free == [(begin, begin + duration)]

    def cost(self, ask: Ask, plan: Plan) -> Choice:
        """The plan's window, priced by what is known now."""
        start = max(floor_ms(plan.window.start), self.now_ms)
        region = self._timelines[plan.region].region
        option = Option(plan.region, plan.pool, self._curves[plan.region], region.pue, ())
        return choice_at(option, start, length_ms(ask.duration))

    def curve(self, region: str) -> CostCurve | None:
        """What is known of the region's grid."""
        return self._curves[region]

    def _fits_terms(self, ask: Ask, plan: Plan) -> bool:
        timeline = self._timelines.get(plan.region)
        return (
            timeline is not None
            and allowed(ask, plan.region)
            and plan.pool in timeline.pools_for(ask.need)
            and floor_ms(plan.window.end) - floor_ms(plan.window.start) == length_ms(ask.duration)
        )


def _holder(job_id: int) -> str:
    return f"plan of job {job_id}"
