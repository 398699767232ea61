"""How long jobs wait in the queues of engines, as it was seen: the 95th percentile by region."""

import math
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from tidewatt.backends.backend import Read
from tidewatt.backends.clock import moment, time_ms
from tidewatt.scheduler.daemon.faults import told
from tidewatt.scheduler.daemon.polling import Polls
from tidewatt.scheduler.daemon.site import HOST, Site
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import AttemptRecord
from tidewatt.scheduler.store.transaction import Transaction

WAITED = "queue wait"  # the kind of event that tells of one
LATELY = timedelta(days=30)
MOST = 100  # the newest waits of a region count
FEWEST = 5  # of fewer a percentile says nothing
SHARE = 0.95
AGAIN_MS = 60_000  # of the jobs' clock, between two looks at the events
ASK_AGAIN_S = 600.0  # real seconds, between two questions to an engine
ITS_OWN = "its engine's own record, 95th percentile"


class Waits:
    """The waits of each region, for its `board`: as we saw them, as its engine keeps them, or as stated."""

    def __init__(self, site: Site, store: Store, polls: Polls) -> None:
        self._site, self._store, self._polls = site, store, polls
        self._seen: dict[str, tuple[float, str]] = {}
        self._told: dict[str, float | None] = {}  # what the engines say, in seconds
        self._asked: dict[str, float] = {}  # real monotonic seconds
        self._looked_ms: int | None = None

    def of(self, region: str) -> timedelta:
        """So long 95 of 100 jobs waited there at most; nothing where nobody says anything of it."""
        self.look()
        return next((_wait(each) for each in self._site.regions if each.name == region), timedelta(0))

    def longest(self) -> timedelta:
        """The longest of all regions'."""
        self.look()
        return max((_wait(region) for region in self._site.regions), default=timedelta(0))

    def look(self) -> None:
        """Has the regions' waits as of now, so that plans reckon with them."""
        now = self._site.clock.now()
        now_ms = time_ms(now)
        if self._looked_ms is None or not 0 <= now_ms - self._looked_ms < AGAIN_MS:
            self._looked_ms = now_ms
            self._seen = self._ours(time_ms(now - LATELY))
            self._ask()
        theirs = {
            region: (wait_s, ITS_OWN) for region, wait_s in tuple(self._told.items()) if wait_s is not None
        }
        self._site.board.waited(theirs | self._seen)

    def _ours(self, since_ms: int) -> dict[str, tuple[float, str]]:
        """Of the newest jobs of each region where there were enough."""
        by_region: dict[str, list[int]] = {}
        for event in self._store.events_of(WAITED, since_ms):
            by_region.setdefault(event["payload"]["region"], []).append(event["payload"]["wait_ms"])
        lately = {region: waits[-MOST:] for region, waits in by_region.items() if len(waits) >= FEWEST}
        return {
            region: (percentile(waits) / 1000, f"our last {len(waits)} jobs, 95th percentile")
            for region, waits in lately.items()
        }

    def _ask(self) -> None:
        """Has engines asked, over their lines, where too few of our jobs have waited."""
        now = time.monotonic()
        for region in self._site.board.stated:
            unusable = region.backend in (HOST, *self._site.board.unusable)
            if unusable or region.name in self._seen:
                continue
            if now - self._asked.get(region.name, float("-inf")) < ASK_AGAIN_S:
                continue
            self._asked[region.name] = now
            with told("waits", region=region.name):
                backend = self._site.backend_of(region.backend)
                if isinstance(backend, Read):
                    hear = partial(self._hear, backend, region.name)
                    self._polls.tell(region.backend, hear, _nothing_heard)

    def _hear(self, backend: Read, region: str) -> None:
        self._told[region] = backend.capacity(region).waits_s


def _wait(region: Region) -> timedelta:
    return timedelta(milliseconds=region.queue_wait_ms)


def _nothing_heard(_error: Exception) -> None:
    """What was known of its waits stays; the line has told the error."""


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
