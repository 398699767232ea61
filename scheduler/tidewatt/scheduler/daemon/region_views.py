"""The regions as operators look at them: their grid, what is free, how their engines answer."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Literal

from tidewatt.backends.backend import BackendError, Capacity, Read
from tidewatt.backends.clock import moment, time_ms
from tidewatt.backends.engines import engine
from tidewatt.scheduler.daemon.drains import drain_view
from tidewatt.scheduler.daemon.grid_now import grid_now
from tidewatt.scheduler.daemon.polling import EngineHealth
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.shifting import shifting
from tidewatt.scheduler.daemon.site import HOST, Site
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.operator_schema import PlaceView, RegionsView
from tidewatt.scheduler.prices.tariff import at
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.settings import RegionTable
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

if TYPE_CHECKING:
    from fastapi import FastAPI

Health = Literal["answers", "silent", "not asked yet", "cannot be used"]
PATIENCE_S = 8.0  # real seconds for all engines together: a command waits for this
KEPT_S = 15.0  # for which an engine's answer is shown again


class Places:
    """What is known of the regions; engines are asked beside each other, and not too often."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._site = service.site
        self._asked: dict[str, tuple[float, Capacity | str]] = {}  # real monotonic seconds, what came

    def now(self) -> RegionsView:
        """All of them."""
        site = self._site
        unusable = site.board.unusable
        elsewhere = [each for each in site.board.stated if each.backend not in (HOST, *unusable)]
        capacities = self._capacities(elsewhere)
        running = _running(self._service)
        health = self._service.watcher.health()
        places = tuple(
            self._place(region, running.get(region.name, []), capacities.get(region.name), health)
            for region in site.regions
        )
        return RegionsView(now=site.clock.now(), regions=places, shifting=shifting(site))

    def _place(
        self,
        region: Region,
        here: Sequence[tuple[AttemptRecord, JobRecord]],
        capacity: Capacity | str | None,
        health: Mapping[str, EngineHealth],
    ) -> PlaceView:
        site, board = self._site, self._site.board
        table = board.table(region.name) or RegionTable(name=region.name)
        grid = grid_now(site, region)
        told = capacity if isinstance(capacity, Capacity) else None
        gpus, gpus_free, cpus_free = self._own_count(region, here)
        state, trouble, answered_ms = _health(region, capacity, health.get(region.name))
        if region.backend in board.unusable:
            state, trouble = "cannot be used", board.unusable[region.backend]
        drain = board.drained(region.name)
        sentence = board.shut(region.name)
        drained = [each for uuid in region.gpu_uuids if (each := board.drained(uuid)) is not None]
        return PlaceView(
            name=region.name,
            backend=region.backend,
            experimental=is_experimental(region.backend),
            home=region.name == site.home.name,
            zones=region.zones,
            zone_source=table.zone_source,
            signal=grid.signal,
            gco2_per_kwh=grid.gco2_per_kwh,
            intensity_source=grid.source,
            gpus=dict(told.gpus) if told else gpus,
            gpus_free=dict(told.gpus_free) if told else gpus_free,
            cpus=told.cpus if told else region.cpus,
            cpus_free=told.cpus_free if told else cpus_free,
            counted="its engine" if told else "our own jobs alone" if region.backend != HOST else "this host",
            note="; ".join(filter(None, (told.note if told else "", *_refused(site, region.name)))),
            queue_wait_s=region.queue_wait_s,
            queue_wait_source=region.queue_wait_source,
            open="drained" if drain else "closed" if sentence else "open",
            sentence=sentence,
            hours=table.open,
            time_zone=table.time_zone,
            drained_gpus=tuple(map(drain_view, drained)),
            health=state,
            trouble=trouble,
            answered=None if answered_ms is None else moment(answered_ms),
            pue=region.pue,
            pue_source=region.pue_source,
            **_price(site, region),
            frozen=board.frozen(region.name),
            data=region.data,
            running=len(here),
        )

    def _own_count(
        self, region: Region, here: Sequence[tuple[AttemptRecord, JobRecord]]
    ) -> tuple[dict[str, int], dict[str, int], int]:
        """GPUs by kind, those that are free, and free cores, as far as this daemon can count."""
        gpus = {pool.name: pool.gpus for pool in region.pools}
        cpus_free = region.cpus - sum(job.cpus for _, job in here)
        if region.backend != HOST:
            used = {pool: sum(job.gpus for each, job in here if each.pool == pool) for pool in gpus}
            return gpus, {pool: max(0, count - used[pool]) for pool, count in gpus.items()}, cpus_free
        taken = {uuid for each, _ in here for uuid in each.gpu_uuids}
        taken |= {each.use.gpu_uuid for each in self._service.foreign}
        free = {pool: len(set(self._site.gpus_of(region, pool)) - taken) for pool in gpus}
        return gpus, free, cpus_free

    def _capacities(self, regions: Sequence[Region]) -> dict[str, Capacity | str]:
        """What each engine says that it has, or why it says nothing."""
        now = time.monotonic()
        found = {name: said for name, (at, said) in self._asked.items() if now - at < KEPT_S}
        due = [region for region in regions if region.name not in found]
        if not due:
            return found
        pool = ThreadPoolExecutor(len(due))
        asked = {pool.submit(self._capacity, region): region.name for region in due}
        done, late = wait(asked, PATIENCE_S)
        pool.shutdown(wait=False)
        answers = {asked[each]: each.result() for each in done}
        answers |= {asked[each]: f"it has not answered within {PATIENCE_S:g} s" for each in late}
        self._asked |= {name: (time.monotonic(), said) for name, said in answers.items() if said is not None}
        return found | {name: said for name, said in answers.items() if said is not None}

    def _capacity(self, region: Region) -> Capacity | str | None:
        """None where its backend has no such answer."""
        try:
            backend = self._site.backend_of(region.backend)
            return backend.capacity(region.name) if isinstance(backend, Read) else None
        except (BackendError, SchedulerError, OSError) as error:
            return str(error)


def _price(site: Site, region: Region) -> dict[str, Any]:
    """What a kWh costs there now, and whose figure that is."""
    told: dict[str, Any] = {"currency": region.currency, "max_price_per_kwh": region.max_price_per_kwh}
    step = at(region.prices, time_ms(site.clock.now()))
    price = region.price_per_kwh if step is None else step.per_kwh
    source = site.board.price_source(region.name)
    if step is not None and not step.known:
        source += "; not known now: the mean of the week before"
    return told | {"price_per_kwh": price, "price_source": source}


def _refused(site: Site, region: str) -> list[str]:
    """Of each job that its engine has refused for good, a sentence."""
    return [f"job {each.job}: {each}" for each in site.refusals.by(region)]


def is_experimental(backend: str) -> bool:
    """True for backends that could only be tested against stand-ins."""
    try:
        return bool(engine(backend).experimental)
    except BackendError:
        return False  # it cannot be used at all: its health says so


def _running(service: Service) -> dict[str, list[tuple[AttemptRecord, JobRecord]]]:
    """Attempts that run now with their jobs, by region."""
    live = service.store.live_attempts()
    jobs = service.store.numbered({each.job_id for each in live})
    found: dict[str, list[tuple[AttemptRecord, JobRecord]]] = {}
    for each in live:
        found.setdefault(each.region, []).append((each, jobs[each.job_id]))
    return found


def _health(
    region: Region, capacity: Capacity | str | None, health: EngineHealth | None
) -> tuple[Health, str, int | None]:
    """How its engine answers, its last trouble, and when it answered last."""
    if region.backend == HOST:
        return "answers", "", None
    answered_ms = None if health is None else health.answered_ms
    if isinstance(capacity, str):
        return "silent", capacity, answered_ms
    if health is not None and health.error:
        return "silent", health.error, answered_ms
    if capacity is not None or answered_ms is not None:
        return "answers", "", answered_ms
    return "not asked yet", "", None


def routes(api: "FastAPI", service: Service) -> None:
    """Adds `regions` to the interface."""
    places = Places(service)

    @api.get("/api/v1/regions")
    def regions() -> RegionsView:
        return places.now()
