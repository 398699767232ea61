"""Keeps the readings small: past days are packed, and days that no account needs go after a stated time."""

from datetime import timedelta

import structlog

from tidewatt.backends.clock import time_ms
from tidewatt.backends.meters.compaction import compact, forget
from tidewatt.scheduler.daemon.faults import told
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.jobs import ENDED, JobState
from tidewatt.scheduler.store import Store

log = structlog.get_logger()
SETTLED = timedelta(days=1)  # a day is packed when accounts have read it
IDLE_DRAW = timedelta(days=8)  # idle draw is looked for in the week before a run


def shelve(site: Site, store: Store) -> None:
    """Packs and forgets what is due; an error, as of a full disk, is logged and tried again next time."""
    now = site.clock.now()
    with told("pack"):
        packed = compact(site.paths.readings, time_ms(now - SETTLED))
        if packed:
            log.info("readings.packed", files=packed)
    with told("forget"):
        before_ms = min(time_ms(now - site.settings.readings_retention), _needed_from_ms(store))
        if gone := forget(site.paths.readings, before_ms):
            log.info("readings.forgotten", files=gone)


def _needed_from_ms(store: Store) -> int:
    """From when on readings are needed: by the oldest job whose account is open, and for its idle draw."""
    open_jobs = store.numbered(store.open_accounts()).values()
    not_ended = store.jobs([state for state in JobState if state not in ENDED])
    since_ms = [job.submitted_ms for job in (*open_jobs, *not_ended)]
    return min(since_ms, default=2**62) - round(IDLE_DRAW.total_seconds() * 1000)
