"""What is told of backups: the newest one, and what a restored state folder goes back to."""

from typing import TYPE_CHECKING

from tidewatt.backends.clock import moment
from tidewatt.scheduler.daemon import backup
from tidewatt.scheduler.daemon.callers import operator_only
from tidewatt.scheduler.daemon.reviving import KIND
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.decision_schema import BackupView

if TYPE_CHECKING:
    from fastapi import FastAPI


def backups(service: Service) -> BackupView:
    """The newest backup of this state folder; raises Refused for whoever is no operator."""
    operator_only("see where backups are")
    taken = backup.last(service.site.paths)
    restored = service.store.events_of(KIND)
    put_back = moment(restored[-1]["time_ms"]) if restored else None
    if taken is None:
        return BackupView(restored=put_back)
    return BackupView(
        time=moment(taken.time_ms),
        path=taken.path,
        user=taken.user,
        bytes=taken.bytes,
        events=taken.events,
        left_out=tuple(taken.left_out),
        events_since=max(0, service.store.newest() - taken.events),
        restored=put_back,
    )


def routes(api: "FastAPI", service: Service) -> None:
    """Adds `backup` to the interface."""

    @api.get("/api/v1/backup")
    def newest() -> BackupView:
        """The newest backup, as it was noted when it was made."""
        return backups(service)
