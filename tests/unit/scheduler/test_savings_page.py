"""The page on savings says what the code does: errors, draws, grades and the hold-out."""

import hashlib
from pathlib import Path

import pytest

from tidewatt.scheduler.accounting.grade import LEAST_PPM, NEEDED_PPM, UNPLANNED_PERCENT, Grade, observed_ppm
from tidewatt.scheduler.accounting.holdout import FEWEST, Arm, draw
from tidewatt.scheduler.accounting.levers import Exposure
from tidewatt.scheduler.accounting.published import GRIDS, KNOWN_PPM, METERS, PUES, Row
from tidewatt.scheduler.accounting.runs import PROMPT_MS, PROMPT_PERCENT
from tidewatt.scheduler.accounting.uncertainty import DRAWS, IDLE, interval

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "savings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("row", [*METERS, *PUES, *GRIDS], ids=lambda row: row.words[-1])
def test_every_published_error_stands_on_the_page(row: Row) -> None:
    bounds, source = str(row.error).split(" (", 1)
    assert bounds in PAGE
    assert ("arXiv:2312.02741" in source and "arXiv:2312.02741" in PAGE) or row.error.source in PAGE


def test_draws_and_thresholds_are_those_of_the_page() -> None:
    assert f"{DRAWS:,} draws" in PAGE
    assert f"at least {NEEDED_PPM // 10_000} % of the energy metered" in PAGE
    assert f"covers at least {KNOWN_PPM // 10_000} % of what is at stake" in PAGE
    assert f"a saving of less than {LEAST_PPM // 10_000} % of its baseline" in PAGE
    assert all(f"`{grade}`" in PAGE for grade in Grade)
    assert FEWEST == 10
    assert PROMPT_MS == 2 * 60_000
    assert f"Two minutes of real time, and {PROMPT_PERCENT} % of the time since" in PAGE
    assert f"while such jobs make up {UNPLANNED_PERCENT} % of its saving or less" in PAGE
    assert "So are savings by a `file` source" in PAGE
    assert observed_ppm("average", "file grid.csv") == 0
    assert "fewer than ten comparable jobs" in PAGE


def test_what_an_interval_covers_comes_out_as_on_the_page() -> None:
    """The example with a GPU of known error and a CPU without."""
    parts = [
        Exposure(meter, "p", "g", actual * 10**6, feasible * 10**6, 0)
        for meter, actual, feasible in (("gpu measured: NVML", 60, 90), ("cpu measured: RAPL", 20, 30))
    ]
    found = interval(parts, "feasible")
    assert "150 / (150 + 50)                       = 75 %" in PAGE
    assert (found.covered_ppm, found.known) == (750_000, False)
    assert IDLE in found.not_quantified
    assert "lowest seen in seven days, or the model's" in PAGE


def test_a_lot_is_drawn_as_the_page_says() -> None:
    """By hand: the places of a block, ordered by their digests, the first ones held out."""
    places = range(20)
    digests = {place: hashlib.sha256(f"s: 14 UTC, nlp: 1: {place}".encode()).digest() for place in places}
    first = min(places, key=lambda place: digests[place])
    assert '"SEED: STRATUM: BLOCK: place"' in PAGE
    for place in places:
        held_out = draw("s", 0.05, "14 UTC, nlp", 20 + place).arm is Arm.HELD_OUT
        assert held_out == (place == first)
