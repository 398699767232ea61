"""Prices recorded in a CSV file: one line is one step of a constant price."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from math import isfinite
from pathlib import Path

from tidewatt.forecasting.errors import ForecastError
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.region import PriceStep

COLUMNS = ("zone", "start", "step_s", "price_per_kwh", "currency")


@dataclass(frozen=True, slots=True)
class Recorded:
    """The steps of one zone, ascending, and the currency of the whole file."""

    steps: tuple[PriceStep, ...]
    currency: str


def recorded(path: Path, zone: str = "") -> Recorded:
    """The prices of a zone in a file; of its only zone where none is named. A changed file is read again.

    Raises:
        BadInput: for a file that cannot be read or understood, with its line; a zone that is not in it.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise BadInput(f"the prices {path} cannot be read: {error.strerror}") from None
    by_zone, currency = _read(path, status.st_mtime_ns, status.st_size)
    if zone and zone not in by_zone:
        raise BadInput(f"the prices {path} have no zone {zone}: there are {', '.join(by_zone)}")
    if not zone and len(by_zone) > 1:
        raise BadInput(f"the prices {path} are of several zones ({', '.join(by_zone)}): say which with zone")
    return Recorded(by_zone[zone or next(iter(by_zone))], currency)


def parsed(text: str, name: str) -> tuple[dict[str, tuple[PriceStep, ...]], str]:
    """The steps by zone, and the currency; `name` is what messages call the file.

    Raises:
        BadInput: with the line.
    """
    found: dict[str, list[PriceStep]] = {}
    currencies: set[str] = set()
    for number, row in _rows(text, name):
        try:
            zone, step = _step(row)
        except (ValueError, OverflowError, ForecastError) as error:
            raise BadInput(f"{name}, line {number}: {error}") from None
        before = found.setdefault(zone, [])
        if before and step.start_ms < before[-1].end_ms:
            raise BadInput(f"{name}, line {number}: begins before the one above ends: sort them by start")
        before.append(step)
        currencies.add(row["currency"])
        if len(currencies) > 1:
            raise BadInput(f"{name}, line {number}: has {row['currency']}, others another currency: keep one")
    if not found:
        raise BadInput(f"{name} holds no price")
    return {zone: tuple(steps) for zone, steps in found.items()}, currencies.pop()


@lru_cache(maxsize=64)
def _read(path: Path, _changed_ns: int, _size: int) -> tuple[dict[str, tuple[PriceStep, ...]], str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"the prices {path} cannot be read: {error}") from None
    return parsed(text, f"the prices {path}")


def _rows(text: str, name: str) -> Iterator[tuple[int, dict[str, str]]]:
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line and not line.startswith("#")]
    if not lines:
        return
    head = next(csv.reader([lines[0][1]]))
    if sorted(head) != sorted(COLUMNS):
        raise BadInput(f"{name}, line {lines[0][0]}: must name the columns {','.join(COLUMNS)}")
    for number, line in lines[1:]:
        values = next(csv.reader([line]))
        if len(values) != len(head):
            raise BadInput(f"{name}, line {number}: has {len(values)} values, not {len(head)}")
        yield number, dict(zip(head, map(str.strip, values), strict=True))


def _step(row: dict[str, str]) -> tuple[str, PriceStep]:
    from tidewatt.forecasting.zones import zone

    start = datetime.fromisoformat(row["start"])
    if start.tzinfo is None:
        raise ValueError(f"{row['start']} has no time zone: add Z or, for example, +01:00")
    start_ms, length_ms = round(start.timestamp() * 1000), round(float(row["step_s"]) * 1000)
    price = float(row["price_per_kwh"])
    if length_ms <= 0:
        raise ValueError(f"a step of {row['step_s']} s is none: write for example 3600")
    if not isfinite(price) or abs(price) > 100_000:
        raise ValueError(f"{row['price_per_kwh']} is no price of a kWh")
    if len(row["currency"]) != 3 or not row["currency"].isupper():
        raise ValueError(f"{row['currency']!r} is no currency: write for example EUR")
    return zone(row["zone"]).key, PriceStep(start_ms, start_ms + length_ms, price)
