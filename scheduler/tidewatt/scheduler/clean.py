"""Waits for clean electricity in a script or a program of one's own, without any daemon.

    from tidewatt.scheduler.clean import when_clean

    @when_clean(zone="DE", finish_by="6h", duration="1h")
    def train() -> None: ...

A missing credential, a dead network or a folder that cannot be written never keeps the work from starting:
the sources that are left decide, down to the profile that is built in, and which of them it was is told.
"""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from tidewatt.scheduler.clean_start import Finder
    from tidewatt.scheduler.plan import Plan

REPLAN_EVERY = timedelta(minutes=10)
NAP_S = 20.0  # a machine that was asleep meanwhile is noticed within this

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def when_clean(
    *,
    finish_by: str,
    duration: str,
    zone: str | None = None,
    signal: str | None = None,
    tell: Callable[[str], None] | None = None,
) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Has each call of a function wait for the cleanest start from which it is done in time.

    Times are written as for `tidewatt wait-clean`: `finish_by` counts from the call. Without `zone` the
    user's configuration names it. `tell` takes lines for people; None writes them to stderr.

    Raises:
        BadInput: when decorating, for a duration that cannot be read; when called, for what `wait-clean`
            refuses.
        Refused: when called, where not even an immediate start would be in time.
    """
    from tidewatt.scheduler.when import parse_duration

    parse_duration(duration)

    def over(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        @wraps(function)
        def waiting(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            wait_clean(finish_by, duration, zone, signal, tell=tell or _to_stderr)
            return function(*args, **kwargs)

        return waiting

    return over


def wait_clean(
    finish_by: str,
    duration: str,
    zone: str | None = None,
    signal: str | None = None,
    *,
    config: str | None = None,
    tell: Callable[[str], None],
    first: "Callable[[Plan], None] | None" = None,
) -> "Plan":
    """Sleeps until the cleanest start that meets the deadline; returns the plan whose start has come.

    `first` is told the plan that is made at the beginning.

    Raises:
        BadInput: a time, the zone or the configuration cannot be understood.
        Refused: not even an immediate start would be in time.
    """
    from tidewatt.scheduler.clean_start import Finder, wish_of

    wish = wish_of(finish_by, duration, now())
    finder = Finder.of(zone, signal, config)
    for note in finder.notes:
        tell(f"tidewatt: {note}")
    return sleep_through(finder, lambda plan: finder.find(wish, now(), plan), tell, first)


def sleep_through(
    finder: "Finder",
    find: "Callable[[Plan | None], Plan]",
    tell: Callable[[str], None],
    first: "Callable[[Plan], None] | None" = None,
    *,
    clock: Callable[[], datetime] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> "Plan":
    """Sleeps until a plan's start has come, and looks every ten minutes whether another one is better."""
    clock = clock or now
    plan = find(None)
    for line in finder.lines(plan, clock()):
        tell(line)
    if first is not None:
        first(plan)
    while (start := plan.window.start) > clock():
        look_at = min(start, clock() + REPLAN_EVERY)
        while (left_s := (look_at - clock()).total_seconds()) > 0:
            sleep(min(left_s, NAP_S))
        if look_at < start:
            found = find(plan)
            if found.window.start != plan.window.start:
                tell(f"tidewatt: planned anew: {found.reason}")
            plan = found
    return plan


def now() -> datetime:
    """Real time, aware UTC."""
    return datetime.now(UTC)


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
