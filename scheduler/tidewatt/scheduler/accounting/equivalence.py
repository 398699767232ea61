"""What an amount of carbon is like, for pages that people read; each likeness with its source and vintage.

Factors of other vintages are in use elsewhere and differ by a third, so none is shown without its own.
"""

from dataclasses import dataclass

_CAR_G_PER_KM = 107.5
_PHONE_G = (8.22, 12.4)  # the vintages that are in use, lowest and highest
LEAST_G = 1.0  # below it no likeness helps


@dataclass(frozen=True, slots=True)
class Equivalence:
    """What an amount is like, whose factor that takes, and of when it is."""

    text: str
    source: str
    vintage: str


def equivalences(grams: float) -> tuple[Equivalence, ...]:
    """A few likenesses of `grams` of CO2, none for less than a gram or for a negative amount."""
    if grams < LEAST_G:
        return ()
    most, least = (grams / each for each in _PHONE_G)
    return (
        Equivalence(
            f"{_count(grams / _CAR_G_PER_KM)} km in an average new car of the EU",
            "107.5 g/km, European Environment Agency, as carbontracker uses it",
            "cars registered in 2020",
        ),
        Equivalence(
            f"{_count(least)} to {_count(most)} charges of a smartphone",
            "8.22 to 12.4 g a charge, US EPA equivalencies calculator, as quoted by others",
            "several vintages up to eGRID 2022",
        ),
    )


def _count(value: float) -> str:
    """Two significant digits, never in powers of ten."""
    if value >= 100:
        size = 10 ** (len(str(int(value))) - 2)
        return f"{round(value / size) * size:,}"
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
