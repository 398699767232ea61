"""Drained GPUs as the planner takes them: booked, each from when the job that runs on it should be over."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

from tidewatt.scheduler.daemon.occupancy import expected_end
from tidewatt.scheduler.daemon.region_board import AHEAD
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.plan import Booking, Window
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord


def drained(
    live: Collection[AttemptRecord], jobs: Mapping[int, JobRecord], site: Site, now: datetime
) -> Iterator[Booking]:
    """A booking for each GPU of this host that takes no new starts."""
    drains = site.board.drains()
    if not drains:
        return
    names = {gpu.uuid: gpu.name for gpu in site.host.gpus}
    places = {uuid: region.name for region in site.regions for uuid in region.gpu_uuids}
    for drain in drains:
        if drain.what not in names or drain.what not in places:
            continue
        here = [each for each in live if drain.what in each.gpu_uuids and each.job_id in jobs]
        ends = [expected_end(jobs[each.job_id], each, site, now) for each in here]
        window = Window(max([now, *ends]), now + AHEAD if drain.until is None else drain.until)
        if window.start < window.end:
            yield Booking(places[drain.what], names[drain.what], window, 1, 0, 0, str(drain))
