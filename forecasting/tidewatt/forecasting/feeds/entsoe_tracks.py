"""Series of ENTSO-E's documents turned into power by fuel."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tidewatt.forecasting.feeds.entsoe_documents import Document, Track
from tidewatt.forecasting.feeds.feed import Observed
from tidewatt.forecasting.feeds.generation import aligned, by_fuel, finished, observed, with_nights
from tidewatt.forecasting.feeds.points import Point, assembled
from tidewatt.forecasting.mix import WEATHER_DRIVEN
from tidewatt.forecasting.series import Steps, stepped
from tidewatt.forecasting.zones import Zone

FUELS: Mapping[str, str] = {
    "B01": "biomass",
    "B02": "coal",  # lignite
    "B03": "coal",  # gas made of coal
    "B04": "gas",
    "B05": "coal",
    "B06": "oil",
    "B07": "coal",  # oil shale emits about as much
    "B08": "coal",  # peat as well
    "B09": "geothermal",
    "B10": "storage",
    "B11": "hydro",
    "B12": "hydro",
    "B13": "hydro",  # marine
    "B14": "nuclear",
    "B15": "biomass",  # other renewable
    "B16": "solar",
    "B17": "biomass",  # waste
    "B18": "wind",
    "B19": "wind",
    "B20": "other",
    "B25": "storage",
}
"""Our fuel of each of ENTSO-E's plant types (psrType)."""
SOLAR = [part for part, fuel in FUELS.items() if fuel == "solar"]
TAKEN = " taken"  # ends the name of a part that is consumption


def mix(told: Document, place: Zone) -> tuple[tuple[Observed, ...], tuple[str, ...]]:
    """Power of each fuel and the intensity of the mix, without newest steps that are not whole yet.

    What pumps and batteries take is negative storage; what other plants take is passed over.
    """
    tracks = [track for track in told.tracks if not track.taken or FUELS.get(track.part) == "storage"]
    parts, notes = _parts(tracks)
    unknown = [part for part in parts if part.removesuffix(TAKEN) not in FUELS]
    strange = tuple(
        f"ENTSO-E's plant type {part!r} is not known here and counts as other" for part in unknown
    )
    fuels = {part: FUELS.get(part.removesuffix(TAKEN), "other") for part in parts}
    storage, solar = (
        [part for part, fuel in fuels.items() if fuel == which] for which in ("storage", "solar")
    )
    whole, left_out = finished(with_nights(aligned(parts), solar, place), storage)
    remarks = tuple(f"ENTSO-E: {note}" for note in left_out)
    return observed(by_fuel(whole, fuels)), (*notes, *strange, *remarks)


def driven(newest_first: Sequence[Document], place: Zone) -> tuple[dict[str, Steps], tuple[str, ...]]:
    """Power ahead of wind and solar from several forecasts; at each step the newest that has one counts."""
    layers: dict[str, list[Steps]] = {}
    remarks: list[str] = []
    for each in newest_first:
        parts, notes = _parts(track for track in each.tracks if FUELS.get(track.part) in WEATHER_DRIVEN)
        remarks += notes
        for part, steps in parts.items():
            layers.setdefault(part, []).append(steps)
    whole = aligned({part: _overlaid(steps) for part, steps in layers.items()})
    told = by_fuel(with_nights(whole, SOLAR, place), FUELS)
    known = {fuel: ~np.isnan(power) for fuel, power in told.mw.items()}
    return {
        fuel: stepped(
            told.start_ms[known[fuel]], told.start_ms[known[fuel]] + told.step_ms, power[known[fuel]]
        )
        for fuel, power in told.mw.items()
    }, tuple(remarks)


def total(told: Document, what: str) -> tuple[Steps, tuple[str, ...]]:
    """The one series of a document of totals; where it has one of what is taken beside it, that is left."""
    tracks = [track for track in told.tracks if not track.taken] or told.tracks
    return assembled((point for track in tracks for point in track.points), what)


def _parts(tracks: Iterable[Track]) -> tuple[dict[str, Steps], tuple[str, ...]]:
    """Steps of each plant type; what is taken is negative, under a name of its own."""
    points: dict[str, list[Point]] = {}
    for track in tracks:
        name, sign = (track.part + TAKEN, -1.0) if track.taken else (track.part, 1.0)
        points.setdefault(name, []).extend(_signed(point, sign) for point in track.points)
    parts: dict[str, Steps] = {}
    notes: list[str] = []
    for name, of_part in points.items():
        parts[name], repairs = assembled(of_part, f"ENTSO-E's {name}")
        notes += repairs
    return parts, tuple(notes)


def _signed(point: Point, sign: float) -> Point:
    return Point(point.start_ms, point.end_ms, None if point.value is None else sign * point.value)


def _overlaid(newest_first: Sequence[Steps]) -> Steps:
    """At each step the first of several that has a value."""
    grid = aligned({str(i): steps for i, steps in enumerate(newest_first)})
    values = np.full(len(grid.start_ms), np.nan)
    for power in grid.mw.values():
        values = np.where(np.isnan(values), power, values)
    known = ~np.isnan(values)
    return stepped(grid.start_ms[known], grid.start_ms[known] + grid.step_ms, values[known])
