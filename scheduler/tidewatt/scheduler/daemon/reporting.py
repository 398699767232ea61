"""Reports over ended jobs, from what the store keeps."""

from datetime import datetime
from typing import Any

from tidewatt.backends.clock import moment, time_ms
from tidewatt.scheduler.accounting.frozen import MICRO
from tidewatt.scheduler.accounting.receipt import Settlement
from tidewatt.scheduler.accounting.report import ReportRow, report
from tidewatt.scheduler.accounting.report_schema import NotOver, Report
from tidewatt.scheduler.daemon import lookback
from tidewatt.scheduler.daemon.callers import only_uid
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.garbage import uncollected
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.accounts import AccountRecord


def ended_since(site: Site, store: Store, since_s: float | None, by: str, baseline: str) -> Report:
    """What jobs that ended in the last `since_s` seconds, or ever, used and saved.

    Raises:
        BadInput: where nobody can look back that far, or a report cannot be grouped like that.
    """
    now, uid = site.clock.now(), only_uid()
    since = lookback.since(since_s, now)
    open_jobs, tries = store.not_over(0 if since is None else time_ms(since), uid)
    return report(
        rows(store, since, uid),
        since,
        by or "none",
        baseline=baseline or "feasible",
        until=now,
        own=[] if uid is not None else _own_use(store, since),
        hold_out_share_ppm=round(site.settings.hold_out * MICRO),
        not_over=NotOver(jobs=open_jobs, attempts=tries),
    )


def rows(store: Store, since: datetime | None, uid: int | None = None) -> list[ReportRow]:
    """The jobs that ended at or after `since`, without the cells of their energy; with `uid`, that user's."""
    with uncollected():
        return [_row(each) for each in store.accounts_since(0 if since is None else time_ms(since), uid)]


def _own_use(store: Store, since: datetime | None) -> list[dict[str, Any]]:
    """What Tidewatt itself used."""
    events = store.events_of("own", 0 if since is None else time_ms(since))
    return [event["payload"] for event in events]


def _row(account: AccountRecord) -> ReportRow:
    """A job of a report; it belongs to the region of its last attempt."""
    record = account.settlement
    return ReportRow(
        job_id=account.job_id,
        user=account.user,
        project=account.project,
        region=account.region,
        ended=moment(account.ended_ms),
        settlement=None if record is None else Settlement.restored(record, cells=False),
        labels=account.labels,
        array=account.array,
        arm=str(account.lot.get("arm", "")),
        stratum=str(account.lot.get("stratum", "")),
        signal=account.signal,
    )
