"""Why a plan is as it is, in sentences for people."""

from collections.abc import Sequence
from datetime import timedelta

from tidewatt.forecasting.kind import Kind
from tidewatt.scheduler.plan import Ask, Why
from tidewatt.scheduler.planning.choice import Choice, Option
from tidewatt.scheduler.planning.instants import floor_ms, utc
from tidewatt.scheduler.planning.transfer import Transfer
from tidewatt.scheduler.when import short

AT_ONCE = {
    Why.NO_DEADLINE: "no deadline was given: starts as soon as it fits",
    Why.NO_DURATION: "a deadline, but neither a duration nor a time limit: starts as soon as it fits"
    " (with --duration, or once it has run twice, it could wait for cleaner hours)",
    Why.ASKED: "asked to start as soon as it fits",
    Why.UNSHIFTED: "shifting is switched off here: starts as soon as it fits",
    Why.OPTED_OUT: "never shifted, by the operator's rules: starts as soon as it fits",
    Why.HELD_OUT: "held out by lot: starts as soon as it fits, to be compared with jobs that wait",
}
NOW_IS_CLEANEST = "the first free moment is already the cleanest that the deadline allows"
SLACK_IS_USED_UP = "its slack is used up, should it run as long as it may: starts as soon as it fits"
TOLD_WAIT_MS = 1000  # in a queue: what is shorter is not worth a word
FOLLOWED = "what waits for its end would be late otherwise: starts as soon as it fits"
WHOLE_QUEUE = "placed with the whole queue in view"
LEAVES_CLEANER = "leaves the cleaner hours to jobs that gain more by them, and still meets its deadline"


def cleanest(best: Choice, first_ms: int, reference: Choice, saving: float) -> str:
    """Says what is saved, and how: by waiting, by another region, or by both."""
    how = _means(best, first_ms, reference)
    return f"{how}: {saving:.0%} less than starting at once in {reference.option.region}"


def weighed(
    best: Choice, first_ms: int, reference: Choice, *, alone: float | None = None, both: bool = False
) -> str:
    """The same with all that was weighed: the other signal, money and delay.

    `alone` is the share that waiting without moving would save. `both`: neither signal may get worse.
    """
    gains = [_gain(best.cost, reference.cost)]
    if both and best.second is not None:
        by = [option.kind.signal for option in (best.option.curve, best.option.second) if option is not None]
        gains = [f"{gains[0]} ({by[0]}) and {_gain(best.second, reference.second)} ({by[-1]})"]
    here, there = reference.option, best.option
    if there.pue != here.pue:
        gains = [f"{gains[0]} with PUE"]
    cost, before = (each.option.price_at(each.start_ms, each.end_ms) for each in (best, reference))
    if there.g_per_price and cost != before and before > 0:
        gains.append(_gain(cost, before, "cheaper", "dearer"))
    if there.delay_g_per_h and best.end_ms != reference.end_ms:
        later = best.end_ms - reference.end_ms
        gains.append(f"done {_length(abs(later))} {'later' if later > 0 else 'sooner'}")
    said = f"{_means(best, first_ms, reference)}: {', '.join(gains)} than starting at once in {here.region}"
    if alone is None or there.region == here.region or best.cost is None:
        return said
    total = less(best.cost, reference.cost)
    if alone < 0.005 or best.start_ms <= first_ms:
        return said if alone < 0.005 else f"{said} (waiting there would give {alone:.0%})"
    return f"{said} (waiting alone {alone:.0%}, the region {total - alone:.0%} more)"


def less(grams: float | None, reference: float | None) -> float:
    """The share of the reference's grams that is saved; 0 where something is not known."""
    return (reference - grams) / abs(reference) if grams is not None and reference else 0.0


def _means(best: Choice, first_ms: int, reference: Choice) -> str:
    means = []
    there, here = best.option, reference.option
    if best.start_ms > first_ms:
        means.append(f"waits {_length(best.start_ms - first_ms)} for cleaner electricity")
    if there.region != here.region:
        means.append(f"runs in {there.region} instead of {here.region}")
    if there.duration_ms != here.duration_ms:
        lengths = f"done in {_length(there.duration_ms)} instead of {_length(here.duration_ms)}"
        means.append(f"runs on {there.pool} ({lengths})")
    return " and ".join(means) or f"runs on {there.pool}"


def _gain(value: float | None, reference: float | None, down: str = "less", up: str = "more") -> str:
    saved = less(value, reference)
    return f"{abs(saved):.0%} {down if saved >= 0 else up}"


def sooner(best: Choice, reference: Choice) -> str:
    """Says that another region has room first."""
    home = reference.option.region
    return f"runs in {best.option.region}, no less clean than {home} and sooner than {home} has room"


def too_little(saving: float, min_saving: float) -> str:
    """Says that waiting or moving is not worth it."""
    return f"waiting or moving would save {saving:.1%} at most: less than {min_saving:.0%} is not worth it"


def unlikely(chance: float, least: float) -> str:
    """Says that waiting would probably gain nothing."""
    return f"waiting is only {chance:.0%} likely to gain anything: less than {least:.0%} is not worth it"


def put_off(times: int) -> str:
    """Says that a job has waited long enough."""
    return f"was put off {times} times already, which is enough: starts as soon as it fits"


def one_decides(reference: Choice, best: Choice) -> tuple[str, ...]:
    """Says where both signals were to decide, but only one is known well enough."""
    said = []
    for choice in {reference.option.region: reference, best.option.region: best}.values():
        if choice.option.binds and choice.second is None and choice.option.curve is not None:
            signal = choice.option.curve.kind.signal
            said.append(
                f"{signal} alone decides in {choice.option.region}: the other signal is not known there"
            )
    return tuple(said)


def moved(ask: Ask, transfer: Transfer, grams: float, whose: str) -> str:
    """Says what moving the data takes; it is counted in the plan's grams."""
    low, high = (grams * kwh / transfer.kwh for kwh in (transfer.low_kwh, transfer.high_kwh))
    figure = f"; {whose}" if whose else ""
    return (
        f"moving {ask.data_gb:g} GB takes {_length(transfer.ms)} and emits about {_grams(grams)}"
        f" ({_grams(low)} to {_grams(high)}{figure}), counted"
    )


def changing(mean_w: float, peak_w: float) -> str:
    """Says that a job's draw is not the same all the time, and what that means for the numbers."""
    return (
        f"its draw changes while it runs ({mean_w:.3g} W on average, {peak_w:.3g} W at most):"
        " intensities are weighted by it"
    )


def used_up(wait_ms: int, region: str) -> str:
    """Says that the job may not wait any longer, and whether that is for its engine's queue."""
    if wait_ms < TOLD_WAIT_MS:
        return SLACK_IS_USED_UP
    return (
        f"its slack is used up, should it wait {_length(wait_ms)} in the queue of {region} and run as long"
        " as it may: starts as soon as it fits"
    )


def queues(wait_ms: int, region: str) -> str:
    """Says how much earlier than it must the job is to start, for the queue that it comes into."""
    return f"up to {_length(wait_ms)} in the queue of {region} are reckoned with before its deadline"


def long_queues(options: Sequence[Option]) -> tuple[str, ...]:
    """Says which regions are too late for the queues there alone, each once."""
    waits = {option.region: option.wait_ms for option in options}
    return tuple(
        f"{region} left out: up to {_length(wait_ms)} in its queue are too long for the deadline"
        for region, wait_ms in waits.items()
    )


def behind(job_id: int) -> str:
    """Says that a job cannot be planned since what it waits for cannot."""
    return f"it runs after job {job_id}, which has no place"


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


def too_late(ask: Ask, first: Choice) -> str:
    """Says that the deadline cannot be met, what could be, and what to do."""
    region = first.option.region
    jobs = f"job{'s' * (len(ask.after) > 1)} {', '.join(map(str, ask.after))}"
    behind = f" after {jobs}" if ask.after else ""
    earliest = f"the earliest finish{behind} is {utc(first.end_ms)}, in {region}"
    if ask.finish_by is None:
        earliest = f"the earliest start is {utc(first.start_ms)}, in {region} ({earliest})"
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
    return " and ".join(words) or "end before what waits for it is to start"


def _grams(grams: float) -> str:
    return (
        f"{grams / 1000:.1f} kg" if grams >= 1000 else f"{grams:.0f} g" if grams >= 10 else f"{grams:.1f} g"
    )


def _length(ms: int) -> str:
    seconds = round(ms / 1000)
    return short(timedelta(seconds=seconds if seconds < 600 else round(seconds / 60) * 60))
