"""The regions as of now: opening hours, drains and rules change while the daemon runs."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tidewatt.backends.clock import moment
from tidewatt.scheduler.daemon.groups import groups_of
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.plan import Ask, Window
from tidewatt.scheduler.planning.instants import FAR_MS
from tidewatt.scheduler.planning.terms import allowed
from tidewatt.scheduler.policies.opening import closed_windows
from tidewatt.scheduler.policies.rule import Facts, Verdict, Wishes, Word
from tidewatt.scheduler.policies.rules import NO_RULES, Rules
from tidewatt.scheduler.prices import tariffs
from tidewatt.scheduler.prices.tariff import FixedTariff
from tidewatt.scheduler.prices.tariffs import Priced, freezes, priced
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.settings import RegionTable, Settings
from tidewatt.scheduler.store.decisions import DecisionRecord
from tidewatt.scheduler.store.records import JobRecord

AHEAD = timedelta(days=35)  # opening hours are worked out so far: longer than any forecast goes
KEPT = timedelta(hours=1)  # how long what was worked out is used
MOST_KEPT = 1000  # kinds of jobs of which it is kept what the rules say
FOREVER = moment(FAR_MS)
DRAIN, SHIFTING = "drain:", "shifting"  # names of decisions

_Key = tuple[str, frozenset[str], str, tuple[tuple[str, str], ...], str]


@dataclass(frozen=True, slots=True)
class Drain:
    """A region or a GPU that takes no new starts, until it is taken back where `until` is None."""

    what: str
    since: datetime
    until: datetime | None
    reason: str
    user: str

    def holds(self, now: datetime) -> bool:
        """True while it lasts."""
        return self.until is None or now < self.until

    def __str__(self) -> str:
        """Returns for example `eu is drained until 2026-12-01 06:00 UTC by ada: new fans`."""
        until = "" if self.until is None else f" until {self.until:%Y-%m-%d %H:%M} UTC"
        why = f": {self.reason}" if self.reason else ""
        return f"{self.what} is drained{until} by {self.user}{why}"


class RegionBoard:
    """Knows the regions as of now, and who may go where.

    Whatever it is given is taken whole: readers see all of a change or nothing of it.
    """

    def __init__(
        self, stated: tuple[Region, ...], settings: Settings, rules: Rules, now: Callable[[], datetime]
    ) -> None:
        self._now = now
        self._drains: Mapping[str, Drain] = {}
        self._waits: Mapping[str, tuple[float, str]] = {}  # seconds in queues, and who says so, by region
        self.unusable: Mapping[str, str] = {}  # kinds of backends that cannot be used here, and why
        self.unpriced: dict[str, str] = {}  # regions whose file of prices cannot be read any more, and why
        self._last: dict[str, Priced] = {}
        self.unshifted: DecisionRecord | None = None  # who switched shifting off, and when
        self.take(stated, settings, rules)

    def take(self, stated: tuple[Region, ...], settings: Settings, rules: Rules = NO_RULES) -> None:
        """Goes on with these regions and rules.

        Raises:
            BadInput: for a file of prices that cannot be taken; then nothing has changed.
        """
        tariffs.check(settings)
        self._stated, self.settings, self.rules = stated, settings, rules
        self._tables = {table.name: table for table in settings.regions}
        self._verdicts: dict[_Key, Mapping[str, Verdict]] = {}
        self._wishes: dict[_Key, Wishes] = {}
        self._made: tuple[datetime, tuple[Region, ...]] | None = None

    def decided(self, decisions: Mapping[str, DecisionRecord]) -> None:
        """Takes in what operators decided."""
        self._drains = {
            name.removeprefix(DRAIN): _drain(name.removeprefix(DRAIN), each)
            for name, each in decisions.items()
            if name.startswith(DRAIN)
        }
        self.unshifted = decisions.get(SHIFTING)
        self._made = None

    def waited(self, waits: Mapping[str, tuple[float, str]]) -> None:
        """Takes in how long jobs wait in the queues of engines, by region: seconds, and how that is known."""
        if waits != self._waits:
            self._waits, self._made = dict(waits), None

    @property
    def stated(self) -> tuple[Region, ...]:
        """The regions as they are configured, whether open or not."""
        return self._stated

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions as of now: closed where they are, and where they take no new starts."""
        now, made = self._now(), self._made
        if made is None or not made[0] <= now < made[0] + KEPT:
            made = now, tuple(self._as_of(region, now) for region in self._stated)
            self._made = made
        return made[1]

    def drains(self) -> tuple[Drain, ...]:
        """Those that last now."""
        now = self._now()
        return tuple(each for each in self._drains.values() if each.holds(now))

    def drained(self, what: str) -> Drain | None:
        """The drain of a region or GPU, where one lasts."""
        found = self._drains.get(what)
        return found if found is not None and found.holds(self._now()) else None

    def verdicts(self, facts: Facts) -> Mapping[str, Verdict]:
        """What the rules say of a job, by region."""
        key = _key(facts)
        found = self._verdicts.get(key)
        if found is None:
            made = self.rules.verdicts(facts, tuple(region.name for region in self._stated))
            found = {each.region: each for each in made}
            if len(self._verdicts) > MOST_KEPT:
                self._verdicts = {}
            self._verdicts[key] = found
        return found

    def verdicts_of(self, job: JobRecord) -> Mapping[str, Verdict]:
        """What the rules say of a stored job, by region."""
        return self.verdicts(facts_of(job))

    def forbidden(self, facts: Facts) -> tuple[str, ...]:
        """Regions that the rules forbid."""
        if self.rules.empty:
            return ()
        return tuple(name for name, each in self.verdicts(facts).items() if each.word is Word.FORBID)

    def steered(self, job: JobRecord) -> JobRecord:
        """The job with what the rules forbid it among the regions that it excludes; not to be stored."""
        barred = () if self.rules.empty else self.forbidden(facts_of(job))
        if not barred:
            return job
        return replace(job, exclude_regions=tuple(dict.fromkeys((*job.exclude_regions, *barred))))

    def asks(self, jobs: Iterable[JobRecord], asks: Iterable[Ask]) -> list[Ask]:
        """What jobs ask for, with what the operator prefers for them, and whether they may be shifted."""
        if self.rules.empty and not self.rules.steers and self.unshifted is None:
            return list(asks)
        return [self.wished(each, facts_of(job)) for job, each in zip(jobs, asks, strict=True)]

    def wished(self, ask: Ask, facts: Facts) -> Ask:
        """The same of one job that is not stored."""
        prefer: tuple[str, ...] = ()
        if not self.rules.empty and self.unshifted is None:
            found = self.verdicts(facts)
            prefer = tuple(
                name for name, each in found.items() if each.word is Word.PREFER and allowed(ask, name)
            )
        ask = replace(ask, prefer=prefer, unshifted=self.unshifted is not None)
        if not self.rules.steers:
            return ask
        wanted = self.wishes(facts)
        return replace(ask, fixed=not wanted.shift, weights=wanted.weights, ceilings=wanted.ceilings)

    def wishes(self, facts: Facts) -> Wishes:
        """How the rules have a job planned."""
        key = _key(facts)
        found = self._wishes.get(key)
        if found is None:
            found = self.rules.wishes(facts, tuple(region.name for region in self._stated))
            if len(self._wishes) > MOST_KEPT:
                self._wishes = {}
            self._wishes[key] = found
        return found

    def barrier(self, job: JobRecord, region: str) -> str:
        """Why the job may not start in a region at this instant; "" where it may."""
        if sentence := self.shut(region) or self.frozen(region, str(job.frozen.get("home", ""))):
            return sentence
        if not self.rules.empty:
            verdict = self.verdicts_of(job).get(region)
            if verdict is not None and verdict.word is Word.FORBID:
                return str(verdict)
        return ""

    def price_source(self, region: str) -> str:
        """Whose figure the price of a region is; "" where there is none."""
        found = self._last.get(region)
        return "" if found is None else found.tariff.source

    def frozen(self, region: str, home: str = "") -> str:
        """Which freeze keeps jobs of that home, or of any other, from starting there now; "" for none."""
        now = self._now()
        here = next((each for each in self.regions if each.name == region), None)
        for freeze in () if here is None else here.freezes:
            if freeze.window.start <= now < freeze.window.end and (not freeze.moves or region != home):
                what = "jobs of other homes" if freeze.moves else "new jobs"
                return (
                    f"{region} takes no {what} until {freeze.window.end:%Y-%m-%d %H:%M} UTC: {freeze.because}"
                )
        return ""

    def price(self, region: Region) -> Priced | None:
        """What electricity costs there, in which currency; None where nobody states it."""
        return priced(region, self.settings)

    def shut(self, region: str) -> str:
        """Why nothing may start in a region at this instant; "" where it is open."""
        now = self._now()
        if drain := self.drained(region):
            return str(drain)
        here = next((each for each in self.regions if each.name == region), None)
        if here is not None and here.backend in self.unusable:
            return f"{region} cannot be used: {self.unusable[here.backend]}"
        for window in () if here is None else here.closed:
            if window.start <= now < window.end:
                until = "" if window.end >= FOREVER else f" until {window.end:%Y-%m-%d %H:%M} UTC"
                return f"{region} is closed{until}"
        return ""

    def _as_of(self, region: Region, now: datetime) -> Region:
        if region.name in self._waits:
            wait_s, source = self._waits[region.name]
            region = replace(region, queue_wait_s=wait_s, queue_wait_source=source)
        if region.backend in self.unusable:
            return replace(region, closed=(Window(now - KEPT, FOREVER),))
        closed = (
            *region.closed,
            *self._out_of_hours(region.name, now),
            *self._drain_windows(region.name, now),
        )
        region = region if closed == region.closed else replace(region, closed=closed)
        return self._frozen_and_priced(region, now)

    def _frozen_and_priced(self, region: Region, now: datetime) -> Region:
        """The region with its freezes and with what electricity costs when."""
        first, last = now - KEPT, now + AHEAD
        found = freezes(self.settings.freezes, region.name, first, last)
        region = replace(region, freezes=found) if found else region
        try:
            price = self.price(region)
            self.unpriced.pop(region.name, None)
        except BadInput as error:  # the file was good when it was taken: what it said then holds
            self.unpriced[region.name] = f"{error}; what it said last is used for {region.name}"
            price = self._last.get(region.name)
        if price is None:
            return region
        self._last[region.name] = price
        if isinstance(price.tariff, FixedTariff):
            return replace(region, price_per_kwh=price.tariff.per_kwh, currency=price.currency)
        return replace(region, prices=price.tariff.steps(first, last), currency=price.currency)

    def _out_of_hours(self, region: str, now: datetime) -> tuple[Window, ...]:
        table = self._tables.get(region)
        if table is None or not table.open:
            return ()
        first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
        last = first.astimezone(UTC) + AHEAD
        return (*closed_windows(table.hours, ZoneInfo(table.time_zone), first, last), Window(last, FOREVER))

    def _drain_windows(self, region: str, now: datetime) -> Iterator[Window]:
        drain = self._drains.get(region)
        if drain is not None and drain.holds(now):
            yield Window(min(drain.since, now), FOREVER if drain.until is None else drain.until)

    def table(self, region: str) -> RegionTable | None:
        """What the operator states of a region; None of one that is not configured."""
        return self._tables.get(region)


def _key(facts: Facts) -> _Key:
    return facts.user, facts.groups, facts.project, tuple(facts.labels.items()), facts.brings_data_from


def facts_of(job: JobRecord) -> Facts:
    """What rules look at of a stored job."""
    home = str(job.frozen.get("home", "")) if job.data_mb else ""
    return Facts(job.user, groups_of(job.user), job.project, job.labels, home)


def _drain(what: str, decision: DecisionRecord) -> Drain:
    until_ms = decision.value.get("until_ms")
    return Drain(
        what,
        moment(decision.since_ms),
        None if until_ms is None else moment(int(until_ms)),
        str(decision.value.get("reason", "")),
        decision.user,
    )
