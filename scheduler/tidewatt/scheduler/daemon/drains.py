"""Drains: a region or a GPU takes no new starts, by an operator's decision that survives restarts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.daemon.callers import operator_only, user_name
from tidewatt.scheduler.daemon.evicting import evicted
from tidewatt.scheduler.daemon.region_board import DRAIN, Drain
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.operator_schema import DrainReply, DrainRequest, DrainView
from tidewatt.scheduler.store.decisions import DecisionRecord, decide, revoke
from tidewatt.scheduler.store.records import AttemptRecord

if TYPE_CHECKING:
    from fastapi import FastAPI

log = structlog.get_logger()


class Drains:
    """The verbs, under the service's lock."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._site, self._store = service.site, service.store

    def drain(self, name: str, request: DrainRequest) -> DrainReply:
        """Nothing new starts there any more; what runs goes on, or is paused where that is asked for.

        Raises:
            BadInput: where there is no such region or GPU, or `until` is over.
            Refused: where whoever asks is no operator.
        """
        operator_only("drain a region or a GPU")
        now = self._site.clock.now()
        if request.until is not None and request.until <= now:
            raise BadInput(f"--until {request.until:%Y-%m-%d %H:%M} UTC is over: give a later time")
        with self._service.lock:
            what = self._what(name)
            value: dict[str, int | str] = {"reason": request.reason}
            if request.until is not None:
                value["until_ms"] = time_ms(request.until)
            record = DecisionRecord(DRAIN + what, value, time_ms(now), user_name())
            with self._store.transaction() as transaction:
                decide(transaction, record, f"{what} is drained")
            self._site.board.decided(self._store.decisions())
            drain = self._site.board.drained(what)
            assert drain is not None  # noqa: S101 - it was stored under this lock
            running = evicted(self._service, self._there(what), str(drain), evict=request.evict)
        log.info("region.drained", what=what, user=record.user, until=str(request.until or ""))
        self._service.wake(f"{what} is drained")
        return DrainReply(drain=drain_view(drain), running=running)

    def undrain(self, name: str) -> list[DrainView]:
        """New starts are let in again; returns the drains that still hold.

        Raises:
            BadInput: where it is not drained.
            Refused: where whoever asks is no operator.
        """
        operator_only("undrain a region or a GPU")
        with self._service.lock:
            known = [each.what for each in self._site.board.drains()]
            found = [what for what in known if what == name] or [
                what for what in known if len(name) >= len("GPU-") and what.startswith(name)
            ]
            if len(found) != 1:
                drained = ", ".join(known) or "nothing"
                raise BadInput(f"{name} is not drained: {drained} is")
            now_ms = time_ms(self._site.clock.now())
            with self._store.transaction() as transaction:
                revoke(transaction, DRAIN + found[0], user_name(), now_ms, f"{found[0]} is drained no longer")
            self._site.board.decided(self._store.decisions())
        log.info("region.undrained", what=found[0])
        self._service.wake(f"{found[0]} is drained no longer")
        return [drain_view(each) for each in self._site.board.drains()]

    def _what(self, name: str) -> str:
        """The region of that name, or the GPU whose UUID begins so."""
        regions = [region.name for region in self._site.board.stated]
        if name in regions:
            return name
        ours = [uuid for region in self._site.board.stated for uuid in region.gpu_uuids]
        found = [uuid for uuid in ours if uuid == name or (name.startswith("GPU-") and uuid.startswith(name))]
        if len(found) == 1:
            return found[0]
        gpus = f" and the GPUs {', '.join(ours)}" if ours else ""
        several = f"{name} may be {' or '.join(found)}: say which" if found else ""
        raise BadInput(several or f"there is no region or GPU {name}: there are {', '.join(regions)}{gpus}")

    def _there(self, what: str) -> Sequence[AttemptRecord]:
        live = self._store.live_attempts()
        return [each for each in live if each.region == what or what in each.gpu_uuids]


def drain_view(drain: Drain) -> DrainView:
    """The drain as clients see it."""
    return DrainView(
        what=drain.what, since=drain.since, until=drain.until, reason=drain.reason, user=drain.user
    )


def routes(api: "FastAPI", service: Service) -> None:
    """Adds `drains` to the interface."""
    drains = Drains(service)

    @api.get("/api/v1/drains")
    def listed() -> dict[str, list[DrainView]]:
        return {"drains": [drain_view(each) for each in service.site.board.drains()]}

    @api.put("/api/v1/drains/{name}")
    def drain(name: str, request: DrainRequest) -> DrainReply:
        return drains.drain(name, request)

    @api.delete("/api/v1/drains/{name}")
    def undrain(name: str) -> dict[str, list[DrainView]]:
        return {"drains": drains.undrain(name)}
