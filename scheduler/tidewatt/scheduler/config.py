"""The settings of a daemon, or of a command that works without one.

Flags win over `TIDEWATT_*`, those over the configuration file, that over the defaults. Sources and regions
come from the file alone.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from tidewatt.scheduler.account_tables import BudgetTable, EmbodiedTable
from tidewatt.scheduler.complaint import complaint
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.node_table import NodeTable
from tidewatt.scheduler.notices.table import NotifyTable
from tidewatt.scheduler.paths import Paths, user_config
from tidewatt.scheduler.place import Location, placed
from tidewatt.scheduler.planning.policy import Link, Policy
from tidewatt.scheduler.policies.rules import NO_RULES, Rules, rules_of
from tidewatt.scheduler.policy_schema import PolicyTable, ProjectTable, TransferTable
from tidewatt.scheduler.prices.tables import BandTable, FreezeTable, PriceTable
from tidewatt.scheduler.region_tables import described as described
from tidewatt.scheduler.region_tables import regions as regions
from tidewatt.scheduler.server_tables import LimitsTable, LimitTable, ServerTable
from tidewatt.scheduler.settings import (
    ClosedTable,
    HostLimitsTable,
    LinkTable,
    PoolTable,
    RegionTable,
    SourceTable,
    ZonesTable,
)
from tidewatt.scheduler.settings import Settings as Settings

if TYPE_CHECKING:
    from tidewatt.forecasting.archive import Archive
    from tidewatt.forecasting.chain import Chain
    from tidewatt.forecasting.feeds.feed import Feed
    from tidewatt.forecasting.sources import Secrets


# doi.org/10.1111/jiec.12630; the lower one is the networking coefficient that Cloud Carbon Footprint counts
# between data centres
PUBLISHED_KWH_PER_GB = (0.001, 0.06)
PUBLISHED_BY = "Aslan et al. 2018: fixed networks in 2015"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where each key's value came from: `default`, `TIDEWATT_ZONE`, `--zone`, `FILE:3`.

    `rules` are its policies, each with its place in the file.
    """

    settings: Settings
    origins: dict[str, str]
    path: Path | None
    rules: Rules = NO_RULES


def load(path: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any]) -> Loaded:
    """The settings of `path` (else of the user's file, if there is one), the environment and the flags given.

    A flag that is None was not given.

    Raises:
        BadInput: for a missing file, an unknown key, a wrong type, an unknown zone; with file, line and key.
    """
    if path is None and user_config(environ).exists():
        path = user_config(environ)
    text, values = _read(path) if path is not None else ("", {})
    origins = {key: placed(str(path), text, (key,)) for key in values}
    for key in _SCALARS:
        if f"TIDEWATT_{key.upper()}" in environ:
            values[key] = _from_text(key, environ[f"TIDEWATT_{key.upper()}"])
            origins[key] = f"TIDEWATT_{key.upper()}"
        if flags.get(key) is not None:
            values[key] = flags[key]
            origins[key] = f"--{key.replace('_', '-')}"
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise BadInput(complaint(error, origins, (str(path or "the configuration"), text), _KNOWN)) from None
    file = str(path or "the configuration"), text
    for number, region in enumerate(settings.regions):
        _check_options(region, ("region", number, "options"), origins, file)
    rules = rules_of(settings, file)
    return Loaded(settings, {key: origins.get(key, "default") for key in _KEYS}, path, rules)


def _check_options(
    region: RegionTable, where: Location, origins: Mapping[str, str], file: tuple[str, str]
) -> None:
    """Refuses options that the region's backend does not take."""
    if region.backend == "local" and not region.options:
        return
    from tidewatt.backends.backend import BackendError
    from tidewatt.backends.engines import engine

    try:
        options = engine(region.backend).Options
        options.model_validate(region.options)
    except ValidationError as error:
        known = {"region.options": tuple(options.model_fields)}
        raise BadInput(complaint(error, origins, file, known, where)) from None
    except BackendError as error:
        raise BadInput(f"{placed(*file, (*where[:2], 'backend'))}: {error}") from None


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except FileNotFoundError:
        raise BadInput(f"the configuration file {path} does not exist") from None
    except OSError as error:
        raise BadInput(f"the configuration file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"the configuration file {path} is not text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"the configuration file {path} is not TOML: {error}") from None
    _absolute(values, "credentials", path)
    for key in ("password_file", "ca_file"):
        _absolute(values.get("node"), key, path)
    _absolute(values.get("notify"), "url_file", path)
    for source in values.get("source", ()) if isinstance(values.get("source"), list) else ():
        _absolute(source, "path", path)
    for price in values.get("price", ()) if isinstance(values.get("price"), list) else ():
        _absolute(price, "file", path)
    return text, values


def _absolute(table: Any, key: str, path: Path) -> None:
    """A file means what stands beside the configuration, wherever the daemon was started."""
    if isinstance(table, dict) and isinstance(table.get(key), str):
        table[key] = str(path.absolute().parent / Path(table[key]).expanduser())


def _from_text(key: str, text: str) -> Any:
    """A variable's value; lists are separated by commas, an empty variable means none."""
    if key in _LISTS:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return None if text == "" and key in _OPTIONAL else text


@dataclass(frozen=True, slots=True)
class Grid:
    """What is known of the grid: the chain, the services behind it, and what these have told."""

    chain: "Chain"
    feeds: "tuple[Feed, ...]"
    archive: "Archive"


def grid(settings: Settings, place: Paths, *, hindsight: bool = False) -> Grid:
    """The configured sources. Credentials come from the environment, else from the settings' file.

    Raises:
        BadInput: for a source that cannot be made, such as a missing file, or credentials that others can
            read.
    """
    from tidewatt.forecasting.archive import Archive
    from tidewatt.forecasting.chain import Chain
    from tidewatt.forecasting.errors import ForecastError
    from tidewatt.forecasting.models.continuation_shelf import Continuations
    from tidewatt.forecasting.models.shelf import Shelf
    from tidewatt.forecasting.own import Models
    from tidewatt.forecasting.sources import sources

    if settings.credentials is not None and not settings.credentials.exists():
        raise BadInput(f"the credentials file {settings.credentials} does not exist: make it, or take it out")
    archive = Archive(place.archive)
    try:
        made = sources([source_options(each) for each in settings.sources], secrets(settings), archive)
    except ForecastError as error:
        raise BadInput(str(error)) from error
    own = None
    if made.feeds:
        own = Models(Shelf(place.models), Continuations(place.models, archive), archive)
    return Grid(Chain(made.providers, hindsight, own), made.feeds, archive)


def zones_of(settings: Settings) -> tuple[str, ...]:
    """Keys of the zones that are configured, for any signal."""
    named = [settings.zone]
    for region in settings.regions:
        tables = (region.zones.average, region.zones.marginal) if region.zones else (region.one_zone,)
        named += tables
    return tuple(dict.fromkeys(zone for zone in named if zone))


def secrets(settings: Settings) -> "Secrets":
    """Where feeds find their credentials."""
    from tidewatt.forecasting.feeds.secret import credential

    return lambda feed, name: credential(feed, name, os.environ, settings.credentials)


def source_options(source: SourceTable) -> dict[str, object]:
    """A source as the tables of sources take it."""
    options = {**source.model_dump(exclude_unset=True), "type": source.type}
    if source.path is not None:
        options["path"] = str(source.path)
    return options


def policy_of(settings: Settings) -> Policy:
    """What the operator decided, as planners take it."""
    return Policy(
        min_saving=settings.min_saving,
        min_wait=settings.min_wait,
        margin=settings.margin,
        default_slack=settings.default_slack,
        signal=settings.signal,
        min_chance=settings.min_chance,
        max_postponed=settings.max_postponed,
        g_per_price=settings.g_per_price,
        g_per_hour=settings.g_per_hour,
        link=replace(_link(settings.link), ways=_ways(settings)),
    )


def _link(table: LinkTable) -> Link:
    """The link with its range; an operator who states a figure of its own states the range with it."""
    stated = "kwh_per_gb" in table.model_fields_set
    low, high = (table.kwh_per_gb, table.kwh_per_gb) if stated else PUBLISHED_KWH_PER_GB
    return Link(
        gbit_per_s=table.gbit_per_s,
        kwh_per_gb=table.kwh_per_gb,
        low=low if table.low is None else table.low,
        high=high if table.high is None else table.high,
        source=table.source or ("stated" if stated else PUBLISHED_BY),
        price_per_gb=table.price_per_gb,
    )


def _ways(settings: Settings) -> tuple[tuple[str, str, Link], ...]:
    """The ways that differ from the link in anything; what they leave out is the link's."""
    keys = ("gbit_per_s", "kwh_per_gb", "price_per_gb")
    ways = []
    for table in settings.transfers:
        own = {key: getattr(table, key) for key in keys if getattr(table, key) is not None}
        if own:
            whole = settings.link.model_dump(exclude_unset=True) | own
            whole |= {"low": None, "high": None, "source": "stated"} if table.kwh_per_gb is not None else {}
            ways.append((table.from_, table.to, _link(LinkTable.model_validate(whole))))
    return tuple(ways)


_KEYS = tuple(field.alias or name for name, field in Settings.model_fields.items())
_TABLES = frozenset(
    {"source", "region", "link", "shares", "budget", "node", "policy", "project", "transfer"}
    | {"notify", "server", "limits", "price", "freeze"}
)
_SCALARS = tuple(key for key in _KEYS if key not in _TABLES)
_LISTS = ("env_deny",)
_OPTIONAL = ("default_slack", "tdp_w", "credentials", "max_postponed")
_KNOWN: dict[str, tuple[str, ...]] = {
    "": _KEYS,
    "source": ("type", "path", "hindsight"),
    "region": tuple(RegionTable.model_fields),
    "region.zones": tuple(ZonesTable.model_fields),
    "region.pools": tuple(PoolTable.model_fields),
    "region.closed": tuple(ClosedTable.model_fields),
    "region.embodied": tuple(EmbodiedTable.model_fields),
    "region.host_limits": tuple(HostLimitsTable.model_fields),
    "policy": tuple(PolicyTable.model_fields),
    "project.*": tuple(ProjectTable.model_fields),
    "transfer": tuple(field.alias or name for name, field in TransferTable.model_fields.items()),
    "price": tuple(PriceTable.model_fields),
    "price.bands": tuple(BandTable.model_fields),
    "freeze": tuple(FreezeTable.model_fields),
    "link": tuple(LinkTable.model_fields),
    "node": tuple(NodeTable.model_fields),
    "budget": tuple(BudgetTable.model_fields),
    "server": tuple(ServerTable.model_fields),
    "limits": tuple(LimitsTable.model_fields),
    "notify": tuple(NotifyTable.model_fields),
    "limits.*": tuple(LimitTable.model_fields),
}
