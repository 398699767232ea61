"""Writes the marginal profiles of the package: `python forecasting/scripts/modelled_marginals.py DATA`.

DATA is a folder with `production_mix_hourly_42zones_2019_2022.parquet`.
"""

import csv
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tidewatt.forecasting.modelled_marginal import MarginalTable, estimate
from tidewatt.forecasting.zones import zone as named

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from scripts.profile_tables import clean  # noqa: E402  # scripts are no part of the package

OUT = HERE.parent / "tidewatt" / "forecasting" / "data"
MIX = "production_mix_hourly_42zones_2019_2022.parquet"
FUELS = {"nat_gas": "gas", "unknown": "other"}  # other columns have our names already
HEADER = """\
# Usual marginal intensity of grid zones, modelled: gCO2eq/kWh, lifecycle, of what the zone generates, by
# season (0 December to February) and hour of local time; written by forecasting/scripts/modelled_marginals.py
# by the method of modelled_marginal.py: which plants followed the changes of what was dispatched. No
# observation. Computed from hourly generation by source, 2019 to 2022, as prepared by CarbonCast (Apache-2.0)
# from EIA-930 of the U.S. Energy Information Administration (public domain; zones US-*) and from the ENTSO-E
# Transparency Platform (free re-use with attribution; European zones). `years` are those that the zone's data
# cover.
"""


@dataclass(frozen=True, slots=True)
class Mix:
    """A zone's hourly mix, MW by fuel from `start_ms` on; NaN in holes and where the feed cannot be true."""

    zone: str
    timezone: str
    start_ms: int
    mw: Mapping[str, NDArray[np.float64]]

    def part(self, first: int, last: int | None = None) -> "Mix":
        """Hours `[first, last)`."""
        mw = {fuel: power[first:last] for fuel, power in self.mw.items()}
        return Mix(self.zone, self.timezone, self.start_ms + first * 3_600_000, mw)

    def hours_to(self, moment: pd.Timestamp) -> int:
        """Hours that lie before a moment."""
        return int((moment.timestamp() * 1000 - self.start_ms) // 3_600_000)

    def table(self) -> MarginalTable | None:
        """What it tells."""
        return estimate(self.mw, self.start_ms, self.timezone)


def mixes(data: Path) -> Iterator[Mix]:
    """The mix of each zone of the file."""
    frame = pd.read_parquet(data / MIX)
    for name, rows in frame.groupby("zone", observed=True):
        place = named(str(name) if str(name) != "SC" else "eia:SC")
        good = clean(rows).index
        hours = rows.set_index("ts").sort_index().asfreq("h")
        powers = hours.filter(like="mw_").astype("float64")
        powers[~hours.index.isin(good)] = np.nan
        mw: dict[str, NDArray[np.float64]] = {}
        for column in powers.columns:
            fuel = FUELS.get(column[3:], column[3:])
            values = powers[column].to_numpy(np.float64)
            if not np.isnan(values).all():
                mw[fuel] = np.nansum([mw[fuel], values], axis=0) if fuel in mw else values
        yield Mix(place.key, place.timezone, int(hours.index[0].timestamp() * 1000), mw)


def write(data: Path, out: Path = OUT) -> None:
    """Writes `marginals.csv`."""
    with (out / "marginals.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(HEADER)
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["zone", "years", "season", *(f"h{hour:02}" for hour in range(24))])
        for mix in sorted(mixes(data), key=lambda each: each.zone):
            table = mix.table()
            if table is not None:
                for season in range(4):
                    values = (f"{value:.0f}" for value in table.usual[season])
                    rows.writerow([mix.zone, _years(mix), season, *values])


def _years(mix: Mix) -> str:
    """First and last year that the zone's data cover; the files begin and end some hours into the next."""
    week_ms, hours = 7 * 86_400_000, len(next(iter(mix.mw.values())))
    ends = (mix.start_ms + week_ms, mix.start_ms + hours * 3_600_000 - week_ms)
    first, last = (pd.Timestamp(end, unit="ms").year for end in ends)
    return f"{first}-{last}"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
