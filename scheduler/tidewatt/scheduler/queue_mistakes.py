"""Jobs of a file that no region could ever serve: refused with row and column."""

from collections.abc import Sequence

import numpy as np

from tidewatt.scheduler.planning.capacity import names
from tidewatt.scheduler.planning.instants import utc
from tidewatt.scheduler.planning.timetable.problem import Ints, Menus
from tidewatt.scheduler.queue_files import JobTable
from tidewatt.scheduler.region import Region


def check_regions(table: JobTable, regions: Sequence[Region]) -> None:
    """Refuses names of regions that are not there."""
    known = {region.name for region in regions}
    for column in (table.regions, table.exclude_regions, [(home,) if home else () for home in table.home]):
        for index, words in enumerate(column):
            for name in words:
                if name not in known:
                    which = "regions" if column is table.regions else "exclude_regions"
                    which = which if column in (table.regions, table.exclude_regions) else "home"
                    sentence = f"there is no region {name!r}: choose from {', '.join(sorted(known))}"
                    table.columns.refuse(index, which, sentence)


def check_kinds(table: JobTable, places: Sequence[tuple[Region, str]]) -> None:
    """Refuses a job that accepts only kinds of GPU that no region has."""
    pools = sorted({pool for _, pool in places if pool})
    for index, kinds in enumerate(table.kinds):
        if kinds and table.gpus[index] and not any(names(k.kind, pool) for k in kinds for pool in pools):
            wanted = " or ".join(repr(kind.kind) for kind in kinds)
            has = f"choose from {', '.join(pools)}" if pools else "none has any GPU"
            table.columns.refuse(index, "gpu_kind", f"no region has a GPU of kind {wanted}: {has}")


def check_lengths(table: JobTable, menus: Menus, menu: Ints) -> None:
    """Refuses a job that could not be in time even alone, on the fastest place that it may use."""
    fastest = np.where(menus.allowed, menus.speed, 0.0).max(axis=1)[menu]
    length_ms = np.ceil(table.work_ms / np.where(fastest > 0, fastest, np.inf) - 1e-6)
    late = np.flatnonzero(table.release_ms + length_ms > table.due_ms)
    if late.size:
        index = int(late[0])
        column = next(
            name for name in ("finish_by", "slack_h", "duration_s") if table.columns.texts(name)[index]
        )
        ends = utc(int(table.release_ms[index] + length_ms[index]))
        due = utc(int(table.due_ms[index]))
        table.columns.refuse(index, column, f"alone and at once it would end {ends}, after {due}")
