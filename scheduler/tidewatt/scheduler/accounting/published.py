"""Errors that somebody published: of meters, of PUE, of grid data. What nobody published is not in here."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

KNOWN_PPM = 950_000  # of what is at stake, in meters with such an error: less says nothing of the whole
_STATED = re.compile(r"(?:±|\+/-|\+-)\s*(\d{1,2}(?:\.\d)?)\s*%")
_SENSORS = "arXiv:2312.02741, its table of cards beside an external meter"


@dataclass(frozen=True, slots=True)
class Error:
    """A relative error between two bounds, in thousandths, all values between them equally likely.

    A meter's error is of its reading against the truth, any other one of the truth against the stated value.
    """

    low_permille: int
    high_permille: int
    source: str

    def __str__(self) -> str:
        """For example `±5 % (arXiv:2312.02741)`."""
        low, high = self.low_permille / 10, self.high_permille / 10
        bounds = f"±{high:g} %" if low == -high else f"{low:+g} to {high:+g} %"
        return f"{bounds} ({self.source})"


@dataclass(frozen=True, slots=True)
class Row:
    """The error of everything whose name has all of these words in it; the first row that fits counts."""

    words: tuple[str, ...]
    error: Error


METERS = (
    Row(("gpu measured", "nvml", "rtx 2060 super"), Error(-130, 130, _SENSORS)),
    Row(("gpu measured", "nvml", "rtx 2080 ti"), Error(-80, 80, _SENSORS)),
    Row(("gpu measured", "nvml"), Error(-50, 50, f"what is typical in {_SENSORS}")),
)
PUES = (
    Row(
        ("fleet",),
        Error(
            -96,
            235,
            "sites of one provider against its fleet's mean of 1.15: 1.04 to 1.42; AWS, 2023 and 2024",
        ),
    ),
)
GRIDS = (  # services publish how far forecasts are off, not how far observations are; factors have ranges
    Row(
        ("generation mix", "lifecycle", "ipcc 2014"),
        Error(
            -163, 327, "IPCC 2014, table A.III.2: gas 410 to 650 around 490 g/kWh, coal 740 to 910 around 820"
        ),
    ),
)


def published(name: str, rows: Iterable[Row]) -> Error | None:
    """The error that the name states itself ("site meter 2025, ±2 %"), else that of the table; None: none is.

    A stated error is that of whoever gave the thing its name: the operator. Nothing is exact: a stated error
    of 0 counts as none stated, and not as one that is published.
    """
    stated = _STATED.search(name)
    if stated is not None:
        permille = round(float(stated[1]) * 10)
        if not permille:
            return None
        return Error(-permille, permille, "as stated")
    folded = name.casefold()
    return next((row.error for row in rows if all(word in folded for word in row.words)), None)
