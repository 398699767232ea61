"""What a running daemon takes over from a configuration that was read again, and what waits for a restart."""

from dataclasses import replace

from tidewatt.scheduler.config import Loaded
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.plan import Window
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.settings import RegionTable, Settings

LIVE = (
    "policies",
    "projects",
    "transfers",
    "link",
    "limits",
    "shares",
    "budgets",
    "prices",
    "freezes",
    "currency",
    "min_saving",
    "min_wait",
    "min_chance",
    "max_postponed",
    "g_per_price",
    "g_per_hour",
)  # settings that are taken over as they stand
LIVE_OF_REGION = (
    *("open", "time_zone", "closed", "data", "price_per_kwh", "max_price_per_kwh", "queue_wait", "signal"),
)


def taken_over(site: Site, loaded: Loaded) -> tuple[str, ...]:
    """Has the site go on with the rules of `loaded`; returns what changed, by the names of its keys.

    Raises:
        BadInput: for a file of prices that cannot be taken; then nothing changes.
    """
    old, new = site.board.settings, loaded.settings
    changed = [key for key in LIVE if getattr(old, key) != getattr(new, key)]
    tables = {table.name: table for table in new.regions}
    regions = []
    for table in old.regions:
        fresh = tables.get(table.name, table)
        values = {key: getattr(fresh, key) for key in LIVE_OF_REGION}
        changed += [f"{table.name}.{key}" for key, value in values.items() if getattr(table, key) != value]
        regions.append(table.model_copy(update=values))
    update = {key: getattr(new, key) for key in LIVE} | {"regions": tuple(regions)}
    settings = old.model_copy(update=update)
    by_name = {table.name: table for table in regions}
    stated = tuple(_region(region, by_name.get(region.name)) for region in site.board.stated)
    site.board.take(stated, settings, loaded.rules)
    return tuple(changed)


def held_by_restart(site: Site, loaded: Loaded) -> tuple[str, ...]:
    """What the file says that a running daemon cannot take over, by the names of its keys."""
    old, new = site.board.settings, loaded.settings
    keys = [key for key in Settings.model_fields if key not in (*LIVE, "regions")]
    later = [key for key in keys if getattr(old, key) != getattr(new, key)]
    known = {table.name: table for table in old.regions}
    for table in new.regions:
        before = known.pop(table.name, None)
        if before is None:
            later.append(f"the new region {table.name}")
            continue
        fields = [key for key in RegionTable.model_fields if key not in LIVE_OF_REGION]
        later += [f"{table.name}.{key}" for key in fields if getattr(before, key) != getattr(table, key)]
    return (*later, *(f"that the region {name} is gone" for name in known))


def _region(region: Region, table: RegionTable | None) -> Region:
    if table is None:
        return region
    return replace(
        region,
        closed=tuple(Window(each.start, each.end) for each in table.closed),
        price_per_kwh=table.price_per_kwh,
        max_price_per_kwh=table.max_price_per_kwh,
        signal=table.signal,
        data=table.data,
        queue_wait_s=None if table.queue_wait is None else table.queue_wait.total_seconds(),
    )
