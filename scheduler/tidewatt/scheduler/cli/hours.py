"""Energy by hour, zone, project and site as a file, for whoever keeps an inventory."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from tidewatt.scheduler.accounting.quantity import counted
from tidewatt.scheduler.cli.files import put, put_by
from tidewatt.scheduler.cli.text import tell
from tidewatt.scheduler.client import Client, Json

_PATIENT_S = 300.0  # the cells of a year take longer to read than other answers


def write_hours(client: Client, since_s: float | None, path: Path) -> None:
    """Writes the hours of jobs that ended in the last seconds; `.parquet` as that, all else as CSV."""
    from tidewatt.scheduler.accounting.inventory import COLUMNS, rows

    found = Client(client.path, _PATIENT_S).hours(since_s)
    lines = rows(found["hours"])
    if path.suffix == ".parquet":
        put_by(path, lambda target: _parquet(COLUMNS, lines, target))
    else:
        put(path, _csv(COLUMNS, lines))
    for sentence in lacks(found):
        tell(f"tidewatt: {sentence}")


def lacks(found: Json) -> list[str]:
    """What is in no hour."""
    said = []
    if found["unmetered_jobs"]:
        said.append(f"not metered, so in no hour: {counted(found['unmetered_jobs'], 'job')}")
    if found["jobs_without_hours"]:
        said.append(
            "settled by an earlier method that kept no hours, so in none:"
            f" {counted(found['jobs_without_hours'], 'job')} with {found['kwh_without_hours']:.3f} kWh"
        )
    unknown = sum(hour["location_based_g"] is None for hour in found["hours"])
    if unknown:
        said.append(f"{unknown} of {len(found['hours'])} lines have no observed intensity: energy alone")
    return said


def _csv(titles: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """Numbers in fixed point, what is not known empty, and text that no spreadsheet takes for a formula."""
    from tidewatt.scheduler.exports.codecarbon import plain
    from tidewatt.scheduler.exports.fixed_point import fixed

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(titles)
    for line in lines:
        writer.writerow([plain(cell) if isinstance(cell, str) else fixed(cell) for cell in line])  # type: ignore[arg-type] # numbers
    return out.getvalue()


def _parquet(titles: Sequence[str], lines: Sequence[Sequence[object]], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    text = {"hour_utc", "zone", "project", "region", "site", "cloud", "scope_basis", "pue_source"}
    text |= {"intensity_source"}
    forms = {title: pa.string() if title in text else pa.float64() for title in titles} | {
        "scope": pa.int64()
    }
    columns = {title: [line[place] for line in lines] for place, title in enumerate(titles)}
    schema = pa.schema([(title, forms[title]) for title in titles])
    pyarrow.parquet.write_table(pa.Table.from_pydict(columns, schema=schema), path)
