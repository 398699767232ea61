"""Which tariff holds in which region, as the configuration states them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.plan import Window
from tidewatt.scheduler.policies.opening import open_windows
from tidewatt.scheduler.prices.recorded import Recorded, recorded
from tidewatt.scheduler.prices.tables import FreezeTable, PriceTable
from tidewatt.scheduler.prices.tariff import BandTariff, FixedTariff, RecordedTariff, Tariff
from tidewatt.scheduler.region import Freeze, Region

if TYPE_CHECKING:
    from tidewatt.scheduler.settings import Settings

Reader = Callable[[Path, str], Recorded]


@dataclass(frozen=True, slots=True)
class Priced:
    """A region's tariff, and in which currency."""

    tariff: Tariff
    currency: str


def priced(region: Region, settings: "Settings", read: Reader = recorded) -> Priced | None:
    """The tariff of a region: of its own `[[price]]`, else of its zone's, else its `price_per_kwh`.

    None where nobody states any.

    Raises:
        BadInput: for a file that cannot be read.
    """
    zones = set(region.zones.values())
    own = next((each for each in settings.prices if each.region == region.name), None)
    table = own or next((each for each in settings.prices if not each.region and each.zone in zones), None)
    if table is not None:
        return Priced(_tariff(table, read), table.currency)
    if not region.price_per_kwh:
        return None
    return Priced(FixedTariff(region.price_per_kwh), settings.currency)


def check(settings: "Settings", read: Reader = recorded) -> None:
    """Reads every file of prices once.

    Raises:
        BadInput: for one that cannot be taken.
    """
    for table in settings.prices:
        _tariff(table, read)


def freezes(
    tables: tuple[FreezeTable, ...], region: str, start: datetime, end: datetime
) -> tuple[Freeze, ...]:
    """The freezes of a region that touch `[start, end)`, in no order."""
    found = []
    for table in tables:
        if table.regions and region not in table.regions:
            continue
        if table.start is not None and table.end is not None:
            windows: tuple[Window, ...] = (Window(table.start, table.end),)
        else:
            windows = open_windows(table.times, ZoneInfo(table.time_zone), start, end)
        found += [
            Freeze(each, table.what == "moves", table.because)
            for each in windows
            if each.start < end and each.end > start
        ]
    return tuple(found)


def _tariff(table: PriceTable, read: Reader) -> Tariff:
    if table.file is not None:
        found = read(table.file, table.zone)
        if found.currency != table.currency:
            raise BadInput(
                f"the prices {table.file} are in {found.currency}, the configuration says {table.currency}"
            )
        return RecordedTariff(found, f"recorded in {table.file.name}")
    assert table.price_per_kwh is not None  # noqa: S101 - one of both is there
    if not table.bands:
        return FixedTariff(table.price_per_kwh)
    bands = tuple((each.times, each.price_per_kwh) for each in table.bands)
    return BandTariff(table.price_per_kwh, bands, ZoneInfo(table.time_zone))
