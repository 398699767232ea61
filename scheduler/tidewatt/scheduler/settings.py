"""Every setting there is, with its unit, bounds and default."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field, model_validator

from tidewatt.scheduler.account_tables import BudgetTable, EmbodiedTable, Table
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.memory import parse_memory
from tidewatt.scheduler.node_table import NodeTable
from tidewatt.scheduler.when import parse_duration


def _duration(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"needs a unit: write {value}m or {value}h")
    if isinstance(value, str) and re.fullmatch(r"\s*0\s*[smhd]?\s*", value):
        return timedelta()
    return _read(parse_duration, value)


def _memory(value: Any) -> Any:
    return _read(parse_memory, value)


def _read(parse: Callable[[str, str], object], value: Any) -> Any:
    """What `parse` makes of text; other types are left to pydantic, which only understands ValueError."""
    try:
        return parse(value, "the value") if isinstance(value, str) else value
    except BadInput as error:
        raise ValueError(str(error)) from None


def _gpus(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(uuid, str) for uuid in value):
        return tuple(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise ValueError(f"must be how many GPUs, or a list of their UUIDs; it is {value!r}")


def _zone(value: Any) -> Any:
    if not isinstance(value, str) or value == "":
        return value
    from tidewatt.forecasting.errors import ForecastError
    from tidewatt.forecasting.zones import zone

    try:
        return zone(value).key
    except ForecastError as error:
        raise ValueError(str(error)) from None


def _moment(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{value!r} is not a time: write 2026-12-01T06:00:00Z") from None
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError(f"{value.isoformat()} has no time zone: add Z or, for example, +01:00")
    return value


def _backend(value: Any) -> Any:
    from tidewatt.backends.engines import names  # only here: most files have no such key

    if isinstance(value, str) and value not in names():
        raise ValueError(f"there is no backend {value!r}: there are {', '.join(names())}")
    return value


Duration = Annotated[timedelta, Field(gt=timedelta()), BeforeValidator(_duration)]
Pause = Annotated[timedelta, Field(ge=timedelta()), BeforeValidator(_duration)]  # may be nothing
ZoneKey = Annotated[str, BeforeValidator(_zone)]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=False)]
Ratio = Annotated[float, Field(gt=0, le=1000, strict=False)]


class SourceTable(Table):
    """A source of carbon intensity, `[[source]]`; keys beyond these belong to its type."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    type: str = "file"
    path: Annotated[Path | None, Field(strict=False)] = None
    hindsight: bool = False

    @model_validator(mode="after")
    def _file_is_whole(self) -> "SourceTable":
        if self.type == "file":
            if self.path is None:
                raise ValueError("a source of type file needs a path")
            if self.model_extra:
                raise ValueError(f"a source of type file has no key {sorted(self.model_extra)[0]!r}")
        return self


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


class LinkTable(Table):
    """What it takes to bring a job's data to another region, `[link]`.

    The energy's default is the last figure that was measured for the whole way through fixed networks, of
    2015, and it has fallen since: a move that is worth it by this one is worth it by any.
    """

    gbit_per_s: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=False)] = 1.0
    kwh_per_gb: Amount = 0.06
    low: Amount | None = None
    high: Amount | None = None
    source: str = ""
    price_per_gb: Amount = 0.0


class RegionTable(Table):
    """A place where jobs may run, `[[region]]`.

    `gpus` is how many of this host's GPUs belong to it, or their UUIDs. Left out, the only region of a host
    has all of them and all cores; of several regions each states its own. `power_limit_kw` holds for the IT
    power of all jobs together, `price_per_kwh` is in any one currency, `signal` decides here instead of the
    general one. `site` is where its machines stand and `cloud` whose they are ("" for your own), for reports.
    `backend` is what runs its jobs, `options` are that backend's own.
    `pue_class` says where its PUE is from: a survey of others, the site's stated figure, or a meter.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    backend: Annotated[str, BeforeValidator(_backend)] = "local"
    options: dict[str, Any] = Field(default_factory=dict)
    zone: ZoneKey = ""
    zones: ZonesTable | None = None
    gpus: Annotated[int | tuple[str, ...] | None, BeforeValidator(_gpus)] = None
    cpus: Annotated[int, Field(ge=1)] | None = None
    mem: Annotated[int, Field(ge=1), BeforeValidator(_memory)] | None = None
    pue: Annotated[float, Field(ge=1, le=5, strict=False)] = 1.0
    pue_source: str = ""
    pue_class: Literal["survey", "site", "measured"] | None = None
    home: bool = False
    pools: Annotated[tuple[PoolTable, ...], Field(strict=False)] = ()
    power_limit_kw: Annotated[float, Field(gt=0, strict=False)] | None = None
    price_per_kwh: Amount = 0.0
    closed: Annotated[tuple[ClosedTable, ...], Field(strict=False)] = ()
    signal: Literal["", "average", "marginal", "both"] = ""
    site: Annotated[str, Field(max_length=100)] = ""
    cloud: Annotated[str, Field(max_length=100)] | None = None
    embodied: EmbodiedTable = EmbodiedTable()

    @property
    def counted(self) -> bool:
        """True where it says itself how many GPUs it has, and no host has to be asked."""
        return any(pool.gpus is not None for pool in self.pools)

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
        if self.zone and self.zones is not None:
            raise ValueError("has both zone and zones: keep one of them")
        return self


class Settings(Table):
    """Every setting. Durations are written like 5m; `_s` are seconds and `_w` watts.

    `tick_s` is how often the daemon looks around. `final_after` an ended job is restated for the last time,
    `unverified_after` it is closed without observations. `credentials` is a TOML file of mode 0600 with the
    keys of live sources. What was fetched from those is kept for `grid_retention`, and longer where a receipt
    cites it; raw readings for `readings_retention`, and longer where an account is open. `own_models` trains
    forecasts on it, once a day and at low priority.

    `signal` decides: by `both`, a job waits or moves only where neither gets worse. A job waits only where
    the chance of gaining by it is at least `min_chance`, and its start is put off at most `max_postponed`
    times. `hold_out` is the share of the jobs that could wait which runs at once by lot, for the comparison.
    `g_per_price` and `g_per_hour` are the grams that one unit of money, and one hour of delay, are worth.
    `shares` are the weights of users and projects: one of weight 2 is entitled to twice the GPU hours.
    `budgets` are of projects and users, by the month.
    """

    zone: ZoneKey = ""
    signal: Literal["average", "marginal", "both"] = "both"
    default_slack: Duration | None = None
    default_duration: Duration = timedelta(hours=1)
    min_saving: Annotated[float, Field(ge=0, lt=1, strict=False)] = 0.02
    min_wait: Pause = timedelta(minutes=5)
    margin: Pause = timedelta(minutes=2)
    min_chance: Annotated[float, Field(ge=0, lt=1, strict=False)] = 0.0
    max_postponed: Annotated[int, Field(ge=0, strict=False)] | None = None
    hold_out: Annotated[float, Field(ge=0, le=0.5, strict=False)] = 0.0
    g_per_price: Amount = 0.0
    g_per_hour: Amount = 0.0
    tick_s: Annotated[float, Field(gt=0, le=60, strict=False)] = 1.0
    grace_s: Annotated[float, Field(ge=0, strict=False)] = 30.0
    meter_interval_s: Annotated[float, Field(ge=0.1, le=600, strict=False)] = 10.0
    tdp_w: Annotated[float, Field(gt=0, strict=False)] | None = None
    env_deny: Annotated[tuple[str, ...], Field(strict=False)] = ()
    final_after: Duration = timedelta(hours=72)
    unverified_after: Duration = timedelta(days=7)
    credentials: Annotated[Path, Field(strict=False)] | None = None
    grid_retention: Duration = timedelta(days=1200)
    readings_retention: Duration = timedelta(days=1200)
    own_models: Annotated[bool, Field(strict=False)] = True
    sources: Annotated[tuple[SourceTable, ...], Field(alias="source", strict=False)] = ()
    link: LinkTable = LinkTable()
    node: NodeTable | None = None
    shares: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False, strict=False)]] = Field(
        default_factory=dict
    )
    regions: Annotated[tuple[RegionTable, ...], Field(alias="region", strict=False)] = ()
    budgets: Annotated[tuple[BudgetTable, ...], Field(alias="budget", strict=False)] = ()

    @property
    def shown_signal(self) -> Literal["average", "marginal"]:
        """The signal to show where one alone can be: the deciding one, of both the average."""
        return "marginal" if self.signal == "marginal" else "average"

    @model_validator(mode="after")
    def _regions_agree(self) -> "Settings":
        names = [region.name for region in self.regions]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the region {twice[0]!r} is defined twice: give each its own name")
        homes = [region.name for region in self.regions if region.home]
        if len(homes) > 1:
            raise ValueError(f"the regions {' and '.join(homes)} both have home = true: keep one")
        for region in self.regions if len(self.regions) > 1 else ():
            if region.cpus is None and not region.gpus and not region.counted:
                raise ValueError(
                    f"the region {region.name!r} does not say how many cores it has, and the host's cannot be"
                    " counted for several regions: add cpus"
                )
        return self

    @model_validator(mode="after")
    def _budgets_differ(self) -> "Settings":
        seen = set()
        for budget in self.budgets:
            if budget.key in seen:
                raise ValueError(f"the budget of {budget.called} is defined twice: keep one of them")
            seen.add(budget.key)
        return self
