"""The inventory of energy by hour, from the accounts that the store keeps."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tidewatt.backends.clock import moment, time_ms
from tidewatt.scheduler.accounting.inventory import (
    SIGNAL,
    Amount,
    Hours,
    Rates,
    Spot,
    Where,
    hours_of,
    own_hour,
    together,
    views,
)
from tidewatt.scheduler.accounting.own import latest
from tidewatt.scheduler.accounting.receipt import Settlement
from tidewatt.scheduler.accounting.units import UJ_PER_KWH
from tidewatt.scheduler.daemon import lookback
from tidewatt.scheduler.daemon.callers import only_uid, sees
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.jobs import SettlementState
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

if TYPE_CHECKING:
    from fastapi import FastAPI

    from tidewatt.scheduler.daemon.service import Service

_DAY_MS = 86_400_000
_LOOKED_AT = 200  # jobs read from the store at a time: their cells are most of it


class Inventory:
    """What jobs that ended, and Tidewatt itself, used in which hour and place."""

    def __init__(self, site: Site, store: Store) -> None:
        self._site = site
        self._store = store
        self._rates: dict[tuple[str, int], Rates | None] = {}

    def since(self, since_s: float | None) -> Hours:
        """The hours of the jobs that ended in the last `since_s` seconds, or ever."""
        since = lookback.since(since_s, self._site.clock.now())
        since_ms = 0 if since is None else time_ms(since)
        self._rates = {}  # observations may have been restated since they were last asked for
        parts: list[dict[Spot, Amount]] = []
        unmetered = without = without_uj = jobs = 0
        for job, attempts in self._ended(since_ms):
            account = Settlement.restored(job.settlement or {})
            jobs += 1
            if account.energy_uj is None:
                unmetered += 1
            elif not account.profile:  # of an earlier method
                without, without_uj = without + 1, without_uj + account.energy_uj
            else:
                # cells of an account that is still open do not lie within steps yet, so nothing prices them
                rates = _unknown if account.state is SettlementState.NONE else self._observed
                parts.append(hours_of(account.profile, _places(attempts), job.project, rates))
        own = dict(self._own(since_ms)) if only_uid() is None else {}
        amounts = together([*parts, own])
        return Hours(
            hours=views(amounts),
            jobs=jobs,
            unmetered_jobs=unmetered,
            jobs_without_hours=without,
            kwh_without_hours=without_uj / UJ_PER_KWH,
        )

    def _ended(self, since_ms: int) -> Iterator[tuple[JobRecord, list[AttemptRecord]]]:
        """Jobs that ran and have an account."""
        for jobs in self._store.ended(None, _LOOKED_AT):
            ours = [
                job
                for job in jobs
                if sees(job) and job.settlement is not None and (job.ended_ms or 0) >= since_ms
            ]
            attempts = self._store.attempts([job.id for job in ours])
            yield from ((job, attempts[job.id]) for job in ours if (job.settlement or {})["digests"])

    def _own(self, since_ms: int) -> Iterator[tuple[Spot, Amount]]:
        payloads = (event["payload"] for event in self._store.events_of("own", since_ms))
        for payload in latest(payloads, since_ms):
            yield own_hour(payload, self._own_place(payload["region"], payload))

    def _own_place(self, name: str, payload: Mapping[str, int | str]) -> Where:
        region = self._site.region(name)
        zone = "" if region is None else region.zones.get(SIGNAL, "")
        table = self._site.stated(name)
        return Where(zone, int(payload["pue_micro"]), str(payload["pue_source"]), table.site, table.cloud)

    def _observed(self, zone: str, at_ms: int) -> Rates | None:
        """What was observed there on that day, asked for once."""
        day_ms = at_ms // _DAY_MS * _DAY_MS
        if (zone, day_ms) not in self._rates:
            start, end = moment(day_ms), moment(day_ms + _DAY_MS)
            series = self._site.observations(zone, SIGNAL, start, end)
            known = series is not None and series.kind.signal == SIGNAL
            self._rates[zone, day_ms] = Rates(series) if series is not None and known else None
        return self._rates[zone, day_ms]


def _unknown(_zone: str, _at_ms: int) -> None:
    return None


def _places(attempts: list[AttemptRecord]) -> dict[str, Where]:
    return {
        each.id: Where(
            zone=each.factors.get("zones", {}).get(SIGNAL, ""),
            pue_micro=each.factors["pue_micro"],
            pue_source=each.factors["pue_source"],
            site=each.factors.get("site", ""),
            cloud=each.factors.get("cloud"),
        )
        for each in attempts
    }


def routes(api: "FastAPI", service: "Service") -> None:
    """Adds `hours` to the interface."""
    inventory = Inventory(service.site, service.store)

    @api.get("/api/v1/hours")
    def hours(since_s: float | None = None) -> Hours:
        return inventory.since(since_s)
