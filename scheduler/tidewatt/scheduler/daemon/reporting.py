"""Reports over ended jobs, from what the store keeps."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from tidewatt.backends.clock import moment, time_ms
from tidewatt.scheduler.accounting.frozen import MICRO
from tidewatt.scheduler.accounting.receipt import Settlement
from tidewatt.scheduler.accounting.report import ReportRow, report
from tidewatt.scheduler.accounting.report_schema import Report
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.accounts import AccountRecord


def ended_since(site: Site, store: Store, since_s: float | None, by: str, baseline: str) -> Report:
    """What jobs that ended in the last `since_s` seconds, or ever, used and saved."""
    now = site.clock.now()
    since = None if since_s is None else now - timedelta(seconds=since_s)
    return report(
        rows(store, since),
        since,
        by or "none",
        baseline=baseline or "feasible",
        until=now,
        own=[event["payload"] for event in store.events_of("own", 0 if since is None else time_ms(since))],
        hold_out_share_ppm=round(site.settings.hold_out * MICRO),
    )


def rows(store: Store, since: datetime | None) -> list[ReportRow]:
    """The jobs that ended at or after `since`, without the cells of their energy."""
    with _uncollected():
        return [_row(each) for each in store.accounts_since(0 if since is None else time_ms(since))]


@contextmanager
def _uncollected() -> Iterator[None]:
    """No looks for garbage meanwhile: of reading thousands of records that stay they are half the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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
