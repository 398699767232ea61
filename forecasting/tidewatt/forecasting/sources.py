"""The table of providers, and chains made of a configuration."""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path

from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.provider import Provider
from tidewatt.forecasting.recorded import FileProvider

Factory = Callable[[Mapping[str, object]], Provider]
ENTRY_POINTS = "tidewatt.providers"


def _file(config: Mapping[str, object]) -> Provider:
    path = config.get("path")
    if not isinstance(path, str | Path) or not str(path):
        raise ForecastError('a source of type "file" needs a path, for example path = "grid.csv"')
    hindsight, lenient = (_flag(config, name) for name in ("hindsight", "lenient"))
    _refuse_others(config, ("path", "hindsight", "lenient"))
    return FileProvider(Path(path).expanduser(), hindsight, lenient=lenient)


PROVIDERS: dict[str, Factory] = {"file": _file}
"""Factory by the `type` of a source in the configuration; entry points of `tidewatt.providers` extend it."""


def provider(config: Mapping[str, object]) -> Provider:
    """The provider of one `[[source]]` table, such as `{"type": "file", "path": "grid.csv"}`.

    Raises:
        ForecastError: the type or an option is unknown, or the provider cannot be made.
    """
    name = config.get("type")
    factory = PROVIDERS.get(name) if isinstance(name, str) else None
    if factory is None:
        found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
        if name not in found:
            known = ", ".join(sorted({*PROVIDERS, *found}))
            raise ForecastError(f"unknown type of source {name!r}; known are: {known}")
        loaded: Factory = found[str(name)].load()
        factory = loaded
    return factory(config)


def chain(configs: Sequence[Mapping[str, object]], hindsight: bool = False) -> Chain:
    """The chain of all `[[source]]` tables, in order."""
    return Chain([provider(config) for config in configs], hindsight)


def _flag(config: Mapping[str, object], name: str) -> bool:
    value = config.get(name, False)
    if not isinstance(value, bool):
        raise ForecastError(f"{name} of a source is true or false, not {value!r}")
    return value


def _refuse_others(config: Mapping[str, object], known: Sequence[str]) -> None:
    for name in config:
        if name not in (*known, "type", "name"):
            raise ForecastError(f"a source has no option {name!r}; known are: {', '.join(known)}")
