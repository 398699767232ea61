"""A job's own terms: when it may start at all, and whether what was asked can be met anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Why
from tidewatt.scheduler.planning.capacity import Timeline
from tidewatt.scheduler.planning.instants import ceil_ms, floor_ms, length_ms, utc
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.when import short

FARTHEST = timedelta(days=366)
ASSUMED = "assumed"  # the `duration_source` of a job that gave neither duration nor time limit
SHIFTED = frozenset({Why.CLEANEST, Why.NOW_IS_CLEANEST, Why.NOTHING_TO_GAIN})  # the grid was looked at


@dataclass(frozen=True, slots=True)
class Terms:
    """When a job may start, in Unix milliseconds.

    `latest_ms` is its deadline as a start, None where it has none. `shift_ms` is how late it may start for
    cleaner electricity; None where it starts as soon as it fits: `at_once` then says why.
    """

    earliest_ms: int
    duration_ms: int
    latest_ms: int | None
    shift_ms: int | None
    at_once: Why | None


def terms_of(ask: Ask, now: datetime, default_slack: timedelta | None) -> Terms:
    """The terms of `ask` as of `now`."""
    earliest, duration, latest = ceil_ms(now), length_ms(ask.duration), latest_start_ms(ask)
    if ask.at_once:
        return Terms(earliest, duration, latest, None, Why.ASKED)
    if latest is not None:
        if ask.duration_source == ASSUMED:
            return Terms(earliest, duration, latest, None, Why.NO_DURATION)
        return Terms(earliest, duration, latest, latest, None)
    if default_slack is None:
        return Terms(earliest, duration, None, None, Why.NO_DEADLINE)
    return Terms(earliest, duration, None, floor_ms(ask.submitted + default_slack), None)


def latest_start_ms(ask: Ask) -> int | None:
    """The last start that keeps the deadline, in Unix milliseconds; None where there is none.

    An assumed duration that never fitted before `finish_by` says nothing: such a job has to start before it.
    """
    limits = []
    if ask.finish_by is not None:
        duration = ask.duration
        if ask.duration_source == ASSUMED and ask.submitted + duration > ask.finish_by:
            duration = timedelta(milliseconds=1)
        limits.append(floor_ms(ask.finish_by) - length_ms(duration))
    if ask.start_by is not None:
        limits.append(floor_ms(ask.start_by))
    return min(limits, default=None)


def check(ask: Ask, regions: Sequence[Region], now: datetime) -> None:
    """Raises BadInput where no machine, however idle, could do what is asked."""
    _check_times(ask, now)
    _check_place(ask, regions)


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
    if ask.finish_by is None or ask.duration_source == ASSUMED:
        return
    if floor_ms(ask.finish_by) - length_ms(ask.duration) < ceil_ms(now):
        flag = "time limit" if ask.duration_source == "time limit" else "duration"
        raise BadInput(
            f"the {flag} of {short(ask.duration)} does not fit before --finish-by"
            f" {utc(floor_ms(ask.finish_by))}, which is {short(ask.finish_by - now)} away:"
            f" shorten the {flag} or give a later --finish-by"
        )


def _check_place(ask: Ask, regions: Sequence[Region]) -> None:
    known = ", ".join(region.name for region in regions)
    for name in (*ask.regions, *ask.exclude_regions):
        if all(region.name != name for region in regions):
            raise BadInput(f"there is no region {name}: choose from {known}")
    open_to_it = [region for region in regions if allowed(ask, region.name)]
    if not open_to_it:
        raise BadInput(f"--region and --exclude-region leave no region over: choose from {known}")
    if not any(Timeline(region).pools_for(ask.need) for region in open_to_it):
        have = "; ".join(_capacity(region) for region in open_to_it)
        raise BadInput(f"no region can ever hold {_in_words(ask.need)}. There is: {have}. Ask for less")


def _in_words(need: Need) -> str:
    parts = [f"{need.cpus} CPU{'s' * (need.cpus != 1)}"]
    if need.gpus:
        parts.insert(0, f"{need.gpus} {need.gpu_kind} GPU{'s' * (need.gpus != 1)}".replace("  ", " "))
    if need.mem_mb:
        parts.append(f"{need.mem_mb} MB of memory")
    return " and ".join(parts) + (" at once" if len(parts) > 1 else "")


def _capacity(region: Region) -> str:
    gpus = ", ".join(f"{pool.gpus} x {pool.name or 'GPU'}" for pool in region.pools) or "no GPU"
    memory = f", {region.mem_mb} MB" if region.mem_mb else ""
    return f"{region.name} with {gpus}, {region.cpus} CPU{'s' * (region.cpus != 1)}{memory}"
