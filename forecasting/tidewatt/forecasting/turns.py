"""When a service is asked next: once after each issue, patiently after failures, not all at one second."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.feed import Cadence, FeedError, Fetched
from tidewatt.forecasting.logbook import Attempt, Outcome
from tidewatt.forecasting.series import instant

FORECAST, OBSERVATIONS, HISTORY = "forecast", "observations", "history"
LAG = timedelta(seconds=30)  # a service needs a moment to publish what it has issued
SPREAD = timedelta(minutes=2)  # installations are spread over at most so long
AGAIN = timedelta(minutes=30)  # at the latest, where an issue is overdue
SOONEST = timedelta(minutes=1)
HISTORY_EVERY = timedelta(seconds=5)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
FINAL_PAUSE, LONGEST_FINAL = timedelta(minutes=15), timedelta(hours=6)  # where asking again may not help
DENIED_PAUSE = timedelta(days=1)
CLOCK_AHEAD = timedelta(minutes=5)
AFTER_START = timedelta(seconds=30)  # a new start may have brought a new key


def begun(source: str, zone: str, what: str, now: datetime) -> Attempt:
    """The state of something that was never asked for: due at once."""
    return Attempt(source, zone, what, now, Outcome.NOTHING, now)


def resumed(attempt: Attempt) -> Attempt:
    """The state after a restart: a refusal counts for seconds only, as the key may be another now."""
    if attempt.outcome is Outcome.DENIED:
        return replace(attempt, next_due=min(attempt.next_due, attempt.at + AFTER_START))
    return attempt


def succeeded(
    last: Attempt, now: datetime, news: int, next_due: datetime, reached: datetime | None
) -> Attempt:
    """The state after a fetch that brought `news` new steps and issues."""
    return replace(
        last,
        at=now,
        outcome=Outcome.BROUGHT if news else Outcome.NOTHING,
        next_due=next_due,
        reached=reached,
        text="",
        failures=0,
        good_at=now,
    )


def failed(last: Attempt, now: datetime, error: Exception, phase: float) -> Attempt:
    """The state after a fetch that failed; twice as long a pause each time, and no shorter than asked for."""
    known = isinstance(error, ForecastError)
    denied = isinstance(error, FeedError) and error.denied
    pause = _pause(last.failures, error)
    if denied:
        pause = DENIED_PAUSE
    asked_s = (error.retry_after_s or 0.0) if isinstance(error, FeedError) else 0.0
    pause = max(pause * (1 + 0.2 * phase), timedelta(seconds=asked_s))
    # what an unknown error says may hold anything, a credential too
    text = str(error) if known else f"{last.source} failed: {type(error).__name__}"
    return replace(
        last,
        at=now,
        outcome=Outcome.DENIED if denied else Outcome.FAILED,
        next_due=now + pause,
        text=text,
        failures=last.failures + 1,
    )


def next_forecast(cadence: Cadence, now: datetime, fetched: Fetched, news: int, phase: float) -> datetime:
    """When the issue after the newest one is asked for; sooner again where there was nothing new."""
    newest = max((issued.issued_at for issued in fetched.issued), default=now)
    return _next(cadence.forecast_every, now, newest, news, phase)


def next_observations(cadence: Cadence, now: datetime, fetched: Fetched, news: int, phase: float) -> datetime:
    """When the step after the newest one is asked for."""
    ends = [int(each.steps.end_ms.max()) for each in fetched.observed if len(each.steps.end_ms)]
    return _next(cadence.observed_every, now, instant(max(ends)) if ends else now, news, phase)


def phase(seed: str, *names: str) -> float:
    """A number in [0, 1) that is always the same for the same seed and names, and spread for others."""
    digest = blake2b("\0".join((seed, *names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def due_at(attempt: Attempt, now: datetime) -> datetime:
    """When the next fetch is due; at once where the last one was made by a clock that was ahead."""
    return now if attempt.at > now + CLOCK_AHEAD else attempt.next_due


def soonest(attempts: Iterable[Attempt], now: datetime) -> datetime:
    """When the next of these is due; in half an hour where there are none."""
    return min((due_at(attempt, now) for attempt in attempts), default=now + AGAIN)


def _next(every: timedelta | None, now: datetime, newest: datetime, news: int, phase: float) -> datetime:
    every = every or AGAIN
    spread = min(every / 10, SPREAD) * phase
    if not news:
        return now + max(SOONEST, min(every / 4, AGAIN)) + spread
    # an issue that came late is no reason to ask late for the next; one far behind is no reason to hurry
    due = newest.astimezone(UTC) + every + LAG
    return (due if now + SOONEST <= due <= now + every + LAG else now + every) + spread


def _pause(failures: int, error: Exception) -> timedelta:
    final = isinstance(error, FeedError) and not error.transient
    first, longest = (FINAL_PAUSE, LONGEST_FINAL) if final else (FIRST_PAUSE, LONGEST_PAUSE)
    return min(longest, first * float(2 ** min(failures, 10)))
