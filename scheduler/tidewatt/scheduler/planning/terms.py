"""A job's own terms: when it may start at all, and whether what was asked can be met anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.plan import Ask, Why
from tidewatt.scheduler.planning.capacity import Timeline
from tidewatt.scheduler.planning.draw import check as check_steps
from tidewatt.scheduler.planning.instants import ceil_ms, floor_ms, length_ms, utc
from tidewatt.scheduler.planning.kinds import suitable
from tidewatt.scheduler.region import Pool, Region
from tidewatt.scheduler.when import short

FARTHEST = timedelta(days=366)
ASSUMED = "assumed"  # the `duration_source` of a job that gave neither duration nor time limit
SHIFTED = frozenset({Why.CLEANEST, Why.NOW_IS_CLEANEST, Why.NOTHING_TO_GAIN})  # the grid was looked at


@dataclass(frozen=True, slots=True)
class Terms:
    """When a job may start on one kind of hardware, in Unix milliseconds.

    `latest_ms` is the last start that keeps its deadline for all but the longest runs and waits in its
    engine's queue, None where it has none; `last_ms` keeps it if it runs as long as estimated, and its engine
    starts it at once. `shift_ms` is how late it may start for cleaner electricity; None where it starts as
    soon as it fits: `at_once` then says why.
    """

    earliest_ms: int
    duration_ms: int
    latest_ms: int | None
    shift_ms: int | None
    at_once: Why | None
    last_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the rest of the queue says about a job's times, in Unix milliseconds.

    It starts at `release_ms` or later, when those after which it runs have ended. It must end by `end_ms`,
    where the planned start of a follower is to be kept, and should end by `due_ms` for what follows to be in
    time. Its start is not put off beyond `not_after_ms`.
    """

    release_ms: int = 0
    end_ms: int | None = None
    due_ms: int | None = None
    not_after_ms: int | None = None


FREE = Bounds()


def terms_of(
    ask: Ask,
    now: datetime,
    default_slack: timedelta | None,
    *,
    speed: float = 1.0,
    bounds: Bounds = FREE,
    wait_ms: int = 0,
) -> Terms:
    """The terms of `ask` as of `now`, on hardware that is `speed` times as fast as its estimates are of.

    Jobs of which the longest runs, after `wait_ms` in their engine's queue, no longer fit before the deadline
    start as soon as they fit.
    """
    earliest = max(ceil_ms(now), bounds.release_ms)
    if ask.release is not None:
        earliest = max(earliest, ceil_ms(ask.release))
    duration = duration_ms(ask, speed)
    latest = latest_start_ms(ask, speed, bounds.end_ms, wait_ms=wait_ms)
    last = latest_start_ms(ask, speed, bounds.end_ms, sure=False)
    shift, at_once = _shift(ask, earliest, latest, last, default_slack)
    if shift is not None:
        if bounds.due_ms is not None:
            shift = min(shift, bounds.due_ms - duration - wait_ms)
        if bounds.not_after_ms is not None:
            shift = min(shift, bounds.not_after_ms)
    return Terms(earliest, duration, latest, shift, at_once, last)


def _shift(
    ask: Ask, earliest_ms: int, latest_ms: int | None, last_ms: int | None, default_slack: timedelta | None
) -> tuple[int | None, Why | None]:
    """How late the job may start for the grid's sake, or why it may not wait."""
    if ask.at_once:
        return None, Why.HELD_OUT if ask.by_lot else Why.ASKED
    if ask.unshifted:
        return None, Why.UNSHIFTED
    if ask.fixed:
        return None, Why.OPTED_OUT
    if ask.finish_by is None and ask.start_by is None:
        if default_slack is None:
            return None, Why.NO_DEADLINE
        slack = floor_ms(ask.submitted + default_slack)
        return (slack if latest_ms is None else min(slack, latest_ms)), None
    if ask.duration_source == ASSUMED:
        return None, Why.NO_DURATION
    if latest_ms is not None and last_ms is not None and latest_ms < earliest_ms <= last_ms:
        return None, Why.GUARD
    return latest_ms, None


def duration_ms(ask: Ask, speed: float = 1.0) -> int:
    """How long the job is expected to run, in whole milliseconds."""
    return _at(speed, ask.duration)


def latest_start_ms(
    ask: Ask, speed: float = 1.0, end_ms: int | None = None, *, sure: bool = True, wait_ms: int = 0
) -> int | None:
    """The last start that keeps the deadline, in Unix milliseconds; None where there is none.

    `sure`: also for runs as long as `guard_duration`. `end_ms` is a further moment by which it has to end;
    `wait_ms` is how long it may wait in its engine's queue after that start. An assumed duration that never
    fitted before `finish_by` says nothing: such a job has to start before it.
    """
    limits = []
    if ask.finish_by is not None:
        duration = ask.duration
        if sure and ask.guard_duration is not None and ask.duration_source != ASSUMED:
            duration = max(duration, ask.guard_duration)
        if ask.duration_source == ASSUMED and ask.submitted + duration > ask.finish_by:
            duration = timedelta(milliseconds=1)
        limits.append(floor_ms(ask.finish_by) - _at(speed, duration))
    if ask.start_by is not None:
        limits.append(floor_ms(ask.start_by))
    if end_ms is not None:
        limits.append(end_ms - duration_ms(ask, speed))
    return min(limits) - wait_ms if limits else None


def _at(speed: float, length: timedelta) -> int:
    """Whole milliseconds that hold work of that length; a millionth less counts as rounding."""
    return length_ms(length) if speed == 1.0 else ceil(length_ms(length) / speed - 1e-6)


def check(ask: Ask, regions: Sequence[Region], now: datetime) -> None:
    """Raises BadInput where no machine, however idle, could do what is asked."""
    check_steps(ask.power_steps)
    _check_times(ask, now)
    _check_place(ask, regions)
    _check_length(ask, regions, now)


def allowed(ask: Ask, region: str) -> bool:
    """True where the job may run in `region`."""
    return (not ask.regions or region in ask.regions) and region not in ask.exclude_regions


def _check_times(ask: Ask, now: datetime) -> None:
    for name, moment in (("finish-by", ask.finish_by), ("start-by", ask.start_by)):
        if moment is None:
            continue
        if moment.tzinfo is None:
            raise BadInput(f"--{name} {moment} has no time zone: add one, for example {moment}+00:00")
        if moment > now + FARTHEST:
            raise BadInput(f"--{name} {utc(floor_ms(moment))} is over a year away: give an earlier time")
        if moment <= now:
            raise BadInput(
                f"--{name} {utc(floor_ms(moment))} is in the past"
                f" (it is {utc(floor_ms(now))}): give a later time"
            )
    if ask.duration <= timedelta(0):
        raise BadInput("the duration must be more than nothing: give for example --duration 3h")


def _check_length(ask: Ask, regions: Sequence[Region], now: datetime) -> None:
    if ask.late or ask.finish_by is None or ask.duration_source == ASSUMED:
        return
    fastest = max(
        speed
        for region in regions
        if allowed(ask, region.name)
        for _, (speed, _) in suitable(ask, Timeline(region))
    )
    if floor_ms(ask.finish_by) - duration_ms(ask, fastest) < ceil_ms(now):
        flag = "time limit" if ask.duration_source == "time limit" else "duration"
        raise BadInput(
            f"the {flag} of {short(ask.duration)} does not fit before --finish-by"
            f" {utc(floor_ms(ask.finish_by))}, which is {short(ask.finish_by - now)} away:"
            f" shorten the {flag}, give a later --finish-by, or accept the earliest finish with --late"
        )


def _check_place(ask: Ask, regions: Sequence[Region]) -> None:
    known = ", ".join(region.name for region in regions)
    for name in (*ask.regions, *ask.exclude_regions):
        if all(region.name != name for region in regions):
            raise BadInput(f"there is no region {name}: choose from {known}")
    open_to_it = [region for region in regions if allowed(ask, region.name)]
    if not open_to_it:
        raise BadInput(f"--region and --exclude-region leave no region over: choose from {known}")
    if not any(suitable(ask, Timeline(region)) for region in open_to_it):
        have = "; ".join(_capacity(region) for region in open_to_it)
        raise BadInput(f"no region can ever hold {_in_words(ask)}. There is: {have}. Ask for less")


def _in_words(ask: Ask) -> str:
    need = ask.need
    kinds = " or ".join(kind.kind for kind in ask.kinds) or need.gpu_kind
    parts = [f"{need.cpus} CPU{'s' * (need.cpus != 1)}"]
    if need.gpus:
        parts.insert(0, f"{need.gpus} {kinds} GPU{'s' * (need.gpus != 1)}".replace("  ", " "))
    if need.mem_mb:
        parts.append(f"{need.mem_mb} MB of memory")
    return " and ".join(parts) + (" at once" if len(parts) > 1 else "")


def _capacity(region: Region) -> str:
    gpus = ", ".join(map(_pool, region.pools)) or "no GPU"
    memory = f", {region.mem_mb} MB" if region.mem_mb else ""
    return f"{region.name} with {gpus}, {region.cpus} CPU{'s' * (region.cpus != 1)}{memory}"


def _pool(pool: Pool) -> str:
    nodes = f" ({pool.node_gpus} on a node)" if 0 < pool.node_gpus < pool.gpus else ""
    return f"{pool.gpus} x {pool.name or 'GPU'}{nodes}"
