"""Why a plan is as it is, in sentences for people."""

from collections.abc import Sequence
from datetime import timedelta

from tidewatt.forecasting.kind import Kind
from tidewatt.scheduler.plan import Ask, Why
from tidewatt.scheduler.planning.instants import floor_ms, utc
from tidewatt.scheduler.planning.search import Choice, Option
from tidewatt.scheduler.when import short

AT_ONCE = {
    Why.NO_DEADLINE: "no deadline was given: starts as soon as it fits",
    Why.NO_DURATION: "a deadline, but neither a duration nor a time limit: starts as soon as it fits"
    " (with --duration it could wait for cleaner hours)",
    Why.ASKED: "asked to start as soon as it fits",
}
NOW_IS_CLEANEST = "the first free moment is already the cleanest that the deadline allows"


def cleanest(best: Choice, first_ms: int, reference: Choice, saving: float) -> str:
    """Says what is saved, and how: by waiting, by another region, or by both."""
    means = []
    if best.start_ms > first_ms:
        means.append(f"waits {_length(best.start_ms - first_ms)} for cleaner electricity")
    if best.option.region != reference.option.region:
        means.append(f"runs in {best.option.region} instead of {reference.option.region}")
    how = " and ".join(means) or f"runs on {best.option.pool}"
    return f"{how}: {saving:.0%} less than starting at once in {reference.option.region}"


def sooner(best: Choice, reference: Choice) -> str:
    """Says that another region has room first."""
    home = reference.option.region
    return f"runs in {best.option.region}, no less clean than {home} and sooner than {home} has room"


def too_little(saving: float, min_saving: float) -> str:
    """Says that waiting or moving is not worth it."""
    return f"waiting or moving would save {saving:.1%} at most: less than {min_saving:.0%} is not worth it"


def too_soon(wait_ms: int, min_wait_ms: int) -> str:
    """Says that the wait is too short to be worth it."""
    wait, least = _length(wait_ms), _length(min_wait_ms)
    return f"the cleanest start is only {wait} away: less than {least} is not worth waiting for"


def no_signal(firsts: Sequence[Choice]) -> str:
    """Says that nothing is known of the grid over the time in question."""
    known = [first.option.curve for first in firsts if first.option.curve is not None]
    if not known:
        return "no carbon intensity is known here (is a zone configured?): starts as soon as it fits"
    since, until = min(curve.start_ms for curve in known), max(curve.end_ms for curve in known)
    return f"carbon intensity is known only from {utc(since)} to {utc(until)}: starts as soon as it fits"


def left_out(options: Sequence[Option], kind: Kind) -> tuple[str, ...]:
    """Says which regions could not be compared, each once."""
    said: dict[str, str] = {}
    for option in options:
        if option.curve is None:
            said[option.region] = f"{option.region} left out: no carbon intensity is known there"
        elif not option.curve.kind.continues(kind):
            said[option.region] = f"{option.region} left out: its signal is {option.curve.kind}, not {kind}"
        else:
            said[option.region] = (
                f"{option.region} left out: nothing is known of the hours in which it is free"
            )
    return tuple(said.values())


def not_at_home(home: str, instead: str) -> str:
    """Says that the home region cannot be what the plan is compared with."""
    return f"{home} can never hold this job: compared with {instead}"


def late(ask: Ask, finish_ms: int) -> str:
    """Says that the deadline is missed, as was accepted."""
    return f"cannot {_deadline(ask)}: finishes as early as it can, {utc(finish_ms)}"


def too_late(ask: Ask, region: str, start_ms: int, duration_ms: int) -> str:
    """Says that the deadline cannot be met, what could be, and what to do."""
    earliest = f"the earliest finish is {utc(start_ms + duration_ms)}, in {region}"
    if ask.finish_by is None:
        earliest = f"the earliest start is {utc(start_ms)}, in {region} ({earliest})"
    return f"cannot {_deadline(ask)}: {earliest}. Accept that with --late, or give a later deadline"


def nowhere() -> str:
    """Says that no allowed region has room for the job, however long it waits."""
    return "no region that the job may use has room for it, now or later: ask for less, or allow more regions"


def _deadline(ask: Ask) -> str:
    words = []
    if ask.finish_by is not None:
        words.append(f"finish by {utc(floor_ms(ask.finish_by))}")
    if ask.start_by is not None:
        words.append(f"start by {utc(floor_ms(ask.start_by))}")
    return " and ".join(words)


def _length(ms: int) -> str:
    seconds = round(ms / 1000)
    return short(timedelta(seconds=seconds if seconds < 600 else round(seconds / 60) * 60))
