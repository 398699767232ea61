"""The tables of regions in the configuration: where they are, what they have, when they are open."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from tidewatt.scheduler.account_tables import EmbodiedTable, Table
from tidewatt.scheduler.policies.opening import Hours, parse_hours
from tidewatt.scheduler.setting_types import (
    Amount,
    Duration,
    Moment,
    Place,
    Ratio,
    ZoneKey,
    backend_kind,
    gpu_share,
    hours_texts,
    memory_mb,
    zone_at,
)
from tidewatt.scheduler.setting_types import time_zone as check_time_zone


class ZonesTable(Table):
    """The zones of a region, where its signals come from different ones."""

    average: ZoneKey = ""
    marginal: ZoneKey = ""


class PoolTable(Table):
    """GPUs of one kind in a region: `pools = [{ kind = "h100", speed = 2.0, power = 1.4 }]`.

    `kind` is a word of the GPU's name. `speed` 2.0 does the work in half the time, `power` 1.4 draws 1.4
    times as much, for jobs that do not say it themselves. `gpus` counts them, and `node_gpus` those on one
    node (0: all on one), where the region is another place than this host.
    """

    kind: Annotated[str, Field(min_length=1)]
    gpus: Annotated[int, Field(ge=0)] | None = None
    node_gpus: Annotated[int, Field(ge=0)] = 0
    speed: Ratio = 1.0
    power: Ratio = 1.0


class ClosedTable(Table):
    """A stretch `[start, end)` in which nothing runs in a region, such as a maintenance."""

    start: Moment
    end: Moment

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> "ClosedTable":
        if self.end <= self.start:
            raise ValueError(f"is closed until {self.end.isoformat()}, which is not after its start")
        return self


class HostLimitsTable(Table):
    """What a job on this host may take: `host_limits = { nice = 10, io_idle = true, memory = "64G" }`.

    `memory` and `cores` need a cgroup that may be written; `log_mb` is the size at which output is rotated.
    """

    nice: Annotated[int, Field(ge=0, le=19)] | None = None
    io_idle: bool = False
    memory: Annotated[int, Field(ge=1), BeforeValidator(memory_mb)] | None = None
    cores: Annotated[float, Field(gt=0, strict=False)] | None = None
    log_mb: Annotated[int, Field(ge=1)] | None = None


class RegionTable(Table):
    """A place where jobs may run, `[[region]]`.

    `gpus` is how many of this host's GPUs belong to it, or their UUIDs. Left out, the only region of a host
    has all of them and all cores; of several regions each states its own. `power_limit_kw` holds for the IT
    power of all jobs together, `price_per_kwh` is in any one currency (one that changes is a `[[price]]`);
    above `max_price_per_kwh` only jobs run that would be late otherwise. `signal` decides here instead of the
    general one. `site` is where its machines stand and `cloud` whose they are ("" for your own), for reports.
    `backend` is what runs its jobs, `options` are that backend's own.
    `pue_class` says where its PUE is from: a survey of others, the site's stated figure, or a meter.
    Instead of `zone` or `zones`, `cloud_region` ("aws:eu-west-1") or `place` (coordinates, or a name) looks
    the zone up. Jobs start and end in its `open` hours, by the clock of `time_zone`, and never in `closed`
    stretches. `data` are the places and labels of data that may be worked on there; `queue_wait` is how long
    its engine keeps jobs waiting, until enough of that was seen. `host_limits` hold for jobs on this host.
    `checkpoints` is where it keeps those of jobs that pause: a folder, `host:/folder`, or a URL of an object
    storage; "" for the job's own folder.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    backend: Annotated[str, BeforeValidator(backend_kind)] = "local"
    options: dict[str, Any] = Field(default_factory=dict)
    zone: ZoneKey = ""
    zones: ZonesTable | None = None
    cloud_region: ZoneKey = ""
    place: Annotated[Place | None, BeforeValidator(zone_at)] = None
    gpus: Annotated[int | tuple[str, ...] | None, BeforeValidator(gpu_share)] = None
    cpus: Annotated[int, Field(ge=1)] | None = None
    mem: Annotated[int, Field(ge=1), BeforeValidator(memory_mb)] | None = None
    pue: Annotated[float, Field(ge=1, le=5, strict=False)] = 1.0
    pue_source: str = ""
    pue_class: Literal["survey", "site", "measured"] | None = None
    home: bool = False
    pools: Annotated[tuple[PoolTable, ...], Field(strict=False)] = ()
    power_limit_kw: Annotated[float, Field(gt=0, strict=False)] | None = None
    price_per_kwh: Amount = 0.0
    max_price_per_kwh: Amount | None = None
    closed: Annotated[tuple[ClosedTable, ...], Field(strict=False)] = ()
    open: Annotated[tuple[str, ...], BeforeValidator(hours_texts), Field(strict=False)] = ()
    time_zone: Annotated[str, BeforeValidator(check_time_zone)] = ""
    data: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)] = ()
    queue_wait: Duration | None = None
    host_limits: HostLimitsTable | None = None
    checkpoints: Annotated[str, Field(max_length=1000)] = ""
    signal: Literal["", "average", "marginal", "both"] = ""
    site: Annotated[str, Field(max_length=100)] = ""
    cloud: Annotated[str, Field(max_length=100)] | None = None
    embodied: EmbodiedTable = EmbodiedTable()

    @property
    def counted(self) -> bool:
        """True where it says itself how many GPUs it has, and no host has to be asked."""
        return any(pool.gpus is not None for pool in self.pools)

    @property
    def hours(self) -> tuple[Hours, ...]:
        """When it is open; none: always."""
        return tuple(parse_hours(text) for text in self.open)

    @property
    def one_zone(self) -> str:
        """The zone of all signals, by whatever it was named; "" where none was, or `zones` name two."""
        return self.zone or self.cloud_region or ("" if self.place is None else self.place.zone)

    @property
    def zone_source(self) -> str:
        """How the zone was found, where it was looked up; "" where it was named."""
        if self.cloud_region:
            return "looked up by its cloud region"
        return "" if self.place is None else self.place.told

    @model_validator(mode="after")
    def _kinds_differ(self) -> "RegionTable":
        kinds = [pool.kind.casefold() for pool in self.pools]
        twice = sorted({kind for kind in kinds if kinds.count(kind) > 1})
        if twice:
            raise ValueError(f"has two pools of kind {twice[0]!r}: keep one of them")
        return self

    @model_validator(mode="after")
    def _class_is_of_a_stated_pue(self) -> "RegionTable":
        if self.pue_class is not None and "pue" not in self.model_fields_set:
            raise ValueError(f"has pue_class = {self.pue_class!r} without a pue: add it, or leave both out")
        return self

    @model_validator(mode="after")
    def _one_way_to_name_zones(self) -> "RegionTable":
        ways = ("zone", "zones", "cloud_region", "place")
        named = [way for way in ways if getattr(self, way)]
        if len(named) > 1:
            raise ValueError(f"has both {named[0]} and {named[1]}: keep one of them")
        return self

    @model_validator(mode="after")
    def _hours_have_a_clock(self) -> "RegionTable":
        if bool(self.open) != bool(self.time_zone):
            kept, missing = ("open", "time_zone") if self.open else ("time_zone", "open")
            raise ValueError(f'has {kept} without {missing}: add it, time_zone = "Europe/Berlin"')
        return self

    @model_validator(mode="after")
    def _limits_are_of_this_host(self) -> "RegionTable":
        if self.host_limits is not None and self.backend != "local":
            raise ValueError(
                f"has host_limits, which its backend {self.backend!r} does not know: take them out"
            )
        return self
