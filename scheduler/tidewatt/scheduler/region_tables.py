"""Regions as planners take them, made from the tables of the configuration."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.plan import Window
from tidewatt.scheduler.planning.capacity import names
from tidewatt.scheduler.region import Pool, Region
from tidewatt.scheduler.settings import PoolTable, RegionTable, Settings

if TYPE_CHECKING:
    from tidewatt.backends.backend import Limits
    from tidewatt.backends.host import Gpu, Host


def regions(settings: Settings, host: "Host") -> tuple[Region, ...]:
    """The regions; without any configured there is one, `local`, with all that this host has.

    Those with another backend than "local" are taken as their tables describe them. Exactly one is home: the
    one that says so, else `local`, else the first.

    Raises:
        BadInput: for a GPU that the host does not have or that two regions claim, and for a region that
            counts its GPUs itself.
    """
    tables = settings.regions or (RegionTable(name="local"),)
    here = [table for table in tables if table.backend == "local"]
    for table in here:
        if table.counted:
            raise BadInput(
                f"the region {table.name!r} counts GPUs in its pools, but it is on this host, whose GPUs are"
                " counted here: take gpus out of pools, and give the region its gpus"
            )
        if table.cpus is None and len(here) > 1:
            raise BadInput(
                f"the region {table.name!r} does not say how many cores it has, and the host's cannot be"
                " counted for several regions: add cpus"
            )
    shares = _gpu_shares(here, host)
    home = _home(tables)
    return tuple(
        _on_host(table, shares[table.name], home, settings, host)
        if table in here
        else _described(table, home, settings)
        for table in tables
    )


def described(settings: Settings) -> tuple[Region, ...]:
    """The regions as their tables describe them, wherever they are: this host is not looked at.

    A region's GPUs are its `pools`, or `gpus` of one kind.

    Raises:
        BadInput: where there is no region, or one does not say how many GPUs and cores it has.
    """
    if not settings.regions:
        raise BadInput("no region is described: add a [[region]] table for each place where jobs may run")
    home = _home(settings.regions)
    return tuple(_described(table, home, settings) for table in settings.regions)


def limits_of(table: RegionTable) -> "Limits | None":
    """What a job on this host may take; None where nothing is limited."""
    limits = table.host_limits
    if limits is None:
        return None
    from tidewatt.backends.backend import Limits

    return Limits(limits.nice, limits.io_idle, limits.memory, limits.cores, limits.log_mb)


def _home(tables: Sequence[RegionTable]) -> str:
    return next(
        (table.name for table in tables if table.home),
        next((table.name for table in tables if table.name == "local"), tables[0].name),
    )


def _on_host(
    table: RegionTable, gpus: "Sequence[Gpu]", home: str, settings: Settings, host: "Host"
) -> Region:
    found: dict[str, list[str]] = {}
    for gpu in gpus:
        found.setdefault(gpu.name, []).append(gpu.uuid)
    cpus = host.cpus if table.cpus is None else table.cpus
    mem_mb = host.mem_mb if table.mem is None else table.mem
    pools = tuple(_pool(name, len(uuids), table) for name, uuids in found.items())
    uuids = tuple(uuid for uuids in found.values() for uuid in uuids)
    return _region(table, home, settings, pools, cpus, mem_mb, uuids)


def _pool(name: str, gpus: int, table: RegionTable) -> Pool:
    """A pool of this host, which is one node, with the ratios of the kind that its name has."""
    ratios = next((pool for pool in table.pools if names(pool.kind, name)), PoolTable(kind=name))
    return Pool(name, gpus, 0, ratios.speed, ratios.power)


def _described(table: RegionTable, home: str, settings: Settings) -> Region:
    if isinstance(table.gpus, tuple):
        raise BadInput(
            f"the region {table.name!r} lists GPUs by their UUIDs, which only their own host can count: write"
            ' pools = [{ kind = "a100", gpus = 8 }]'
        )
    if table.gpus is not None and table.counted:
        raise BadInput(f"the region {table.name!r} counts its GPUs twice, by gpus and in pools: keep one")
    kinds = table.pools
    if table.gpus is not None and len(kinds) < 2:
        only = kinds[0] if kinds else PoolTable(kind="GPU")
        kinds = (only.model_copy(update={"gpus": table.gpus}),) if table.gpus else ()
    pools = tuple(_counted(pool, table) for pool in kinds)
    if not pools and table.cpus is None:
        raise BadInput(
            f"the region {table.name!r} says neither how many GPUs nor how many cores it has: add for example"
            ' pools = [{ kind = "a100", gpus = 8 }]'
        )
    return _region(table, home, settings, pools, table.cpus or 0, table.mem or 0, ())


def _counted(pool: PoolTable, table: RegionTable) -> Pool:
    if pool.gpus is None:
        raise BadInput(
            f"the pool {pool.kind!r} of the region {table.name!r} does not say how many GPUs it has: add gpus"
        )
    if pool.node_gpus and pool.gpus % pool.node_gpus:
        raise BadInput(
            f"the pool {pool.kind!r} of the region {table.name!r} has {pool.gpus} GPUs, which do not divide"
            f" into nodes of {pool.node_gpus}: make it two pools"
        )
    return Pool(pool.kind, pool.gpus, pool.node_gpus, pool.speed, pool.power)


def _region(
    table: RegionTable,
    home: str,
    settings: Settings,
    pools: tuple[Pool, ...],
    cpus: int,
    mem_mb: int,
    uuids: tuple[str, ...],
) -> Region:
    return Region(
        name=table.name,
        backend=table.backend,
        zones=_zones(table, settings.zone),
        pools=pools,
        cpus=cpus,
        mem_mb=mem_mb,
        pue=table.pue,
        pue_source=_pue_source(table),
        home=table.name == home,
        power_limit_kw=table.power_limit_kw or 0.0,
        price_per_kwh=table.price_per_kwh,
        max_price_per_kwh=table.max_price_per_kwh,
        closed=tuple(Window(each.start, each.end) for each in table.closed),
        signal=table.signal,
        data=table.data,
        queue_wait_s=None if table.queue_wait is None else table.queue_wait.total_seconds(),
        queue_wait_source="" if table.queue_wait is None else "stated",
        gpu_uuids=uuids,
    )


def _pue_source(table: RegionTable) -> str:
    """Class and source, as far as they were said: `measured: building meter, 2025`."""
    said = ": ".join(word for word in (table.pue_class, table.pue_source) if word)
    return said or ("stated" if "pue" in table.model_fields_set else "assumed")


def _zones(table: RegionTable, default: str) -> dict[str, str]:
    if table.zones is not None:
        zones = {"average": table.zones.average, "marginal": table.zones.marginal}
    else:
        zones = dict.fromkeys(("average", "marginal"), table.one_zone or default)
    return {signal: zone for signal, zone in zones.items() if zone}


def _gpu_shares(tables: Sequence[RegionTable], host: "Host") -> "dict[str, list[Gpu]]":
    """Each region's GPUs: first those that were named, then as many of the rest as asked for, in order."""
    free = {gpu.uuid: gpu for gpu in host.gpus}
    shares: dict[str, list[Gpu]] = {table.name: [] for table in tables}
    for table in tables:
        for uuid in table.gpus if isinstance(table.gpus, tuple) else ():
            if uuid not in free:
                known = ", ".join(gpu.uuid for gpu in host.gpus) or f"none ({host.gpu_note})"
                raise BadInput(
                    f"the region {table.name!r} names the GPU {uuid}, which this host does not have or which"
                    f" another region has: this host's GPUs are {known}"
                )
            shares[table.name].append(free.pop(uuid))
    for table in tables:
        count = len(free) if table.gpus is None and len(tables) == 1 else table.gpus
        if not isinstance(count, int):
            continue
        if count > len(free):
            note = f" ({host.gpu_note})" if host.gpu_note else ""
            raise BadInput(
                f"the region {table.name!r} is given {count} GPUs, but this host has {len(host.gpus)}"
                f" and {len(free)} are left for it{note}: lower gpus"
            )
        shares[table.name] = [free.pop(uuid) for uuid in list(free)[:count]]
    return shares
