"""What the tables of a signal of one's own say, each option checked with one clear sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.address import Address, address
from tidewatt.forecasting.feeds.json_path import Path, path
from tidewatt.forecasting.feeds.options import Options
from tidewatt.forecasting.zones import keyed

GRAMS_PER_KWH = {"g/kWh": 1.0, "kg/MWh": 1.0, "lb/MWh": 0.45359237}
CLOCKS: Mapping[str, int] = {"unix_s": 1000, "unix_ms": 1}
QUANTILES = ("p10", "p90")


@dataclass(frozen=True, slots=True)
class Header:
    """A header to send: its text, or the credential of that name behind a prefix."""

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
            options.text("url"),
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


def headers_of(told: object, source: str) -> tuple[Header, ...]:
    """The headers to send."""
    if not isinstance(told, Mapping):
        raise ForecastError(f"headers of the source {source} must be a table of names and texts")
    return tuple(_one_header(str(name), value, source) for name, value in told.items())


def _one_header(name: str, value: object, source: str) -> Header:
    match value:
        case str() as text if text.isascii() and text.isprintable():
            return Header(name, text)
        case {"secret": str() as secret, **others} if secret and all(
            key == "prefix" and isinstance(each, str) for key, each in others.items()
        ):
            return Header(name, str(others.get("prefix", "")), secret)
    raise ForecastError(
        f"the header {name} of the source {source} must be a text or a credential, as "
        '{secret = "token", prefix = "Bearer "}'
    )
