"""What can be wrong with the body of a reply: one way of changing it for all services that speak JSON.

A body is seen as rows, each with its time and its values, whether the service sends a list of objects or
columns side by side.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.grid.server import Alteration, Response, altered

Row = dict[str, Any]
Body = dict[str, Any]
Change = Callable[[list[Row], "Dialect"], list[Row]]
FEW = 31  # so many points the service of Great Britain once sent in place of 97


@dataclass(frozen=True)
class Dialect:
    """Where in a service's bodies the rows are, and how it writes times."""

    lists: tuple[str, ...] = ()  # keys under any of which a list of rows may stand
    columns: tuple[tuple[str, ...], ...] = ()  # paths to objects of columns
    inside: tuple[str, ...] = ()  # the path to the part of the body that has all this
    times: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    nested: str = ""  # the key of a row under which its values stand
    form: str = ""  # of times; "" for whole Unix seconds
    unzoned: str = ""  # the same without saying the zone

    def parsed(self, told: Any) -> datetime:
        """The time that the service wrote."""
        if not isinstance(told, str):
            return datetime.fromtimestamp(told, UTC)
        return datetime.fromisoformat(told).replace(tzinfo=UTC)

    def holder(self, row: Row) -> Row:
        """The part of a row that holds its values."""
        inner = row.get(self.nested, row)
        return inner if isinstance(inner, dict) else row


DIALECTS: Mapping[str, Dialect] = {
    "watttime": Dialect(
        lists=("data",),
        times=("point_time",),
        values=("value",),
        form="%Y-%m-%dT%H:%M:%S+00:00",
        unzoned="%Y-%m-%dT%H:%M:%S",
    ),
    "electricitymaps": Dialect(
        lists=("forecast", "history", "data"),
        times=("datetime",),
        values=("carbonIntensity",),
        form="%Y-%m-%dT%H:%M:%S.000Z",
        unzoned="%Y-%m-%dT%H:%M:%S",
    ),
    "great_britain": Dialect(
        lists=("data",),
        times=("from", "to"),
        values=("forecast", "actual"),
        nested="intensity",
        form="%Y-%m-%dT%H:%MZ",
        unzoned="%Y-%m-%dT%H:%M",
    ),
    "eia": Dialect(
        lists=("data",),
        inside=("response",),
        times=("period",),
        values=("value",),
        form="%Y-%m-%dT%H",
        unzoned="%Y-%m-%dT%H-06:00",  # as its local hours are written
    ),
    "open_meteo": Dialect(
        columns=(("hourly",),),
        times=("time",),
        values=(
            "temperature_2m",
            "dew_point_2m",
            "wind_speed_10m",
            "shortwave_radiation",
            "precipitation",
        ),
        unzoned="%Y-%m-%dT%H:%M",
    ),
    "http": Dialect(
        lists=("data",),
        columns=(("hours",),),
        times=("time", "point_time"),
        values=("mean", "low", "high", "actual"),
        nested="intensity",
        form="%Y-%m-%dT%H:%M:%SZ",
        unzoned="%Y-%m-%dT%H:%M:%S",
    ),
}


def rows(dialect: Dialect, change: Change) -> Alteration:
    """An alteration that changes the rows of every body that has any."""

    def alter(body: Any) -> Any:
        for each in body if isinstance(body, list) else [body]:
            _change(each, dialect, change)
        return body

    return altered(alter)


def _change(body: Body, dialect: Dialect, change: Change) -> None:
    part = body
    for key in dialect.inside:
        part = part[key]
    for key in dialect.lists:
        if isinstance(part.get(key), list):
            part[key] = change(part[key], dialect)
    for path in dialect.columns:
        table = part.get(path[0])
        if isinstance(table, dict):
            names = list(table)
            single = [dict(zip(names, each, strict=True)) for each in zip(*table.values(), strict=True)]
            after = change(single, dialect)
            part[path[0]] = {name: [row[name] for row in after] for name in names}


def without_zone(given: list[Row], dialect: Dialect) -> list[Row]:
    """Times that do not say their zone."""
    return _timed(given, dialect, lambda at, _: at.strftime(dialect.unzoned))


def moved(by: timedelta) -> Change:
    """Times that are all earlier or later."""
    return lambda given, dialect: _timed(given, dialect, lambda at, told: _like(told, at + by, dialect))


def valued(change: Callable[[float], float | None], few: bool = False) -> Change:
    """Other values, of all rows or of a few in the middle."""

    def of(given: list[Row], dialect: Dialect) -> list[Row]:
        middle = range(len(given) // 2, len(given) // 2 + 3) if few else range(len(given))
        for at, row in enumerate(given):
            inner = dialect.holder(row)
            for name in dialect.values:
                if at in middle and inner.get(name) is not None:
                    inner[name] = change(float(inner[name]))
        return given

    return of


def none(given: list[Row], dialect: Dialect) -> list[Row]:
    """No rows."""
    return []


def shortened(given: list[Row], dialect: Dialect) -> list[Row]:
    """The first few rows alone."""
    return given[:FEW]


def doubled(given: list[Row], dialect: Dialect) -> list[Row]:
    """Rows in no order, some of them twice."""
    return [*given[1::2], *given[::2], *given[:3]]


def thinned(given: list[Row], dialect: Dialect) -> list[Row]:
    """Every other row."""
    return given[::2]


def crowded(given: list[Row], dialect: Dialect) -> list[Row]:
    """Rows a quarter of an hour after each other."""
    first = None
    for at, row in enumerate(given):
        for key in dialect.times:
            if key in row:
                first = first or dialect.parsed(row[key])
                row[key] = _like(row[key], first + at * timedelta(minutes=15), dialect)
    return given


def fields(**changed: object) -> Alteration:
    """Other values of these fields, wherever in the body they stand."""

    def walk(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: changed[key] if key in changed else walk(value) for key, value in part.items()}
        return [walk(each) for each in part] if isinstance(part, list) else part

    return altered(walk)


def wrapped(dialect: Dialect) -> Alteration:
    """Objects where lists were."""

    def alter(body: Any) -> Any:
        if isinstance(body, list):
            return {"places": body}
        part = body
        for key in dialect.inside:
            part = part[key]
        for key in (*dialect.lists, *(path[0] for path in dialect.columns)):
            if key in part:
                part[key] = {"items": part[key]} if isinstance(part[key], list) else [part[key]]
        return body

    return altered(alter)


def replaced(pattern: str, text: str) -> Alteration:
    """Another text in a document."""

    def alter(response: Response) -> Response:
        content = re.sub(pattern, text, response.content().decode(), flags=re.DOTALL)
        return Response(response.status, content.encode(), response.headers)

    return alter


def _timed(given: list[Row], dialect: Dialect, write: Callable[[datetime, object], object]) -> list[Row]:
    for row in given:
        for key in dialect.times:
            if key in row:
                row[key] = write(dialect.parsed(row[key]), row[key])
    return given


def _like(before: object, at: datetime, dialect: Dialect) -> object:
    """A time, written the way another one is."""
    return at.strftime(dialect.form) if isinstance(before, str) else int(at.timestamp())
