"""A recorded file of carbon intensity, read and checked: `docs/formats.md` describes its columns."""

import csv
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Intensities, Milliseconds, Steps, instant
from tidewatt.forecasting.zones import zone

if TYPE_CHECKING:
    import pyarrow as pa

REQUIRED = ("zone", "start", "step_s", "gco2_per_kwh", "signal", "basis", "boundary")
OPTIONAL = ("issued_at", "p10", "p90", "gas")
OBSERVED = np.iinfo(np.int64).min  # "issued at" of an observation
LONGEST_STEP_S = 86_400 * 31
HIGHEST_GCO2_PER_KWH = 2000.0
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Track:
    """All that a file has of one zone and kind.

    Observations in order; forecasts in order of issue, number `i` is `forecasts[bounds[i] : bounds[i + 1]]`.
    """

    observed: Steps
    issued_ms: list[int]
    bounds: list[int]
    forecasts: Steps
    p10: Intensities | None
    p90: Intensities | None


Recording = Mapping[tuple[str, Kind], Track]


@dataclass(slots=True)
class Rows:
    """Rows as they were read, one array a column; `group` numbers `kinds`."""

    path: Path
    what: str  # how rows are counted for people: "line" or "row"
    kinds: dict[tuple[str, ...], int] = field(default_factory=dict)
    group: "array[int]" = field(default_factory=lambda: array("i"))
    number: "array[int]" = field(default_factory=lambda: array("q"))
    start_ms: "array[int]" = field(default_factory=lambda: array("q"))
    end_ms: "array[int]" = field(default_factory=lambda: array("q"))
    issued_ms: "array[int]" = field(default_factory=lambda: array("q"))
    value: "array[float]" = field(default_factory=lambda: array("d"))
    p10: "array[float]" = field(default_factory=lambda: array("d"))
    p90: "array[float]" = field(default_factory=lambda: array("d"))

    def error(self, number: int, message: str) -> ForecastError:
        """The error of one row."""
        return ForecastError(f"{self.path}, {self.what} {number}: {message}")


def read(path: Path) -> Recording:
    """What a CSV or Parquet file holds, by zone key and kind.

    Raises:
        ForecastError: the file cannot be read, or a row is wrong; the text names the line.
    """
    try:
        rows = _parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _csv(path)
    except FileNotFoundError:
        raise ForecastError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ForecastError(
            f"{path} cannot be read: {error}", transient=isinstance(error, OSError)
        ) from error
    if not rows.number:
        raise ForecastError(f"{path} has no rows")
    return _tracks(rows)


def _csv(path: Path) -> Rows:
    rows = Rows(path, "line")
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        names: list[str] | None = None
        for cells in lines:
            if not cells or cells[0].lstrip().startswith("#"):
                continue
            if names is None:
                names = [cell.strip() for cell in cells]
                _check_columns(path, names)
            elif len(cells) != len(names):
                raise rows.error(lines.line_num, f"{len(cells)} values, but there are {len(names)} columns")
            else:
                _add(rows, lines.line_num, dict(zip(names, cells, strict=True)))
    if names is None:
        raise ForecastError(f"{path} is empty: its first line must name the columns {', '.join(REQUIRED)}")
    return rows


def _parquet(path: Path) -> Rows:
    import pyarrow as pa  # here, as it costs 40 MB and CSV does without
    import pyarrow.parquet as pq

    rows = Rows(path, "row")
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _check_columns(path, names)
            number = 0
            for batch in file.iter_batches(batch_size=8192):
                for cells in _records(rows, batch, number):
                    number += 1
                    _add(rows, number, cells)
    except pa.ArrowInvalid as error:
        raise ForecastError(f"{path} cannot be read as Parquet: {error}") from error
    return rows


def _records(rows: Rows, batch: "pa.RecordBatch", before: int) -> Iterator[dict[str, object]]:
    names = batch.schema.names
    columns = [batch.column(i).to_pylist() for i in range(batch.num_columns)]
    for cells in zip(*columns, strict=True):
        yield dict(zip(names, cells, strict=True))


def _check_columns(path: Path, names: list[str]) -> None:
    """Refuses missing, repeated and unknown columns: a misspelt `issued_at` turns forecasts into facts."""
    unknown = [name for name in names if name not in REQUIRED + OPTIONAL]
    missing = [name for name in REQUIRED if name not in names]
    units = [name for name in unknown if any(unit in name.lower() for unit in ("lb", "kg", "mwh", "co2"))]
    if "gco2_per_kwh" in missing and units:
        raise ForecastError(
            f"{path}: column {units[0]!r} is in another unit; convert it to grams per kWh"
            " (1 lb/MWh = 0.45359237 g/kWh) and name it gco2_per_kwh"
        )
    if missing:
        raise ForecastError(
            f"{path}: column {', '.join(missing)} is missing; needed are {', '.join(REQUIRED)}"
        )
    if unknown:
        known = ", ".join(REQUIRED + OPTIONAL)
        raise ForecastError(f"{path}: column {unknown[0]!r} is not known; take it out or rename it: {known}")
    if len(set(names)) < len(names):
        raise ForecastError(f"{path}: a column is there twice: {', '.join(names)}")


def _add(rows: Rows, number: int, cells: Mapping[str, object]) -> None:
    """Appends one row, checked."""
    key = tuple(str(cells.get(name) or "").strip() for name in ("zone", "signal", "basis", "boundary", "gas"))
    if key not in rows.kinds:
        _zone_and_kind(rows, number, key)  # refuses wrong words at their first row
    start_ms = _time_ms(rows, number, "start", cells["start"])
    step_s = _number(rows, number, "step_s", cells["step_s"])
    if not 0 < step_s <= LONGEST_STEP_S:
        raise rows.error(number, f"step_s is {step_s:g}: a step lasts more than 0 s and at most 31 days")
    issued = cells.get("issued_at")
    rows.group.append(rows.kinds.setdefault(key, len(rows.kinds)))
    rows.number.append(number)
    rows.start_ms.append(start_ms)
    rows.end_ms.append(start_ms + round(step_s * 1000))
    rows.issued_ms.append(OBSERVED if _blank(issued) else _time_ms(rows, number, "issued_at", issued))
    rows.value.append(_intensity(rows, number, "gco2_per_kwh", cells["gco2_per_kwh"]))
    rows.p10.append(_quantile(rows, number, "p10", cells))
    rows.p90.append(_quantile(rows, number, "p90", cells))


def _zone_and_kind(rows: Rows, number: int, key: tuple[str, ...]) -> tuple[str, Kind]:
    zone_text, signal, basis, boundary, gas = key
    try:
        kind = Kind(Signal(signal), Basis(basis), Boundary(boundary), gas or "CO2eq")
        if kind.gas not in ("CO2", "CO2eq"):
            raise ValueError(f"{gas!r} is not a valid gas: CO2 or CO2eq")
        return zone(zone_text).key, kind
    except (ValueError, ForecastError) as error:
        words = "signal: average, marginal; basis: lifecycle, direct; boundary: production, consumption"
        hint = f" ({words})" if isinstance(error, ValueError) else ""
        raise rows.error(number, f"{error}{hint}") from None


def _time_ms(rows: Rows, number: int, name: str, cell: object) -> int:
    """Unix milliseconds of an ISO 8601 text or an aware datetime."""
    try:
        moment = cell if isinstance(cell, datetime) else datetime.fromisoformat(str(cell).strip())
    except ValueError:
        raise rows.error(
            number, f"{name} {cell!r} is not a time; write it as 2026-03-01T06:00:00+00:00"
        ) from None
    if moment.tzinfo is None:
        raise rows.error(number, f"{name} {cell} has no time zone; add one, for example +00:00")
    return (moment - EPOCH) // MILLISECOND


def _number(rows: Rows, number: int, name: str, cell: object) -> float:
    try:
        return float(cell)  # type: ignore[arg-type]  # whatever float refuses is refused below
    except (TypeError, ValueError):
        raise rows.error(
            number, f"{name} {cell!r} is not a number; where nothing is known, leave the row out"
        ) from None


def _intensity(rows: Rows, number: int, name: str, cell: object) -> float:
    value = _number(rows, number, name, cell)
    if not 0 <= value <= HIGHEST_GCO2_PER_KWH:
        raise rows.error(
            number,
            f"{name} is {value:g}: grams of CO2 per kWh lie between 0 and {HIGHEST_GCO2_PER_KWH:g};"
            " is it another unit?",
        )
    return value


def _quantile(rows: Rows, number: int, name: str, cells: Mapping[str, object]) -> float:
    cell = cells.get(name)
    return nan if _blank(cell) else _intensity(rows, number, name, cell)


def _blank(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _tracks(rows: Rows) -> Recording:
    """The rows sorted by zone and kind; two names of one zone are one zone."""
    named = [_zone_and_kind(rows, 0, key) for key in rows.kinds]
    distinct = {name: i for i, name in enumerate(dict.fromkeys(named))}
    group = np.array([distinct[name] for name in named])[np.frombuffer(rows.group, np.int32)]
    return {name: _track(rows, np.flatnonzero(group == i)) for name, i in distinct.items()}


def _track(rows: Rows, mine: NDArray[np.intp]) -> Track:
    start_ms, end_ms, issued_ms = (
        np.frombuffer(column, np.int64)[mine] for column in (rows.start_ms, rows.end_ms, rows.issued_ms)
    )
    order = np.lexsort((start_ms, issued_ms))
    start_ms, end_ms, issued_ms, mine = start_ms[order], end_ms[order], issued_ms[order], mine[order]
    _check_overlaps(rows, start_ms, end_ms, issued_ms, mine)
    value, p10, p90 = (np.frombuffer(column, np.float64)[mine] for column in (rows.value, rows.p10, rows.p90))
    n = int(np.searchsorted(issued_ms, OBSERVED, side="right"))
    issues, firsts = np.unique(issued_ms[n:], return_index=True)
    return Track(
        observed=Steps(start_ms[:n], end_ms[:n], value[:n]),
        issued_ms=issues.tolist(),
        bounds=[*firsts.tolist(), len(issued_ms) - n],
        forecasts=Steps(start_ms[n:], end_ms[n:], value[n:]),
        p10=None if np.isnan(p10[n:]).all() else p10[n:],
        p90=None if np.isnan(p90[n:]).all() else p90[n:],
    )


def _check_overlaps(
    rows: Rows, start_ms: Milliseconds, end_ms: Milliseconds, issued_ms: Milliseconds, mine: NDArray[np.intp]
) -> None:
    bad = np.flatnonzero((issued_ms[1:] == issued_ms[:-1]) & (start_ms[1:] < end_ms[:-1]))
    if len(bad):
        first, second = sorted((rows.number[mine[bad[0]]], rows.number[mine[bad[0] + 1]]))
        at = instant(int(start_ms[bad[0] + 1])).isoformat()
        raise rows.error(second, f"the steps of {rows.what} {first} and this one overlap at {at}")
