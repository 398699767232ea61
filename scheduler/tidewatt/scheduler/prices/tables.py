"""The tables of prices and of freezes in the configuration."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from tidewatt.scheduler.account_tables import Table
from tidewatt.scheduler.policies.opening import Hours, parse_hours
from tidewatt.scheduler.setting_types import Moment, ZoneKey, hours_texts, time_zone

Price = Annotated[float, Field(ge=-100_000, le=100_000, allow_inf_nan=False, strict=False)]  # may be negative
Texts = Annotated[tuple[str, ...], BeforeValidator(hours_texts), Field(strict=False)]
TimeZone = Annotated[str, BeforeValidator(time_zone)]


class BandTable(Table):
    """Hours with a price of their own: `{ hours = "Mon-Fri 07:00-20:00", price_per_kwh = 0.34 }`."""

    hours: Texts
    price_per_kwh: Price

    @property
    def times(self) -> tuple[Hours, ...]:
        """The hours, parsed."""
        return tuple(parse_hours(text) for text in self.hours)


class PriceTable(Table):
    """What a kWh costs in a region, or in all regions of a zone, `[[price]]`, in `currency` (EUR, USD, ...).

    Either `price_per_kwh`, which holds whenever none of the `bands` does (the first that fits, by the clock
    of `time_zone`), or a `file` of recorded prices, of which the lines of `zone` are taken.
    """

    region: str = ""
    zone: ZoneKey = ""
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    price_per_kwh: Price | None = None
    bands: Annotated[tuple[BandTable, ...], Field(strict=False)] = ()
    time_zone: TimeZone = ""
    file: Annotated[Path | None, Field(strict=False)] = None

    @model_validator(mode="after")
    def _is_of_somewhere(self) -> "PriceTable":
        if not self.region and not self.zone:
            raise ValueError("says neither of which region nor of which zone it is: add region or zone")
        if (self.file is None) == (self.price_per_kwh is None):
            raise ValueError("needs one of price_per_kwh and file: keep or add one")
        if self.file is not None and self.bands:
            raise ValueError("has both a file and bands: keep one of them")
        if bool(self.bands) != bool(self.time_zone):
            raise ValueError('needs bands and time_zone together: time_zone = "Europe/Berlin"')
        return self


class FreezeTable(Table):
    """A time in which nothing starts, or nothing is sent to another region than its own, `[[freeze]]`.

    From `start` to `end`, or in recurring `hours` by the clock of `time_zone`; in its `regions`, or in all.
    What runs goes on.
    """

    what: Literal["starts", "moves"]
    regions: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)] = ()
    start: Moment | None = None
    end: Moment | None = None
    hours: Texts = ()
    time_zone: TimeZone = ""
    because: Annotated[str, Field(min_length=1, max_length=300)]

    @property
    def times(self) -> tuple[Hours, ...]:
        """The recurring hours, parsed."""
        return tuple(parse_hours(text) for text in self.hours)

    @model_validator(mode="after")
    def _says_when(self) -> "FreezeTable":
        once = self.start is not None and self.end is not None
        if (self.start is None) != (self.end is None) or once == bool(self.hours):
            raise ValueError("says when by start and end together, or by hours: give one of both")
        if bool(self.hours) != bool(self.time_zone):
            raise ValueError('needs hours and time_zone together: time_zone = "Europe/Berlin"')
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError(f"lasts until {self.end.isoformat()}, which is not after its start")
        return self
