"""The usual marginal intensity of a zone, modelled from its past generation mix: no key, no network."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.modelled_marginal import HOUR_MS, SEASONS, usual
from tidewatt.forecasting.series import Intensities, Outlook, Rung, Segment, Steps, instant, milliseconds
from tidewatt.forecasting.zones import keyed

TABLE = Path(__file__).parent / "data" / "marginals.csv"
KIND = Kind(Signal.MARGINAL, Basis.LIFECYCLE, Boundary.PRODUCTION, "CO2eq")


@dataclass(frozen=True, slots=True)
class MarginalProfile:
    """Usual marginal intensity by season and local hour: (4, 24) gCO2/kWh. A model: it never settles."""

    zone: str
    label: str  # "modelled marginal profile of DE, 2019-2022, not an observation"
    timezone: str
    usual: Intensities

    def outlook(self, now: datetime, until: datetime) -> Outlook:
        """The usual marginal intensity over `[now, until)`, in hours, without quantiles."""
        now_ms, until_ms = milliseconds(now), milliseconds(until)
        if until_ms <= now_ms:
            raise ForecastError(f"the marginal profile was asked for nothing: {now} to {until}")
        start = np.arange(now_ms // HOUR_MS * HOUR_MS, until_ms, HOUR_MS)
        end = np.minimum(start + HOUR_MS, until_ms)
        steps = Steps(np.maximum(start, now_ms), end, usual(self.usual, start, self.timezone))
        segment = Segment(instant(now_ms), instant(until_ms), Rung.PROFILE, self.label)
        return Outlook(self.zone, KIND, steps, (segment,))


def marginal_profile(zone_key: str) -> MarginalProfile | None:
    """The profile of a zone; None where no open mix of it is known: a larger zone has other plants."""
    zone = keyed(zone_key)
    rows = None if zone is None else _rows().get(zone.key)
    if zone is None or rows is None:
        return None
    table = np.array([row[3:] for row in rows], float).reshape(SEASONS, 24)
    label = f"modelled marginal profile of {zone.key}, {rows[0][1]}, not an observation"
    return MarginalProfile(zone.key, label, zone.timezone, table)


@cache
def _rows() -> dict[str, list[list[str]]]:
    """Rows of the table by zone, in the order of seasons."""
    rows: dict[str, list[list[str]]] = {}
    for line in TABLE.read_text("utf-8").splitlines():
        if not line.startswith(("#", "zone,")):
            cells = line.split(",")
            rows.setdefault(cells[0], []).append(cells)
    return rows
