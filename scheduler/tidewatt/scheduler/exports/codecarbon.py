"""`emissions.csv` as CodeCarbon 3.3.2 writes it: 38 columns, one row for each job.

Columns and units are those of its `EmissionsData`: seconds, kilograms, watts, kilowatt-hours, gigabytes;
energies hold PUE. What Tidewatt does not know is empty, never zero.
"""

import csv
import io
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version

from tidewatt.forecasting.zones import keyed
from tidewatt.scheduler.accounting.units import J_PER_KWH
from tidewatt.scheduler.exports.facts import Facts
from tidewatt.scheduler.exports.fixed_point import fixed

COLUMNS = (
    "timestamp", "project_name", "run_id", "experiment_id", "duration", "emissions", "emissions_rate",
    "cpu_power", "gpu_power", "ram_power", "cpu_energy", "gpu_energy", "ram_energy", "energy_consumed",
    "water_consumed", "country_name", "country_iso_code", "region", "cloud_provider", "cloud_region",
    "os", "python_version", "codecarbon_version", "cpu_count", "cpu_model", "gpu_count", "gpu_model",
    "longitude", "latitude", "ram_total_size", "tracking_mode", "cpu_utilization_percent",
    "gpu_utilization_percent", "ram_utilization_percent", "ram_used_gb", "on_cloud", "pue", "wue",
)  # fmt: skip
PARTS = {"cpu": "cpu", "gpu": "gpu", "ram": "dram"}  # their word, ours
_G_PER_KG = 1000
_SPREADSHEET = ("=", "+", "-", "@", "\t", "\r")


def csv_text(receipts: Iterable[Facts]) -> str:
    """The file's content, with a row for each receipt."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for receipt in receipts:
        writer.writerow(row(receipt))
    return out.getvalue()


def row(receipt: Facts) -> dict[str, str]:
    """One job's cells by column; columns that are not known are left out."""
    ended, account = receipt.ended, receipt.account
    return {
        "timestamp": "" if ended is None else f"{ended:%Y-%m-%dT%H:%M:%S}",
        "project_name": plain(receipt.job.project),
        "run_id": receipt.key,
        "experiment_id": plain(receipt.experiment),
        "duration": fixed(receipt.held_s),
        **_emissions(receipt),
        **_energies(receipt),
        "energy_consumed": fixed(receipt.facility_kwh),
        **_place(receipt),
        "codecarbon_version": _writer(),
        "cpu_count": str(receipt.job.cpus),
        "cpu_model": plain(receipt.cpu_model),
        "gpu_count": str(receipt.job.gpus) if receipt.job.gpus else "",
        "gpu_model": plain(hardware(receipt)),
        "tracking_mode": "process",
        "pue": fixed(account.pue),
    }


def hardware(receipt: Facts) -> str:
    """The job's GPUs: "2 x NVIDIA A100"; "" where it had none or their model is not known."""
    if not receipt.job.gpus or not receipt.gpu_model:
        return ""
    return f"{receipt.job.gpus} x {receipt.gpu_model}"


def plain(text: str) -> str:
    """Somebody's words for a cell: on one line, and no formula to a spreadsheet."""
    line = " ".join(text.split())
    return f"'{line}" if line.startswith(_SPREADSHEET) else line


@cache
def _writer() -> str:
    """Who wrote the row."""
    return f"tidewatt {version('tidewatt')}"


def _emissions(receipt: Facts) -> dict[str, str]:
    """By the average signal alone: this format has one column, and its readers take it for location-based."""
    ledger = receipt.ledger("average")
    if ledger is None:
        return {}
    kg = ledger.g / _G_PER_KG
    rate = kg / receipt.held_s if receipt.held_s else None
    return {"emissions": fixed(kg), "emissions_rate": fixed(rate)}


def _energies(receipt: Facts) -> dict[str, str]:
    """Energies with PUE; mean powers without it, as CodeCarbon has them."""
    energy_j, facility_j = receipt.account.energy_j, receipt.account.facility_j
    overhead = facility_j / energy_j if energy_j and facility_j is not None else receipt.account.pue
    cells = {}
    for theirs, ours in PARTS.items():
        part = receipt.component(ours)
        if part is None or part.energy_j is None:
            continue
        cells[f"{theirs}_energy"] = fixed(part.energy_j * overhead / J_PER_KWH)
        if receipt.held_s:
            cells[f"{theirs}_power"] = fixed(part.energy_j / receipt.held_s)
    return cells


def _place(receipt: Facts) -> dict[str, str]:
    """The country, where the job ran in one; the cloud, where it is known to be one or none."""
    cells: dict[str, str] = {}
    if len(receipt.countries) == 1:
        country = keyed(receipt.countries[0])
        iso3 = [] if country is None else [a for a in country.aliases if a.startswith("iso3:")]
        cells["country_name"] = "" if country is None else country.name
        cells["country_iso_code"] = iso3[0].removeprefix("iso3:") if iso3 else ""
    if receipt.cloud is not None:
        cells["on_cloud"] = "Y" if receipt.cloud else "N"
        cells["cloud_provider"] = plain(receipt.cloud)
        cells["cloud_region"] = plain(receipt.site or "; ".join(receipt.regions)) if receipt.cloud else ""
    return cells
