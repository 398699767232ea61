"""A table read from CSV, Parquet or JSON, column by column, and what is said about a wrong cell of it."""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.place import near

Cells = Sequence[Any]
UNKNOWN_MS = int(np.iinfo(np.int64).min)


@dataclass(frozen=True, slots=True)
class Columns:
    """The cells of a file by column; an empty cell is None or "". `rows` are numbered as people count."""

    path: Path
    what: str  # "line", "row" or "job", by the kind of file
    rows: Sequence[int]
    cells: dict[str, Cells]

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, name: object) -> bool:
        return name in self.cells

    def refuse(self, index: int, name: str, sentence: str) -> NoReturn:
        """Raises BadInput for one cell."""
        raise BadInput(f"{self.path}, {self.what} {self.rows[index]}, column {name}: {sentence}")

    def texts(self, name: str, default: str = "") -> list[str]:
        """The column as text."""
        if name not in self.cells:
            return [default] * len(self)
        return [default if _blank(cell) else str(cell).strip() for cell in self.cells[name]]

    def words(self, name: str) -> list[tuple[str, ...]]:
        """Each cell as words: a list of a JSON file, or text with semicolons between them."""
        if name not in self.cells:
            return [()] * len(self)
        seen: dict[str, tuple[str, ...]] = {}
        found = []
        for cell in self.cells[name]:
            if isinstance(cell, list | tuple | np.ndarray):
                found.append(tuple(str(word).strip() for word in cell))
                continue
            text = "" if _blank(cell) else str(cell)
            if text not in seen:
                seen[text] = tuple(word.strip() for word in text.split(";") if word.strip())
            found.append(seen[text])
        return found

    def numbers(
        self, name: str, default: float, least: float, most: float = np.inf, *, open_end: bool = False
    ) -> NDArray[np.float64]:
        """The column as numbers from `least` (itself left out if `open_end`) to `most`."""
        if name not in self.cells:
            return np.full(len(self), default)
        cells = self.cells[name]
        values = np.array([default if _blank(cell) else _number(cell) for cell in cells], np.float64)
        wrong = ~((values > least if open_end else values >= least) & (values <= most))
        if name in self.cells and default != default:  # NaN stands for nothing
            wrong &= ~np.array([_blank(cell) for cell in cells], np.bool_)
        if wrong.any():
            index = int(np.flatnonzero(wrong)[0])
            bounds = (f"{'more than' if open_end else 'at least'} {least:g}", _at_most(most, name))
            self.refuse(index, name, _misfit(cells[index], values[index] > most, bounds))
        return values

    def integers(self, name: str, default: int, least: int, most: int = 2**53) -> NDArray[np.int64]:
        """The column as whole numbers."""
        values = self.numbers(name, default, least, most)
        wrong = values != np.floor(values)
        if wrong.any():
            index = int(np.flatnonzero(wrong)[0])
            self.refuse(index, name, f"{self.cells[name][index]!r} is not a whole number")
        return values.astype(np.int64)

    def flags(self, name: str) -> NDArray[np.bool_]:
        """The column as true or false; empty cells are false."""
        known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}
        texts = [text.casefold() for text in self.texts(name)]
        for index, text in enumerate(texts):
            if text not in known:
                self.refuse(index, name, f"{self.cells[name][index]!r} is neither true nor false")
        return np.array([known[text] for text in texts], np.bool_)

    def times_ms(self, name: str, rounded: Callable[[Any], Any] = np.floor) -> NDArray[np.int64]:
        """The column as Unix milliseconds; UNKNOWN_MS where a cell is empty. A time has to name its zone."""
        import pandas as pd

        if name not in self.cells:
            return np.full(len(self), UNKNOWN_MS)
        texts = [None if _blank(cell) else _iso(cell) for cell in self.cells[name]]
        times = pd.to_datetime(pd.Series(texts, dtype=object), utc=True, format="ISO8601", errors="coerce")
        given = np.array([text is not None for text in texts], np.bool_)
        wrong = given & times.isna().to_numpy()
        wrong |= np.array([text is not None and not _zoned(text) for text in texts], np.bool_)
        if wrong.any():
            index = int(np.flatnonzero(wrong)[0])
            self.refuse(
                index, name, f"{texts[index]!r} is not a time with its zone: write 2026-03-01T06:00:00Z"
            )
        us = times.to_numpy("datetime64[us]").astype(np.int64)  # nanoseconds end in 2262
        ms: NDArray[np.int64] = np.full(len(self), UNKNOWN_MS)
        ms[given] = rounded(us[given] / 1e3).astype(np.int64)
        return ms


def read(path: Path, known: Sequence[str], needed: Sequence[str]) -> Columns:
    """What a CSV (`.csv`), Parquet (`.parquet`, `.pq`) or JSON file (a list of objects) holds.

    Raises:
        BadInput: the file cannot be read, or has a column that is not `known`, or lacks one that is `needed`.
    """
    kind = {".parquet": _parquet, ".pq": _parquet, ".json": _json}.get(path.suffix.lower(), _csv)
    try:
        columns = kind(path)
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} cannot be read: {error}") from None
    for name in columns.cells:
        if name not in known:
            raise BadInput(f"{path}: column {name!r} is not known{near(name, known)}")
    missing = [name for name in needed if name not in columns]
    if missing and len(columns):
        raise BadInput(f"{path}: column {missing[0]} is missing: needed are {', '.join(needed)}")
    return columns


def _csv(path: Path) -> Columns:
    names: list[str] | None = None
    numbers: list[int] = []
    records: list[list[str]] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        for record in lines:
            if not record or record[0].lstrip().startswith("#"):
                continue
            if names is None:
                names = [cell.strip() for cell in record]
            elif len(record) != len(names):
                raise BadInput(
                    f"{path}, line {lines.line_num}: {len(record)} values, but there are {len(names)} columns"
                )
            else:
                numbers.append(lines.line_num)
                records.append(record)
    if names is None:
        raise BadInput(f"{path} is empty: its first line has to name the columns")
    if len(set(names)) < len(names):
        raise BadInput(f"{path}: a column is there twice: {', '.join(names)}")
    cells: list[Cells] = list(zip(*records, strict=True)) or [() for _ in names]
    return Columns(path, "line", numbers, dict(zip(names, cells, strict=True)))


def _parquet(path: Path) -> Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except pa.ArrowInvalid as error:
        raise BadInput(f"{path} cannot be read as Parquet: {error}") from None
    cells: dict[str, Cells] = {name: table.column(name).to_pylist() for name in table.schema.names}
    return Columns(path, "row", range(1, table.num_rows + 1), cells)


def _json(path: Path) -> Columns:
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise BadInput(f"{path} is not JSON: {error}") from None
    if isinstance(records, dict) and list(records) == ["jobs"]:
        records = records["jobs"]
    if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
        raise BadInput(f"{path} has to hold a list of objects, one for each job")
    names = dict.fromkeys(name for each in records for name in each)
    cells: dict[str, Cells] = {name: [each.get(name) for each in records] for name in names}
    return Columns(path, "job", range(1, len(records) + 1), cells)


def _blank(cell: Any) -> bool:
    return cell is None or cell == "" or (isinstance(cell, str) and not cell.strip())


def _number(cell: Any) -> float:
    try:
        return float(cell) if not isinstance(cell, bool) else np.nan
    except (TypeError, ValueError):
        return np.nan


def _misfit(cell: Any, above: bool, bounds: tuple[str, str]) -> str:
    """What is wrong with a cell that is no number within its bounds."""
    least, most = bounds
    if _blank(cell):
        return f"the cell is empty: it needs a number, {least}"
    if np.isnan(_number(cell)):
        return f"{cell!r} is not a number"
    return f"{str(cell).strip()} is not {most if above else least}"


def _at_most(most: float, name: str) -> str:
    """The upper bound as people say it: long times in days."""
    unit_s = {"s": 1.0, "h": 3600.0}.get(name.rpartition("_")[2])
    days = 0.0 if unit_s is None else most * unit_s / 86_400
    return f"at most {days:.0f} days" if days >= 1 and np.isfinite(days) else f"at most {most:,.15g}"


def _iso(cell: Any) -> str:
    return str(cell.isoformat()) if hasattr(cell, "isoformat") else str(cell).strip()


def _zoned(text: str) -> bool:
    """True where an ISO 8601 time ends in its zone."""
    return text[-1:] in ("Z", "z") or "+" in text[10:] or "-" in text[10:]
