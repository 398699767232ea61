"""Areas of the ENTSO-E transparency platform, by zone."""

import csv
from functools import cache
from pathlib import Path

TABLE = Path(__file__).parent.parent / "data" / "bidding_zones.csv"


def area(zone: str) -> str:
    """The energy identification code (EIC) of a zone's area; "" where the platform has none for it."""
    return _areas().get(zone, "")


@cache
def _areas() -> dict[str, str]:
    lines = TABLE.read_text("utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return {row["zone"]: row["eic"] for row in rows}
