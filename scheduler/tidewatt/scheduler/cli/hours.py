"""Energy by hour, zone, project and site as a file, for whoever keeps an inventory."""

from pathlib import Path

from tidewatt.scheduler.accounting.quantity import counted
from tidewatt.scheduler.cli.files import put, put_by
from tidewatt.scheduler.cli.text import tell
from tidewatt.scheduler.client import Client, Json

_PATIENT_S = 300.0  # the cells of a year take longer to read than other answers


def write_hours(client: Client, since_s: float | None, path: Path) -> None:
    """Writes the hours of jobs that ended in the last seconds; `.parquet` as that, all else as CSV."""
    from tidewatt.scheduler.exports import hours_table

    found = Client(client.path, _PATIENT_S).hours(since_s)
    if path.suffix == ".parquet":
        put_by(path, lambda target: hours_table.write_parquet(found["hours"], target))
    else:
        put(path, hours_table.csv_text(found["hours"]))
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
