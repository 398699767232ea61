"""Every setting there is, with its unit, bounds and default."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from tidewatt.scheduler.account_tables import BudgetTable, Table
from tidewatt.scheduler.node_table import NodeTable
from tidewatt.scheduler.notices.table import NotifyTable
from tidewatt.scheduler.policy_schema import ANYWHERE, PolicyTable, ProjectTable, TransferTable
from tidewatt.scheduler.prices.tables import FreezeTable, PriceTable
from tidewatt.scheduler.region_schema import ClosedTable as ClosedTable
from tidewatt.scheduler.region_schema import HostLimitsTable as HostLimitsTable
from tidewatt.scheduler.region_schema import PoolTable as PoolTable
from tidewatt.scheduler.region_schema import RegionTable as RegionTable
from tidewatt.scheduler.region_schema import ZonesTable as ZonesTable
from tidewatt.scheduler.server_tables import LimitsTable, ServerTable
from tidewatt.scheduler.setting_types import Amount, Duration, Pause, ZoneKey, misplaced


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


class Settings(Table):
    """Every setting. Durations are written like 5m; `_s` are seconds and `_w` watts.

    `tick_s` is how often the daemon looks around. `final_after` an ended job is restated for the last time,
    `unverified_after` it is closed without observations. `database` is the URL of a PostgreSQL database for
    the store, "" for a file. `credentials` is a TOML file of mode 0600 with the keys of live sources. What
    was fetched from those is kept for `grid_retention`, and longer where a receipt cites it; raw readings for
    `readings_retention`, and longer where an account is open. `own_models` trains forecasts on it, once a day
    and at low priority.

    `signal` decides: by `both`, a job waits or moves only where neither gets worse. A job waits only where
    the chance of gaining by it is at least `min_chance`, and its start is put off at most `max_postponed`
    times. `hold_out` is the share of the jobs that could wait which runs at once by lot, for the comparison.
    `g_per_price` and `g_per_hour` are the grams that one unit of money, and one hour of delay, are worth.
    `shares` are the weights of users and projects: one of weight 2 is entitled to twice the GPU hours.
    `budgets` are of projects and users, by the month. `policies` say who may run what where, `projects` what
    their jobs ask for where they do not say it, `transfers` which ways data go. `prices` are of electricity,
    all in one `currency`; in `freezes` nothing starts or is sent elsewhere. `notify` says who is told what.
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
    database: str = ""
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
    server: ServerTable = ServerTable()
    limits: LimitsTable = LimitsTable()
    policies: Annotated[tuple[PolicyTable, ...], Field(alias="policy", strict=False)] = ()
    projects: Annotated[dict[str, ProjectTable], Field(alias="project")] = Field(default_factory=dict)
    transfers: Annotated[tuple[TransferTable, ...], Field(alias="transfer", strict=False)] = ()
    currency: Annotated[str, Field(pattern=r"^([A-Z]{3})?$")] = ""
    prices: Annotated[tuple[PriceTable, ...], Field(alias="price", strict=False)] = ()
    freezes: Annotated[tuple[FreezeTable, ...], Field(alias="freeze", strict=False)] = ()
    notify: NotifyTable = NotifyTable()

    @property
    def shown_signal(self) -> Literal["average", "marginal"]:
        """The signal to show where one alone can be: the deciding one, of both the average."""
        return "marginal" if self.signal == "marginal" else "average"

    @model_validator(mode="after")
    def _regions_agree(self) -> "Settings":
        seen: set[str] = set()
        homes: list[str] = []
        for number, region in enumerate(self.regions):
            here = "region", number
            if region.name in seen:
                raise misplaced(
                    (*here, "name"), f"the region {region.name!r} is defined twice: give each its own name"
                )
            seen.add(region.name)
            homes += [region.name] if region.home else []
            if len(homes) > 1:
                both = " and ".join(homes)
                raise misplaced((*here, "home"), f"the regions {both} both have home = true: keep one")
            if len(self.regions) > 1 and region.cpus is None and not region.gpus and not region.counted:
                raise misplaced(
                    here,
                    f"the region {region.name!r} does not say how many cores it has, and the host's cannot be"
                    " counted for several regions: add cpus",
                )
        return self

    @model_validator(mode="after")
    def _policies_name_regions(self) -> "Settings":
        known = [region.name for region in self.regions] or ["local"]
        named: list[tuple[tuple[int | str, ...], tuple[str, ...]]] = [
            (("policy", n, "regions"), each.regions) for n, each in enumerate(self.policies)
        ]
        for key, project in self.projects.items():
            named += [(("project", key, "regions"), project.regions)]
            named += [(("project", key, "exclude_regions"), project.exclude_regions)]
        named += [(("freeze", n, "regions"), each.regions) for n, each in enumerate(self.freezes)]
        own = [(n, each.region) for n, each in enumerate(self.prices) if each.region]
        named += [(("price", n, "region"), (region,)) for n, region in own]
        for n, each in enumerate(self.transfers):
            named += [(("transfer", n, "from"), (each.from_,)), (("transfer", n, "to"), (each.to,))]
        for where, regions in named:
            for region in regions:
                if region not in known and ANYWHERE not in region:
                    raise misplaced(where, f"there is no region {region!r}: there are {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _rules_differ(self) -> "Settings":
        seen: set[str] = set()
        for number, rule in enumerate(self.policies):
            if rule.name in seen:
                raise misplaced(
                    ("policy", number, "name"), f"the rule {rule.name!r} is there twice: rename one"
                )
            seen.add(rule.name)
        return self

    @model_validator(mode="after")
    def _prices_agree(self) -> "Settings":
        fixed = {region.name for region in self.regions if region.price_per_kwh}
        currency, seen = self.currency, set[tuple[str, str]]()
        for number, table in enumerate(self.prices):
            currency = currency or table.currency
            if table.currency != currency:
                raise misplaced(
                    ("price", number, "currency"),
                    f"one price is in {table.currency}, another in {currency}: g_per_price weighs one alone",
                )
            where = ("", table.zone) if not table.region else (table.region, "")
            if where in seen or table.region in fixed:
                raise misplaced(
                    ("price", number), f"{table.region or table.zone} has two prices: keep one of them"
                )
            seen.add(where)
        return self

    @model_validator(mode="after")
    def _budgets_differ(self) -> "Settings":
        seen = set()
        for number, budget in enumerate(self.budgets):
            if budget.key in seen:
                raise misplaced(
                    ("budget", number), f"the budget of {budget.called} is defined twice: keep one of them"
                )
            seen.add(budget.key)
        return self
