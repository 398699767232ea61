"""Writes the table of zones that the package carries: `python forecasting/scripts/zones_table.py DATA`.

DATA is a folder with `country_annual.csv` and `cloud_regions.csv`. Names, places and zone names are taken
from them, no intensities. The `tzdata` package gives `zone.tab`: time zone and position of principal cities.
"""

import csv
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

HERE = Path(__file__).parent
TABLE = HERE.parent / "tidewatt" / "forecasting" / "data" / "zones.csv"
HEADER = """\
# Zones of the grid and every name they are known by; written by forecasting/scripts/zones_table.py.
# Countries: names from Our World in Data / Ember (CC BY 4.0) as packaged by codecarbon (MIT); time zone and
# position of the principal city from zone.tab of the IANA time zone database (public domain).
# Cloud regions: names, places and zone names from the Green Software Foundation's Real Time Cloud data set,
# with the corrections listed in the script. Grid zones inside countries: forecasting/scripts/grids.csv.
# Zone keys are the names that Electricity Maps uses; no intensities are contained.
"""
COLUMNS = ["key", "name", "country", "timezone", "latitude", "longitude", "within", "aliases", "places"]
# Where the cloud data set names no zone, or one that its own place contradicts: by the published location.
CLOUD_ZONES = {
    "aws:ca-west-1": "CA-AB",  # Calgary
    "aws:cn-north-1": "CN",
    "aws:cn-northwest-1": "CN",
    "azure:northeurope": "IE",  # Microsoft lists it in Ireland; the data set says Finland
    "azure:westcentralus": "US-NW-WACM",  # Wyoming
    "azure:westus": "US-CAL-CISO",  # Microsoft lists it in California; the data set says Washington
    "azure:westus3": "US-SW-AZPS",  # Arizona
    "gcp:europe-north2": "SE",  # Stockholm
    "gcp:europe-west10": "DE",  # Berlin
    "gcp:me-central1": "QA",  # Doha; the data set says AE
    "gcp:northamerica-south1": "MX",
    "gcp:us-east2": "US-SE-SOCO",  # Georgia
}
CLOUD_PLACES = {"azure:northeurope": "Ireland: North Europe", "azure:westus": "California: West US"}
# Where most of the country lives, of those whose first line in `zone.tab` is an edge of it.
PRINCIPAL = {
    "America/Sao_Paulo",
    "America/Toronto",
    "Asia/Tashkent",
    "Australia/Sydney",
    "Europe/Kyiv",
    "Europe/Moscow",
}
NOT_REGIONS = {"azure:asiapacific"}  # a geography of several regions


@dataclass(slots=True)
class Row:
    """One line of the table."""

    key: str
    name: str
    country: str
    timezone: str
    latitude: float
    longitude: float
    within: str = ""
    aliases: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)


def records(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a CSV file whose comment lines start with `#`."""
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(line for line in file if not line.startswith("#"))


def principal_places() -> dict[str, tuple[str, float, float]]:
    """Time zone, latitude and longitude of each country's principal city, by two-letter code.

    It is the country's first line in `zone.tab`, but for countries that are listed from east to west.
    """
    places: dict[str, tuple[str, float, float]] = {}
    for line in files("tzdata").joinpath("zoneinfo", "zone.tab").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            country, position, timezone = line.split("\t")[:3]
            latitude, longitude = re.findall(r"[+-]\d+", position)
            if country not in places or timezone in PRINCIPAL:
                places[country] = timezone, degrees(latitude), degrees(longitude)
    return places


def degrees(text: str) -> float:
    """Degrees of ISO 6709 text `+DDMM[SS]` or `+DDDMM[SS]`."""
    whole = len(text) - 1 - (4 if len(text) > 6 else 2)
    value = int(text[1 : 1 + whole]) + int(text[1 + whole : 3 + whole]) / 60
    return round(-value if text[0] == "-" else value, 2)


def countries(data: Path) -> Iterator[Row]:
    """One row for each country of the annual table."""
    codes = {row["iso3"]: row for row in records(HERE / "countries.csv")}
    places = principal_places()
    for row in records(data / "country_annual.csv"):
        iso2, aliases = codes[row["iso3"]]["iso2"], codes[row["iso3"]]["aliases"].split()
        yield Row(
            iso2,
            row["country"],
            iso2,
            *places[iso2],
            aliases=[f"iso2:{iso2}", f"iso3:{row['iso3']}", *aliases],
        )


def grids() -> Iterator[Row]:
    """One row for each grid zone inside a country; its country is filled in later."""
    for row in records(HERE / "grids.csv"):
        yield Row(
            row["key"],
            row["name"],
            "",
            row["timezone"],
            float(row["latitude"]),
            float(row["longitude"]),
            row["within"],
            row["aliases"].split(),
        )


def add_clouds(zones: dict[str, Row], data: Path) -> None:
    """Adds each cloud region to its zone, as alias and as place."""
    for row in records(data / "cloud_regions.csv"):
        region = f"{row['provider']}:{row['region']}"
        if region in NOT_REGIONS:
            continue
        zone = zones[CLOUD_ZONES.get(region) or row["em_zone"]]
        zone.aliases.append(region)
        zone.places.append(CLOUD_PLACES.get(region, row["location"].strip()))


def write(rows: Iterable[Row], table_path: Path) -> None:
    """Writes the table."""
    with table_path.open("w", encoding="utf-8", newline="") as file:
        file.write(HEADER)
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for r in rows:
            places = "; ".join(dict.fromkeys(r.places))
            table.writerow(
                [
                    r.key,
                    r.name,
                    r.country,
                    r.timezone,
                    r.latitude,
                    r.longitude,
                    r.within,
                    " ".join(r.aliases),
                    places,
                ]
            )


def main(data: Path, table_path: Path = TABLE) -> None:
    """Builds the table from the folder `data`."""
    zones = {row.key: row for row in countries(data)}
    for row in grids():
        row.country = row.within if len(row.within) == 2 else zones[row.within].country
        zones[row.key] = row
    add_clouds(zones, data)
    write((zones[key] for key in sorted(zones)), table_path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
