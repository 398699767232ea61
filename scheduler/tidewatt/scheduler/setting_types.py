"""What values of settings look like in the configuration: durations, memory, zones, moments, backends."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.memory import parse_memory
from tidewatt.scheduler.policies.opening import parse_hours
from tidewatt.scheduler.when import parse_duration


@dataclass(frozen=True, slots=True)
class Place:
    """A zone that was looked up, and how."""

    zone: str
    told: str


def _duration(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"needs a unit: write {value}m or {value}h")
    if isinstance(value, str) and re.fullmatch(r"\s*0\s*[smhd]?\s*", value):
        return timedelta()
    return _read(parse_duration, value)


def memory_mb(value: Any) -> Any:
    """Megabytes, of text such as 16G."""
    return _read(parse_memory, value)


def _read(parse: Callable[[str, str], object], value: Any) -> Any:
    """What `parse` makes of text; other types are left to pydantic, which only understands ValueError."""
    try:
        return parse(value, "the value") if isinstance(value, str) else value
    except BadInput as error:
        raise ValueError(str(error)) from None


def gpu_share(value: Any) -> Any:
    """How many GPUs, or a tuple of their UUIDs."""
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


def backend_kind(value: Any) -> Any:
    """A kind of backend that there is."""
    from tidewatt.backends.engines import names  # only here: most files have no such key

    if isinstance(value, str) and value not in names():
        raise ValueError(f"there is no backend {value!r}: there are {', '.join(names())}")
    return value


def hours_texts(value: Any) -> Any:
    """One text of hours or a list of them; anything else is left to pydantic."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise ValueError('must be hours in quotes, such as "Mon-Fri 18:00-08:00", or a list of them')
    for text in texts:
        parse_hours(text)
    return tuple(texts)


def time_zone(value: Any) -> Any:
    """The name of a time zone that there is."""
    if isinstance(value, str) and value:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{value!r} is no time zone: write for example Europe/Berlin") from None
    return value


def zone_at(value: Any) -> Any:
    """The one zone at a place: coordinates `[52.5, 13.4]`, or a name that only one zone has.

    Centres of zones are rough: coordinates count only where every other centre is at least twice as far.
    """
    if isinstance(value, str):
        return _zone_named(value)
    if not isinstance(value, list) or len(value) != 2 or not all(_is_number(each) for each in value):
        raise ValueError(f"must be [latitude, longitude], or the name of a place; it is {value!r}")
    latitude, longitude = value
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise ValueError(f"{value!r} is nowhere on Earth: latitude is -90 to 90, longitude -180 to 180")
    from tidewatt.forecasting.zones import nearest

    (first, near_km), (second, far_km) = nearest(latitude, longitude, 2)
    if far_km < 2 * near_km:
        raise ValueError(
            f"{value!r} may be in {first.key} ({first.name}, centre {near_km:.0f} km away) or in {second.key}"
            f" ({second.name}, {far_km:.0f} km): say which with zone"
        )
    return Place(first.key, f"the nearest centre to {latitude:g}, {longitude:g}: {near_km:.0f} km away")


def _zone_named(text: str) -> "Place":
    from tidewatt.forecasting.zones import find

    found = find(text) if text.strip() else []
    if len(found) != 1:
        some = ", ".join(f"{each.key} ({each.name})" for each in found[:4])
        raise ValueError(
            f"the place {text!r} is in no zone that is known by it: say zone, or [latitude, longitude]"
            if not found
            else f"the place {text!r} may be in {some}: say which with zone"
        )
    return Place(found[0].key, f"the zone of {text}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def misplaced(where: tuple[int | str, ...], sentence: str) -> PydanticCustomError:
    """A mistake that several tables make together, and the place of the last of them."""
    return PydanticCustomError("misplaced", "{sentence}", {"sentence": sentence, "at": where})


Duration = Annotated[timedelta, Field(gt=timedelta()), BeforeValidator(_duration)]
Pause = Annotated[timedelta, Field(ge=timedelta()), BeforeValidator(_duration)]  # may be nothing
ZoneKey = Annotated[str, BeforeValidator(_zone)]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=False)]
Ratio = Annotated[float, Field(gt=0, le=1000, strict=False)]
