"""Shifting switched off: everything starts as capacity allows, until an operator switches it on again."""

from typing import TYPE_CHECKING

import structlog

from tidewatt.backends.clock import moment, time_ms
from tidewatt.scheduler.daemon.callers import operator_only, user_name
from tidewatt.scheduler.daemon.region_board import SHIFTING
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.operator_schema import ShiftingRequest, ShiftingView
from tidewatt.scheduler.store.decisions import DecisionRecord, decide, revoke

if TYPE_CHECKING:
    from fastapi import FastAPI

log = structlog.get_logger()


def shifting(site: Site) -> ShiftingView:
    """Whether jobs are shifted now."""
    off = site.board.unshifted
    if off is None:
        return ShiftingView(on=True)
    reason = str(off.value.get("reason", ""))
    return ShiftingView(on=False, since=moment(off.since_ms), user=off.user, reason=reason)


def switch(service: Service, request: ShiftingRequest, undoes: int = 0) -> ShiftingView:
    """Switches it, and has all that waits planned anew; `undoes` is the decision that it takes back.

    Raises:
        Refused: where whoever asks is no operator.
    """
    operator_only("switch shifting on or off")
    site, store = service.site, service.store
    said = f"shifting is switched {'on' if request.on else 'off'}"
    said = f"decision {undoes} is undone: {said}" if undoes else said
    with service.lock:
        if request.on == (site.board.unshifted is None):
            return shifting(site)  # it is so already: who decided it, and when, stays
        now_ms, user = time_ms(site.clock.now()), user_name()
        with store.transaction() as transaction:
            if request.on:
                revoke(transaction, SHIFTING, user, now_ms, said, undoes)
            else:
                value = {"on": 0, "reason": request.reason}
                decide(transaction, DecisionRecord(SHIFTING, value, now_ms, user), said, undoes)
            for job in store.jobs([JobState.WAITING]):  # what was planned stood for what no longer holds
                if job.plan is not None:
                    transaction.append(now_ms, "plan void", job_id=job.id, reason=said)
                    transaction.change_job(job.id, plan=None)
        site.board.decided(store.decisions())
    log.warning("shifting.switched", on=request.on, user=user, reason=request.reason)
    service.wake(said)
    return shifting(site)


def routes(api: "FastAPI", service: Service) -> None:
    """Adds `shifting` to the interface."""

    @api.get("/api/v1/shifting")
    def shown() -> ShiftingView:
        return shifting(service.site)

    @api.put("/api/v1/shifting")
    def switched(request: ShiftingRequest) -> ShiftingView:
        return switch(service, request)
