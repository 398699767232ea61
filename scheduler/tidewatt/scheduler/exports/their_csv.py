"""Reads `emissions.csv` files of CodeCarbon, also old ones, which lack columns."""

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from tidewatt.scheduler.errors import BadInput

NEEDED = ("timestamp", "duration", "emissions")
MOST_ROWS = 100_000
MOST_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Tracked:
    """What CodeCarbon wrote of one run; None or "" where the file does not say.

    It ran in `[start, end)`. Energies hold `pue`, which is None in files from before there was one. `line`
    counts from 1, the header being the first.
    """

    line: int
    run_id: str
    project: str
    start: datetime
    end: datetime
    emissions_kg: float
    energy_kwh: float | None
    parts_kwh: Mapping[str, float]  # "cpu", "gpu", "ram"
    pue: float | None
    country: str
    tracking_mode: str
    version: str

    @property
    def duration_s(self) -> float:
        """How long it was tracked."""
        return (self.end - self.start).total_seconds()

    @property
    def machine_kwh(self) -> float | None:
        """Its energy without PUE."""
        return None if self.energy_kwh is None else self.energy_kwh / (self.pue or 1.0)

    @property
    def gco2_per_kwh(self) -> float | None:
        """The one intensity that its emissions imply."""
        return self.emissions_kg * 1000 / self.energy_kwh if self.energy_kwh else None


def read(path: Path, tz: tzinfo | None = None) -> list[Tracked]:
    """The runs of a file, in its order; naive moments are in `tz`, None for this machine's zone.

    Raises:
        BadInput: where it is no such file, naming the line.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadInput(f"{path.name} has more than {MOST_BYTES >> 20} MiB: cut it into parts")
        with path.open(encoding="utf-8-sig", newline="") as file:
            return parsed(file, path.name, tz)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path.name} is no text: compare needs CodeCarbon's emissions.csv") from None


def parsed(lines: Iterable[str], name: str, tz: tzinfo | None = None) -> list[Tracked]:
    """The runs in the lines of a file of that name, as `read` has them."""
    rows = csv.DictReader(lines)
    try:
        missing = [column for column in NEEDED if column not in (rows.fieldnames or ())]
        if missing:
            raise BadInput(f"{name} has no column {missing[0]!r}: compare needs CodeCarbon's emissions.csv")
        found: list[Tracked] = []
        for row in rows:
            if len(found) == MOST_ROWS:
                raise BadInput(f"{name} has more than {MOST_ROWS:,} rows: cut it into parts")
            found.append(_tracked(row, rows.line_num, name, tz))
        return found
    except csv.Error as error:
        raise BadInput(f"{name}, line {rows.line_num}: {error}") from None


def _tracked(row: Mapping[str, str | None], line: int, name: str, tz: tzinfo | None) -> Tracked:
    where = f"{name}, line {line}"
    duration_s = _number(row, "duration", where)
    emissions_kg = _number(row, "emissions", where)
    if duration_s is None or emissions_kg is None:
        raise BadInput(f"{where}: duration or emissions is empty")
    end = _moment(row.get("timestamp") or "", where, tz)
    parts = {part: _number(row, f"{part}_energy", where) for part in ("cpu", "gpu", "ram")}
    try:
        start = end - timedelta(seconds=duration_s)
    except OverflowError:
        raise BadInput(f"{where}: a duration of {duration_s:g} s is impossible") from None
    return Tracked(
        line=line,
        run_id=_word(row, "run_id"),
        project=_word(row, "project_name"),
        start=start,
        end=end,
        emissions_kg=emissions_kg,
        energy_kwh=_number(row, "energy_consumed", where),
        parts_kwh={part: kwh for part, kwh in parts.items() if kwh is not None},
        pue=_number(row, "pue", where) or None,
        country=_word(row, "country_name"),
        tracking_mode=_word(row, "tracking_mode"),
        version=_word(row, "codecarbon_version"),
    )


def _word(row: Mapping[str, str | None], column: str) -> str:
    return (row.get(column) or "").strip()


def _number(row: Mapping[str, str | None], column: str, where: str) -> float | None:
    """A number that is not negative; None where the cell is empty or the column is not there."""
    text = _word(row, column)
    if not text or text.lower() in {"nan", "none", "n/a"}:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise BadInput(f"{where}: {column} is {text[:40]!r}, which is no quantity")
    return value


def _moment(text: str, where: str, tz: tzinfo | None) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment if moment.tzinfo is not None else _placed(moment, tz)
    except (ValueError, OverflowError, OSError):
        raise BadInput(f"{where}: timestamp {text[:40]!r} is no ISO 8601 moment") from None


def _placed(moment: datetime, tz: tzinfo | None) -> datetime:
    return moment.astimezone() if tz is None else moment.replace(tzinfo=tz)
