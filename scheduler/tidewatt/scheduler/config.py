"""The settings of a daemon, or of a command that works without one.

Flags win over `TIDEWATT_*`, those over the configuration file, that over the defaults. Sources and regions
come from the file alone.
"""

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from tidewatt.scheduler.complaint import complaint
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.paths import Paths, user_config
from tidewatt.scheduler.place import placed
from tidewatt.scheduler.region import Pool, Region
from tidewatt.scheduler.settings import RegionTable, SourceTable, ZonesTable
from tidewatt.scheduler.settings import Settings as Settings

if TYPE_CHECKING:
    from tidewatt.backends.host import Gpu, Host
    from tidewatt.forecasting.archive import Archive
    from tidewatt.forecasting.chain import Chain
    from tidewatt.forecasting.feeds.feed import Feed
    from tidewatt.forecasting.sources import Secrets


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where each key's value came from: `default`, `TIDEWATT_ZONE`, `--zone`, `FILE:3`."""

    settings: Settings
    origins: dict[str, str]
    path: Path | None


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
    return Loaded(settings, {key: origins.get(key, "default") for key in _KEYS}, path)


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
    for source in values.get("source", ()) if isinstance(values.get("source"), list) else ():
        _absolute(source, "path", path)
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
        tables = (region.zones.average, region.zones.marginal) if region.zones else (region.zone,)
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


def regions(settings: Settings, host: "Host") -> tuple[Region, ...]:
    """The regions on this host; without any configured there is one, `local`, with all that the host has.

    Exactly one is home: the one that says so, else `local`, else the first.

    Raises:
        BadInput: for a GPU that the host does not have or that two regions claim.
    """
    tables = settings.regions or (RegionTable(name="local"),)
    home = next(
        (table.name for table in tables if table.home),
        next((table.name for table in tables if table.name == "local"), tables[0].name),
    )
    shares = _gpu_shares(tables, host)
    return tuple(_region(table, shares[table.name], home, settings, host) for table in tables)


def _region(table: RegionTable, gpus: "Sequence[Gpu]", home: str, settings: Settings, host: "Host") -> Region:
    pools: dict[str, list[str]] = {}
    for gpu in gpus:
        pools.setdefault(gpu.name, []).append(gpu.uuid)
    return Region(
        name=table.name,
        backend=table.backend,
        zones=_zones(table, settings.zone),
        pools=tuple(Pool(name, len(uuids)) for name, uuids in pools.items()),
        cpus=host.cpus if table.cpus is None else table.cpus,
        mem_mb=host.mem_mb if table.mem is None else table.mem,
        pue=table.pue,
        pue_source=table.pue_source or ("stated" if "pue" in table.model_fields_set else "assumed"),
        home=table.name == home,
        gpu_uuids=tuple(uuid for uuids in pools.values() for uuid in uuids),
    )


def _zones(table: RegionTable, default: str) -> dict[str, str]:
    if table.zones is not None:
        zones = {"average": table.zones.average, "marginal": table.zones.marginal}
    else:
        zones = dict.fromkeys(("average", "marginal"), table.zone or default)
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
                    f"the region {table.name!r} names the GPU {uuid}, which this host does not have or"
                    f" which another"
                    f" region has: this host's GPUs are {known}"
                )
            shares[table.name].append(free.pop(uuid))
    for table in tables:
        count = len(free) if table.gpus is None and len(tables) == 1 else table.gpus
        if not isinstance(count, int):
            continue
        if count > len(free):
            raise BadInput(
                f"the region {table.name!r} is given {count} GPUs, but this host has {len(host.gpus)}"
                f" and {len(free)} are left for"
                f" it{f' ({host.gpu_note})' if host.gpu_note else ''}: lower gpus"
            )
        shares[table.name] = [free.pop(uuid) for uuid in list(free)[:count]]
    return shares


_KEYS = tuple(field.alias or name for name, field in Settings.model_fields.items())
_SCALARS = tuple(key for key in _KEYS if key not in ("source", "region"))
_LISTS = ("env_deny",)
_OPTIONAL = ("default_slack", "tdp_w", "credentials")
_KNOWN: dict[str, tuple[str, ...]] = {
    "": _KEYS,
    "source": ("type", "path", "hindsight"),
    "region": tuple(RegionTable.model_fields),
    "region.zones": tuple(ZonesTable.model_fields),
}
