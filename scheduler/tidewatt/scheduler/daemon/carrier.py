"""Brings the checkpoint of a paused job to the region where it goes on, before it is started there."""

import threading
from dataclasses import dataclass
from pathlib import Path

import structlog

from tidewatt.backends.backend import BackendError
from tidewatt.backends.carrying import Carried, below, carry, place
from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.daemon.ownership import acting, own_place, owner_of
from tidewatt.scheduler.daemon.resuming import checkpoint_name, has_run
from tidewatt.scheduler.daemon.site import HOST, Site
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import JobRecord

log = structlog.get_logger()


@dataclass(slots=True)
class _Carriage:
    """One checkpoint on its way, in a thread of its own: it may be large, and a line may hang."""

    to: str
    thread: threading.Thread | None = None
    carried: Carried | None = None
    error: str = ""


class Carrier:
    """Knows which checkpoints are on their way."""

    def __init__(self, site: Site, store: Store) -> None:
        self._site, self._store = site, store
        self._ways: dict[tuple[int, str, str], _Carriage] = {}  # job, attempt, region

    def waits(self, job: JobRecord, region: Region) -> str:
        """Why a paused job cannot go on there yet, or at all; "" where its checkpoint is there.

        The first question starts the carriage. Where it fails, the job stays in its region from then on.
        """
        record = job.pausing or {}
        here, last = str(record.get("region", "")), str(record.get("last", ""))
        if not has_run(job) or here == region.name or record.get("carried") == f"{last}:{region.name}":
            return ""
        source, target = self._place(here), self._place(region.name)
        if source == target and self._kind(here) == self._kind(region.name):
            return ""  # the same folder
        key = job.id, last, region.name
        way = self._ways.get(key)
        if way is None:
            if not source or not target:
                return self._stay(
                    job, region.name, f"{here} and {region.name} have no `checkpoints` places in common"
                )
            way = self._ways[key] = _Carriage(region.name)
            name = checkpoint_name(job)
            way.thread = threading.Thread(
                target=self._carry,
                args=(way, job.id, below(source, name), below(target, name), here, region.name),
                name=f"carriage-{job.id}",
                daemon=True,
            )
            way.thread.start()
            way.thread.join(0.2)  # a small one is there at once
        if way.thread is not None and way.thread.is_alive():
            return f"its checkpoint is on its way from {here}"
        del self._ways[key]
        if way.carried is None:
            return self._stay(job, region.name, way.error)
        self._arrived(job, here, region.name, last, way.carried)
        return ""

    def _carry(self, way: _Carriage, job_id: int, source: str, target: str, here: str, there: str) -> None:
        paths = self._site.paths
        try:
            if paths.system:
                target_place = Path(target)
                own_place(target_place.parent, target_place.name, owner_of(paths.job(job_id), paths))
            with acting(paths.job(job_id), paths):  # the files are the job's owner's
                ways = place(source, ssh=self._ssh(here)), place(target, ssh=self._ssh(there))
                way.carried = carry(*ways)
        except BackendError as error:
            way.error = str(error)
        except Exception as error:  # of a storage's own package; the job goes on where it is
            log.exception("carriage.failed", source=source, target=target)
            way.error = f"{type(error).__name__}: {error}"

    def _arrived(self, job: JobRecord, here: str, there: str, last: str, carried: Carried) -> None:
        told = {"from": here, "to": there, "bytes": carried.bytes, "real_ms": carried.ms}
        told |= {"digest": carried.digest, "tries": carried.tries}
        record = {**(job.pausing or {}), "carried": f"{last}:{there}"}
        with self._store.transaction() as transaction:
            words = f"{carried.bytes:,} bytes from {here} to {there} in {carried.ms / 1000:.1f} s, verified"
            transaction.append(self._now_ms(), "carried", told, job_id=job.id, reason=words)
            transaction.change_job(job.id, pausing=record)

    def _stay(self, job: JobRecord, there: str, reason: str) -> str:
        """It goes on where its checkpoint is."""
        sentence = f"its checkpoint cannot be brought to {there}: {reason}; it goes on where it was"
        with self._store.transaction() as transaction:
            transaction.append(self._now_ms(), "warning", job_id=job.id, reason=sentence)
            transaction.change_job(
                job.id, plan=None, pausing={**(job.pausing or {}), "stays": 1},
                warnings=(*job.warnings, sentence),
            )  # fmt: skip
        return sentence

    def _place(self, region: str) -> str:
        return self._site.stated(region).checkpoints

    def _kind(self, region: str) -> str:
        return self._site.stated(region).backend

    def _ssh(self, region: str) -> tuple[str, ...]:
        """More arguments of `ssh`, where the region is a host that is reached by it."""
        stated = self._site.stated(region)
        return () if stated.backend == HOST else tuple(map(str, stated.options.get("ssh", ())))

    def _now_ms(self) -> int:
        return time_ms(self._site.clock.now())
