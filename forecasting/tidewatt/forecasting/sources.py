"""The tables of sources, and what a configuration makes of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.provider import Provider
from tidewatt.forecasting.recorded import FileProvider

if TYPE_CHECKING:
    from tidewatt.forecasting.archive import Archive
    from tidewatt.forecasting.feeds.feed import Feed
    from tidewatt.forecasting.feeds.secret import Secret

Config = Mapping[str, object]
Secrets = Callable[[str, str], "Secret | None"]
"""A credential by feed and name, such as `("watttime", "user")`; None where there is none."""
Factory = Callable[[Config], Provider]
FeedFactory = Callable[[Config, Secrets], "Feed"]
PROVIDER_POINTS = "tidewatt.providers"
FEED_POINTS = "tidewatt.feeds"


def _file(config: Config) -> Provider:
    path = config.get("path")
    if not isinstance(path, str | Path) or not str(path):
        raise ForecastError('a source of type "file" needs a path, for example path = "grid.csv"')
    hindsight, lenient = (_flag(config, name) for name in ("hindsight", "lenient"))
    _refuse_others(config, ("path", "hindsight", "lenient"))
    return FileProvider(Path(path).expanduser(), hindsight, lenient=lenient)


def _service(module: str, name: str, credentials: tuple[str, ...] = ()) -> FeedFactory:
    """Makes the feed of a module that is imported only where it is configured."""

    def made(config: Config, secrets: Secrets) -> "Feed":
        from tidewatt.forecasting.feeds.transport import Transport

        home = import_module(f"tidewatt.forecasting.feeds.{module}")
        found = {key: secret for key in credentials if (secret := secrets(home.NAME, key))}
        limits = {
            option: getattr(home, constant)
            for option, constant in (("quiet_s", "QUIET_S"), ("largest_bytes", "LARGEST_BYTES"))
            if hasattr(home, constant)
        }
        transport = Transport(home.NAME, per_minute=home.PER_MINUTE, **limits)
        feed: Feed = getattr(home, name)(config, found, transport)
        return feed

    return made


def _http(config: Config, secrets: Secrets) -> "Feed":
    from tidewatt.forecasting.feeds.http_json import made

    return made(config, secrets)


PROVIDERS: dict[str, Factory] = {"file": _file}
"""Providers that answer by themselves, by `type`; entry points of `tidewatt.providers` extend the table."""

FEEDS: dict[str, FeedFactory] = {
    "watttime": _service("watttime", "WattTime", ("user", "password")),
    "electricitymaps": _service("electricitymaps", "ElectricityMaps", ("key",)),
    "great_britain": _service("great_britain", "GreatBritain"),
    "eia": _service("eia", "Eia", ("key",)),
    "entsoe": _service("entsoe", "Entsoe", ("key",)),
    "open_meteo": _service("open_meteo", "OpenMeteo", ("key",)),
    "http": _http,
}
"""Services on the network, by `type`; entry points of `tidewatt.feeds` extend the table."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Configured sources: providers in the operator's order, and the feeds behind some of them."""

    providers: tuple[Provider, ...]
    feeds: tuple["Feed", ...]


def sources(configs: Sequence[Config], secrets: Secrets, archive: "Archive") -> Sources:
    """What `[[source]]` tables make, such as `{"type": "file", "path": "grid.csv"}`.

    What feeds tell is answered from the archive.

    Raises:
        ForecastError: a type or an option is unknown, or a provider cannot be made.
    """
    providers: list[Provider] = []
    feeds: list[Feed] = []
    for config in configs:
        made = feed(config, secrets)
        if made is None:
            providers.append(provider(config))
            continue
        from tidewatt.forecasting.archived import Archived

        if made.name in {each.name for each in feeds}:
            raise ForecastError(f"{made.name} is configured twice: keep one [[source]] of it")
        feeds.append(made)
        providers.append(Archived(made, archive))
    return Sources(tuple(providers), tuple(feeds))


def feed(config: Config, secrets: Secrets) -> "Feed | None":
    """The feed of a `[[source]]` table; None where its type is a provider that answers by itself."""
    name = config.get("type")
    factory: FeedFactory | None = FEEDS.get(name) if isinstance(name, str) else None
    if factory is None and name not in PROVIDERS:
        factory = _added(FEED_POINTS, name)
    return None if factory is None else factory(config, secrets)


def provider(config: Config) -> Provider:
    """The provider of a `[[source]]` table that needs no service.

    Raises:
        ForecastError: the type or an option is unknown, or the provider cannot be made.
    """
    name = config.get("type")
    factory: Factory | None = PROVIDERS.get(name) if isinstance(name, str) else None
    factory = factory or _added(PROVIDER_POINTS, name)
    if factory is None:
        points = (*entry_points(group=PROVIDER_POINTS), *entry_points(group=FEED_POINTS))
        known = ", ".join(sorted({*PROVIDERS, *FEEDS, *(point.name for point in points)}))
        raise ForecastError(f"unknown type of source {name!r}; known are: {known}")
    return factory(config)


def _added(group: str, name: object) -> Any:
    """What an installed package adds to a table under that name; None where none does."""
    found = [point for point in entry_points(group=group) if point.name == name]
    return found[0].load() if found else None


def _flag(config: Config, name: str) -> bool:
    value = config.get(name, False)
    if not isinstance(value, bool):
        raise ForecastError(f"{name} of a source is true or false, not {value!r}")
    return value


def _refuse_others(config: Config, known: Sequence[str]) -> None:
    for name in config:
        if name not in (*known, "type"):
            raise ForecastError(f"a source has no option {name!r}; known are: {', '.join(known)}")
