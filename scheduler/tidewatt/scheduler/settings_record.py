"""Settings as JSON, for another process of ours: read back, they are the same."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tidewatt.scheduler.setting_types import Place
from tidewatt.scheduler.settings import Settings


def record(settings: Settings) -> dict[str, Any]:
    """What was set, as a configuration file would say it."""
    found: dict[str, Any] = _plain(settings.model_dump(by_alias=True, exclude_unset=True))
    stated = {table.name: table.place for table in settings.regions}
    for region in found.get("region", ()):
        place = stated[region["name"]]
        if isinstance(place, Place):  # a zone that was looked up is named
            region["zone"] = place.zone
        region.pop("place", None)
    return found


def restored(values: Mapping[str, Any]) -> Settings:
    """The settings that were recorded."""
    return Settings.model_validate(dict(values))


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {str(key): _plain(each) for key, each in value.items() if each is not None}
        case list() | tuple():
            return [_plain(each) for each in value]
        case timedelta():
            return (
                f"{value // timedelta(seconds=1)}s" if value % timedelta(seconds=1) == timedelta() else value
            )
        case datetime():
            return value.isoformat()
        case Path():
            return str(value)
        case _:
            return value
