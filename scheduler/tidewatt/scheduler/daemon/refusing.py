"""Regions whose engine has refused a job for good: it is kept out of them for a while, ever longer.

Kept in memory alone: after a restart, which often follows a mended configuration, each is tried again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tidewatt.backends.clock import Clock
from tidewatt.scheduler.plan import Ask
from tidewatt.scheduler.planning.terms import allowed
from tidewatt.scheduler.store import Transaction
from tidewatt.scheduler.store.records import JobRecord

FIRST = timedelta(minutes=10)  # of real time, like the longest
LONGEST = timedelta(hours=6)
_SIGN = " refused it: "  # in the warnings of a job, behind the region's name


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an engine said of a job, and until when the job is kept out of its region; on the jobs' clock."""

    job: str
    region: str
    reason: str
    until: datetime
    count: int

    def __str__(self) -> str:
        """Returns for example `eu refused it: no credentials; kept out of eu until 2026-12-01 06:00 UTC`."""
        times = f" ({self.count} times in a row)" if self.count > 1 else ""
        until = f"{self.until:%Y-%m-%d %H:%M} UTC"
        return f"{self.region}{_SIGN}{self.reason}{times}; it is kept out of {self.region} until {until}"


class Refusals:
    """Those of all jobs. Whatever takes turns with others is one step: no lock is needed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._found: dict[tuple[int, str], Refusal] = {}

    def refused(self, job: JobRecord, region: str, reason: str) -> Refusal:
        """Keeps the job out of a region, twice as long as the last time."""
        count = self.count(job.id, region) + 1
        length = min(FIRST * 2 ** min(count - 1, 16), LONGEST)
        until = self._clock.now() + length * self._clock.factor
        found = self._found[job.id, region] = Refusal(job.key, region, reason, until, count)
        return found

    def count(self, job_id: int, region: str) -> int:
        """How often a region has refused a job, one time after the other."""
        found = self._found.get((job_id, region))
        return 0 if found is None else found.count

    def of(self, job_id: int, region: str) -> Refusal | None:
        """The refusal that keeps a job out of a region now."""
        found = self._found.get((job_id, region))
        return found if found is not None and self._clock.now() < found.until else None

    def by(self, region: str) -> tuple[Refusal, ...]:
        """Those of a region that hold now."""
        now = self._clock.now()
        return tuple(
            each for (_, name), each in tuple(self._found.items()) if name == region and now < each.until
        )

    def forget(self, job_id: int, region: str | None = None) -> None:
        """Lets the job into a region again; into all of them where none is named."""
        for key in tuple(self._found):
            if key[0] == job_id and region in (None, key[1]):
                self._found.pop(key, None)

    def steered(self, asks: Iterable[Ask], regions: Iterable[str]) -> list[Ask]:
        """What jobs ask for, kept out of where they were refused.

        One that may go nowhere else waits for the first region that it is let into again.
        """
        names = tuple(regions)
        return [self._steered(each, names) for each in asks] if self._found else list(asks)

    def _steered(self, ask: Ask, names: tuple[str, ...]) -> Ask:
        mine = [each for name in names if (each := self.of(ask.job_id, name)) is not None]
        if not mine:
            return ask
        shut = {each.region: each.until for each in mine}
        theirs = [name for name in names if allowed(ask, name)]
        if theirs and all(name in shut for name in theirs):
            first = min(shut[name] for name in theirs)
            later = tuple(name for name in theirs if shut[name] > first)
            release = first if ask.release is None else max(first, ask.release)
            return replace(ask, exclude_regions=(*ask.exclude_regions, *later), release=release)
        return replace(ask, exclude_regions=(*ask.exclude_regions, *shut))


def tell(transaction: Transaction, job: JobRecord, attempt_id: str, refusal: Refusal, now_ms: int) -> None:
    """Warns of a refusal on its job, in the place of what was said of that region before."""
    sentence = f"{refusal}; `tidewatt start {job.key}` tries it at once"
    transaction.append(now_ms, "refused", job_id=job.id, attempt_id=attempt_id, reason=sentence)
    before = without(job.warnings, refusal.region)
    transaction.change_job(job.id, warnings=(*before, sentence))


def without(warnings: Iterable[str], region: str = "") -> tuple[str, ...]:
    """The warnings without those of refusals, by one region or by all."""
    return tuple(
        each
        for each in warnings
        if not (each.startswith(f"{region}{_SIGN}") if region else _SIGN in each.partition(";")[0])
    )
