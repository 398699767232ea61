"""How long jobs wait in the queues of engines, as it was seen: the 95th percentile by region."""

import math
from collections.abc import Sequence
from datetime import timedelta

from tidewatt.backends.clock import moment, time_ms
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import AttemptRecord
from tidewatt.scheduler.store.transaction import Transaction

WAITED = "queue wait"  # the kind of event that tells of one
LATELY = timedelta(days=30)
MOST = 100  # the newest waits of a region count
FEWEST = 5  # of fewer a percentile says nothing
SHARE = 0.95
AGAIN_MS = 60_000  # of the jobs' clock, between two looks at the events


class Waits:
    """The waits of each region."""

    def __init__(self, site: Site, store: Store) -> None:
        self._site, self._store = site, store
        self._found: dict[str, timedelta] = {}
        self._looked_ms: int | None = None

    def of(self, region: str) -> timedelta:
        """So long 95 of 100 jobs waited there at most; as the operator states it, until enough were seen."""
        self._look()
        return self._found.get(region, self._stated(region))

    def longest(self) -> timedelta:
        """The longest of all regions'."""
        return max((self.of(region.name) for region in self._site.regions), default=timedelta(0))

    def _stated(self, region: str) -> timedelta:
        """`queue_wait` of the region's table; none where it says nothing."""
        stated: timedelta | None = getattr(self._site.stated(region), "queue_wait", None)
        return stated or timedelta(0)

    def _look(self) -> None:
        now = self._site.clock.now()
        now_ms = time_ms(now)
        if self._looked_ms is not None and 0 <= now_ms - self._looked_ms < AGAIN_MS:
            return
        self._looked_ms = now_ms
        by_region: dict[str, list[int]] = {}
        for event in self._store.events_of(WAITED, time_ms(now - LATELY)):
            by_region.setdefault(event["payload"]["region"], []).append(event["payload"]["wait_ms"])
        self._found = {
            region: timedelta(milliseconds=percentile(waits[-MOST:]))
            for region, waits in by_region.items()
            if len(waits) >= FEWEST
        }


def percentile(waits_ms: Sequence[int], share: float = SHARE) -> int:
    """The smallest of the values that at least this share of them does not exceed."""
    return sorted(waits_ms)[math.ceil(share * len(waits_ms)) - 1]


def tell(transaction: Transaction, attempt: AttemptRecord, begin_ms: int, started_ms: int) -> None:
    """Records how long an attempt has waited in its engine's queue, since it was allowed to begin."""
    wait_ms = max(0, started_ms - begin_ms)
    transaction.append(
        started_ms,
        WAITED,
        {"region": attempt.region, "wait_ms": wait_ms},
        job_id=attempt.job_id,
        attempt_id=attempt.id,
        reason=f"since {moment(begin_ms):%Y-%m-%d %H:%M:%S} UTC, in {attempt.region}",
    )
