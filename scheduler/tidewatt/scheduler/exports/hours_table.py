"""The inventory of energy by hour as CSV or Parquet."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from tidewatt.scheduler.accounting.inventory import COLUMNS, HourView
from tidewatt.scheduler.exports.codecarbon import plain
from tidewatt.scheduler.exports.fixed_point import fixed

Row = Mapping[str, str | float | int | None]  # an `HourView` as JSON


def csv_text(hours: Sequence[Row]) -> str:
    """Numbers in fixed point, what is not known empty, and text that no spreadsheet takes for a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for hour in hours:
        cells = (hour[name] for name in COLUMNS)
        writer.writerow([plain(cell) if isinstance(cell, str) else fixed(cell) for cell in cells])
    return out.getvalue()


def write_parquet(hours: Sequence[Row], path: Path) -> None:
    """Writes the same as Parquet; what is not known is null."""
    import pyarrow as pa
    import pyarrow.parquet

    forms: dict[object, pa.DataType] = {str: pa.string(), int: pa.int64()}
    kinds = {name: HourView.model_fields[name].annotation for name in COLUMNS}
    schema = pa.schema([(name, forms.get(kind, pa.float64())) for name, kind in kinds.items()])
    columns = {name: [hour[name] for hour in hours] for name in COLUMNS}
    pyarrow.parquet.write_table(pa.Table.from_pydict(columns, schema=schema), path)
