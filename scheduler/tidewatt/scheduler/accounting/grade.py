"""How well founded a saving is: verified, estimated or inconclusive.

`verified`: at least 95 % of the energy was metered, the intensity on both sides was observed, no signal says
the opposite, the 90 % interval is known (of 95 % of what is at stake) and all above zero, the saving is 2 %
of its baseline or more, and no start was late by its own plan. `inconclusive`: the interval contains zero, or
the signals differ in sign. `estimated`: everything between, a loss included.

A gain that both sides have in common never turns a sign: with one meter, one PUE and one grid source any
saving at all has its interval above zero. So a small one is not called verified, whatever its interval says:
errors that nobody quantified, of idle draw, PUE and grid, are larger.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Protocol

from tidewatt.backends.meters.reading import How
from tidewatt.scheduler.accounting.uncertainty import Interval

NEEDED_PPM = 950_000  # metered, and observed
LEAST_PPM = 20_000  # of its baseline: the least saving that a plan, too, waits for unless told otherwise
BOUNDARY = frozenset({"dram", "node overhead"})  # where a host has no meter for it, receipts say so
UNPLANNED_PERCENT = 5  # of a total: the most that jobs may have saved which started later than planned
_ALL_PPM = 1_000_000
_NOT_OBSERVED = (
    "estimate", "modelled", "profile", "forecast", "own model",
    "electricity maps",  # among its observations are estimates, and a series does not tell which
)  # fmt: skip
_STATED = "file "  # how the name of a file's source begins


class Grade(StrEnum):
    """How well founded a saving is."""

    VERIFIED = "verified"
    ESTIMATED = "estimated"
    INCONCLUSIVE = "inconclusive"


class Metered(Protocol):
    """A component's energy, how it was got, for which share of the run; `modelled_uj` of it is a model's."""

    @property
    def component(self) -> str: ...
    @property
    def how(self) -> How: ...
    @property
    def energy_uj(self) -> int | None: ...
    @property
    def modelled_uj(self) -> int: ...
    @property
    def coverage_ppm(self) -> int: ...


def metered_ppm(parts: Iterable[Metered]) -> int:
    """The share of a job's energy that its devices measured; 0 where its GPUs or CPUs were not metered.

    The energy of time that is not covered counts as not metered: what it would be at the mean draw. What many
    hosts have no meter for is outside of the boundary, and in no number, where nothing of it was metered.
    """
    measured = needed = 0
    for part in parts:
        if part.energy_uj is None or not part.coverage_ppm:
            if part.component in BOUNDARY:
                continue
            return 0
        needed += part.energy_uj * _ALL_PPM // part.coverage_ppm
        if part.how is not How.MISSING:
            measured += part.energy_uj - part.modelled_uj
    return measured * _ALL_PPM // needed if needed else 0


def observed_ppm(signal: str, source: str) -> int:
    """The share of the intensity that was observed: all, or none as far as its source tells.

    What is in a file its operator wrote, and nothing in it tells where it was had from: that is stated, not
    observed. No grid measures what one more kWh causes, so that a marginal signal is always somebody's model.
    """
    folded = source.casefold()
    told = signal == "marginal" or not source or folded.startswith(_STATED)
    modelled = told or any(word in folded for word in _NOT_OBSERVED)
    return 0 if modelled else _ALL_PPM


def disagree(savings: Iterable[tuple[str, int | None]]) -> bool:
    """True where one signal says that carbon was saved and another that it was lost."""
    known = [(signal, saved) for signal, saved in savings if saved]
    gained = {signal for signal, saved in known if saved > 0}
    lost = {signal for signal, saved in known if saved < 0}
    return any(one != other for one in gained for other in lost)


def grade(
    saved_ug: int | None,
    baseline_ug: int | None,
    found: Interval | None,
    metered_ppm: int,
    observed_ppm: int,
    *,
    agree: bool,
    planned: bool = True,
) -> str:
    """The grade of a saving by one signal; "" where none is known. `agree`: no other signal contradicts.

    `planned`: no delay is in it that was nobody's plan.
    """
    if saved_ug is None or baseline_ug is None:
        return ""
    low, high = (saved_ug, saved_ug) if found is None else (found.low_ug, found.high_ug)
    if not agree or low <= 0 <= high:
        return Grade.INCONCLUSIVE
    founded = found is not None and found.known and min(metered_ppm, observed_ppm) >= NEEDED_PPM
    large = saved_ug * _ALL_PPM >= baseline_ug * LEAST_PPM
    return Grade.VERIFIED if founded and large and planned and low > 0 else Grade.ESTIMATED


def of_all(grades: Mapping[str, str]) -> str:
    """One grade for what several signals say, by signal: the best of them, since they are known to agree."""
    order = (*Grade, "")
    return min(grades.values(), key=order.index, default="")
