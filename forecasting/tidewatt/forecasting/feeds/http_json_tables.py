"""What the tables of a signal of one's own say, each option checked with one clear sentence."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.address import PLACE, Address, address
from tidewatt.forecasting.feeds.json_path import Path, path
from tidewatt.forecasting.feeds.options import Options
from tidewatt.forecasting.zones import keyed

GRAMS_PER_KWH = {"g/kWh": 1.0, "kg/MWh": 1.0, "lb/MWh": 0.45359237}
CLOCKS: Mapping[str, int] = {"unix_s": 1000, "unix_ms": 1}
QUANTILES = ("p10", "p90")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.1
CONFIDENTIAL = ("authorization", "proxy-authorization", "cookie")
CONFIDENTIAL_PARTS = ("key", "token", "secret", "password")
NAMED = '{ secret = "token", prefix = "Bearer " }'
SERVICES = (
    "watttime",
    "electricitymaps",
    "gbcarbonintensity",
    "greatbritain",
    "eia",
    "entsoe",
    "openmeteo",
)
"""What the built-in services are called, letters alone: their data and credentials go by these names."""


@dataclass(frozen=True, slots=True)
class Word:
    """A header or a parameter to send: its text, or the credential of that name behind a prefix."""

    name: str
    text: str = ""
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """Where and how one kind of reply tells what; `step_ms` is the length of its steps."""

    address: Address
    time: Path
    value: Path
    clock: str  # "iso8601", "unix_s" or "unix_ms"
    ends: bool  # times name the end of their step
    step_ms: int
    factor: float
    unit_at: Path | None
    unit_is: str
    every: timedelta
    issued_at: Path | None = None
    quantiles: tuple[Path, ...] = ()


def called(config: Mapping[str, object]) -> str:
    """The name of the source, which its credentials go by."""
    name = config.get("name")
    if not isinstance(name, str) or not name or not name.replace("-", "").replace("_", "").isalnum():
        raise ForecastError(
            'a source of type "http" needs a name of letters, digits, - and _, as name = "in-house"'
        )
    if name.lower().replace("-", "").replace("_", "").startswith(SERVICES):
        raise ForecastError(
            f'a source of type "http" must not be called {name}, as a service is that Tidewatt knows: choose '
            'a name of its own, as name = "in-house"'
        )
    return name


def shape_of(table: object, source: str, which: str) -> Shape | None:
    """The shape that a table describes, checked."""
    if table is None:
        return None
    where = f"{source}: {which}"
    if not isinstance(table, Mapping):
        raise ForecastError(f"{which} of the source {source} must be a table [source.{which}]")
    options = Options(where, table)
    past = which == "observations"
    time, value = (path(options.text(name), f"{name} of the source {where}") for name in ("time", "value"))
    if time.many != value.many:
        raise ForecastError(f"time and value of the source {where} must both lead to lists, or neither")
    unit_at = options.text("unit_at")
    optional = {} if past else {name: options.text(name) for name in ("issued_at", *QUANTILES)}
    bands = [path(optional[name], f"{name} of {where}") for name in QUANTILES if optional.get(name)]
    if len(bands) == 1:
        raise ForecastError(f"the source {where} needs both of p10 and p90, or none")
    issued_at = optional.get("issued_at", "")
    shape = Shape(
        address=address(
            _without_credentials(options.text("url"), f"url of the source {where}"),
            ("zone", "now", *(("start", "end") if past else ())),
            f"url of the source {where}",
        ),
        time=time,
        value=value,
        clock=options.choice("time_format", "iso8601", ["iso8601", *CLOCKS]),
        ends=options.choice("time_is", "start", ["start", "end"]) == "end",
        step_ms=1000 * options.whole("step_s", 0, 60, 86_400),
        factor=GRAMS_PER_KWH[required(options, where, "unit", list(GRAMS_PER_KWH))],
        unit_at=path(unit_at, f"unit_at of {where}") if unit_at else None,
        unit_is=options.text("unit_is"),
        every=timedelta(minutes=options.whole("every_min", 60, 1, 1440)),
        issued_at=path(issued_at, f"issued_at of {where}") if issued_at else None,
        quantiles=tuple(bands),
    )
    options.refuse_others()
    return shape


def required(options: Options, source: str, name: str, choices: list[str]) -> str:
    """One of several words, which must be given."""
    chosen = options.choice(name, choices[0], choices) if options.text(name) else ""
    if not chosen:
        raise ForecastError(f"the source {source} must say its {name}: {' or '.join(choices)}")
    return chosen


def zones_of(told: object, source: str) -> dict[str, str]:
    """The service's name of each zone."""
    if isinstance(told, list | tuple):
        told = {each: each for each in told}
    if not isinstance(told, Mapping) or not told:
        raise ForecastError(
            f'the source {source} needs zones, as zones = ["DE"] or zones = {{DE = "50hertz"}}'
        )
    for key, theirs in told.items():
        if not isinstance(key, str) or keyed(key) is None or not isinstance(theirs, str) or not theirs:
            raise ForecastError(f"the source {source} names a zone that does not exist: {key!r}")
    return dict(told)


def headers_of(told: object, source: str) -> tuple[Word, ...]:
    """The headers to send."""
    words = _words_of(told, source, "headers")
    for each in words:
        if not HEADER.fullmatch(each.name):
            raise ForecastError(f"the source {source} names a header as none can be named: {each.name!r}")
    return words


def params_of(told: object, source: str) -> tuple[Word, ...]:
    """The parameters to send with every address, behind its own."""
    return _words_of(told, source, "params")


def _words_of(told: object, source: str, table: str) -> tuple[Word, ...]:
    if not isinstance(told, Mapping):
        raise ForecastError(f"{table} of the source {source} must be a table of names and texts")
    what = "header" if table == "headers" else "parameter"
    return tuple(
        _word(str(name), value, f"the {what} {name!r} of the source {source}") for name, value in told.items()
    )


def _word(name: str, value: object, what: str) -> Word:
    match value:
        case str() as text if _plain(text) and _plain(name):
            if _confidential(name):
                raise ForecastError(f"{what} holds a credential, which must not stand here: write {NAMED}")
            return Word(name, text)
        case {"secret": str() as secret, **others} if secret and _plain(name) and _prefixed(others):
            return Word(name, str(others.get("prefix", "")), secret)
    raise ForecastError(f"{what} must be a text on one line or a credential, as {NAMED}")


def _prefixed(others: Mapping[object, object]) -> bool:
    """Whether these options beside `secret` are a prefix that can be sent, or nothing."""
    return all(key == "prefix" and isinstance(each, str) and _plain(each) for key, each in others.items())


def _without_credentials(url: str, what: str) -> str:
    """An address, refused where its query holds a credential in plain sight."""
    for name, value in parse_qsl(url.partition("?")[2]):
        if _confidential(name) and not PLACE.fullmatch(value):
            raise ForecastError(
                f"{what} holds a credential, which must not stand there: take {name!r} out of it and write "
                f'[source.params], then {name} = {{ secret = "token" }}'
            )
    return url


def _confidential(name: str) -> bool:
    """Whether a header or parameter of this name carries a credential."""
    lower = name.lower()
    return lower in CONFIDENTIAL or any(part in lower for part in CONFIDENTIAL_PARTS)


def _plain(text: str) -> bool:
    return text.isascii() and text.isprintable()
