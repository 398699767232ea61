"""What clients may look at: the daemon and its regions now, intensity ahead, and reports over ended jobs."""

import importlib.metadata
import os
from datetime import timedelta
from typing import Any

from tidewatt.forecasting.kind import Signal
from tidewatt.forecasting.refresh import Health
from tidewatt.forecasting.zones import zone as zone_of
from tidewatt.scheduler.accounting.report_schema import Report
from tidewatt.scheduler.daemon import reporting
from tidewatt.scheduler.daemon.callers import current, only_uid
from tidewatt.scheduler.daemon.drains import drain_view
from tidewatt.scheduler.daemon.engines import stranded
from tidewatt.scheduler.daemon.gathering import Gatherer
from tidewatt.scheduler.daemon.grid_now import grid_now
from tidewatt.scheduler.daemon.outlook_view import outlook_view
from tidewatt.scheduler.daemon.polling import EngineHealth
from tidewatt.scheduler.daemon.region_views import is_experimental
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.shifting import shifting
from tidewatt.scheduler.daemon.site import HOST
from tidewatt.scheduler.daemon.views import job_views
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.jobs import ENDED, JobState
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.schemas import JobView
from tidewatt.scheduler.status_schema import ForecastView, ForeignView, RegionView, StatusView
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

LONGEST_FORECAST_H = 24 * 14


class Overview:
    """The daemon's answers that change nothing; `listen` is its TCP address, "" where there is none."""

    def __init__(self, service: Service, gatherer: Gatherer, listen: str) -> None:
        self._service = service
        self._gatherer = gatherer
        self._site = service.site
        self._store = service.store
        self._listen = listen

    def status(self) -> StatusView:
        """The daemon now."""
        site = self._site
        uid = only_uid()
        running = self._store.jobs([JobState.RUNNING, JobState.PAUSED], uid=uid)
        waiting = self._store.jobs([JobState.WAITING], uid=uid)
        planned = [job for job in waiting if job.plan is not None]
        following = min(planned, key=lambda job: (job.plan and job.plan.window.start, job.id), default=None)
        at_risk = [job for job in waiting if job.at_risk]
        told = {job.id: job for job in (*running, *at_risk, *([] if following is None else [following]))}
        views = {view.id: view for view in job_views(self._store, list(told.values()))}
        return StatusView(
            version=importlib.metadata.version("tidewatt"),
            pid=os.getpid(),
            home=str(site.paths.home),
            socket=str(site.paths.socket),
            listen=self._listen,
            now=site.clock.now(),
            replay_factor=site.clock.factor,
            replaying=site.clock.replaying,
            hindsight=site.hindsight,
            zone=site.settings.zone,
            signal=site.settings.signal,
            regions=self._regions(),
            foreign=tuple(
                ForeignView(
                    gpu_uuid=each.use.gpu_uuid,
                    pid=each.use.pid,
                    command=each.use.command if uid is None else "",
                    user=each.use.user if uid is None else "",
                    since=each.since,
                )
                for each in self._service.foreign
            ),
            jobs=self._store.count(uid),
            running=tuple(views[job.id] for job in running),
            next=None if following is None else views[following.id],
            at_risk=tuple(views[job.id] for job in at_risk),
            warnings=self._warnings(),
            certificate=self._service.certificate,
            **self._shared(uid),
            shifting=shifting(self._site),
            drains=tuple(map(drain_view, self._site.board.drains())),
        )

    def jobs(
        self,
        states: tuple[str, ...],
        before: int | None,
        limit: int,
        *,
        tasks: bool = True,
        user: str | None = None,
        project: str | None = None,
    ) -> list[JobView]:
        """Jobs in the given states (none: all), newest first; without `tasks` one for each array."""
        of: dict[str, str | None] = {"user": user, "project": project}
        unknown = [state for state in states if state not in set(JobState)]
        if unknown:
            raise BadInput(f"there is no job state {unknown[0]!r}: choose from {', '.join(JobState)}")
        wanted, uid = [JobState(state) for state in states] or None, only_uid()
        if tasks:
            return job_views(self._store, self._store.jobs(wanted, before=before, limit=limit, uid=uid, **of))
        lines = self._store.lines(wanted, before=before, limit=limit, uid=uid, **of)
        counts = {job.id: found for job, found in lines}
        return job_views(self._store, [job for job, _ in lines], counts)

    def forecast(self, zone: str, signal: str, hours: float) -> ForecastView:
        """Intensity ahead of a zone, the configured one where none is named."""
        key = zone_of(zone).key if zone else self._home_zone()
        if signal not in {"", *Signal}:
            raise BadInput(f"there is no signal {signal!r}: choose average or marginal")
        if not 0 < hours <= LONGEST_FORECAST_H:
            raise BadInput(f"a forecast of {hours:g} h cannot be shown: choose up to {LONGEST_FORECAST_H} h")
        self._gatherer.look_at(key)
        now = self._site.clock.now()
        wanted = Signal(signal or self._site.settings.shown_signal)
        outlook = self._site.chain.outlook(key, wanted, now, now + timedelta(hours=hours))
        if outlook is None:
            raise BadInput(
                f"nothing is known of {key}: add a source for it, or choose another zone (`tidewatt zones`)"
            )
        return outlook_view(outlook, now)

    def report(self, since_s: float | None, by: str, baseline: str = "") -> Report:
        """What jobs that ended in the last `since_s` seconds used and saved."""
        return reporting.ended_since(self._site, self._store, since_s, by, baseline)

    def sources(self) -> list[Health]:
        """How live sources answered last."""
        return list(self._gatherer.refresher.health())

    def _regions(self) -> tuple[RegionView, ...]:
        live = self._store.live_attempts()
        jobs = {job.id: job for job in self._store.jobs([JobState.RUNNING, JobState.PAUSED])}
        return tuple(self._region(region, live, jobs) for region in self._site.regions)

    def _region(self, region: Region, live: list[AttemptRecord], jobs: dict[int, JobRecord]) -> RegionView:
        here = [attempt for attempt in live if attempt.region == region.name and attempt.job_id in jobs]
        taken = {uuid for attempt in here for uuid in attempt.gpu_uuids}
        taken |= {each.use.gpu_uuid for each in self._service.foreign}
        grid = grid_now(self._site, region)
        gpus, free = len(region.gpu_uuids), len(set(region.gpu_uuids) - taken)
        if region.backend != HOST:  # their engine knows better: `tidewatt regions` asks it
            gpus = sum(pool.gpus for pool in region.pools)
            free = max(0, gpus - sum(jobs[attempt.job_id].gpus for attempt in here))
        return RegionView(
            name=region.name,
            zone=grid.zone,
            signal=grid.signal,
            gco2_per_kwh=grid.gco2_per_kwh,
            intensity_source=grid.source,
            gpus=gpus,
            gpus_free=free,
            cpus=region.cpus,
            cpus_free=region.cpus - sum(jobs[attempt.job_id].cpus for attempt in here),
            pue=region.pue,
            pue_source=region.pue_source,
            home=region.name == self._site.home.name,
            backend=region.backend,
            experimental=is_experimental(region.backend),
            shut=self._site.board.shut(region.name),
        )

    def _shared(self, uid: int | None) -> dict[str, Any]:
        """Of a shared server: whom it serves, who asks, and what all others do, nobody by name."""
        caller = current()
        if caller is None:
            return {}
        told = {"group": self._site.paths.group, "you": caller.name}
        if uid is None:
            return told
        all_jobs, own = self._store.count(), self._store.count(uid)
        open_states = [state for state in JobState if state not in ENDED]
        others = {state: all_jobs.get(state, 0) - own.get(state, 0) for state in open_states}
        jobs = {job.id: job for job in self._store.jobs([JobState.RUNNING, JobState.PAUSED])}
        live = [jobs[each.job_id] for each in self._store.live_attempts() if each.job_id in jobs]
        gpus = sum(job.gpus for job in live if job.uid != uid)
        return told | {"others": others, "others_gpus": gpus}

    def _warnings(self) -> tuple[str, ...]:
        found = []
        if not any(region.zones for region in self._site.regions):
            found.append(
                "no zone is configured, so energy is shown and carbon is not: `tidewatt zones` finds yours, "
                "`tidewatt up --zone ZONE` sets it"
            )
        if self._site.host.gpu_note:
            found.append(self._site.host.gpu_note)
        found += self._gatherer.troubles()
        found += self._site.board.unpriced.values()
        if self._service.ledger is not None:
            found += self._service.ledger.troubles()
        found += stranded(self._site, self._store)
        found += [_silent(name, each) for name, each in self._service.watcher.health().items() if each.error]
        return tuple(found)

    def _home_zone(self) -> str:
        zones = self._site.home.zones
        zone = zones.get(self._site.settings.shown_signal) or next(iter(zones.values()), "")
        if not zone:
            raise BadInput("no zone is configured: name one, for example `tidewatt forecast DE`")
        return zone


def _silent(region: str, engine: EngineHealth) -> str:
    """That an engine does not answer, and what it is to its jobs."""
    jobs = f"{engine.attempts} job{'s' * (engine.attempts != 1)}"
    kept = f"; its {jobs} go on there and keep their places here" if engine.attempts else ""
    return f"the engine of {region} ({engine.backend}) does not answer: {engine.error}{kept}"
