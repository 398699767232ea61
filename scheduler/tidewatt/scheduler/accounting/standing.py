"""Where a job's saving by each signal stands: its interval and its grade."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidewatt.scheduler.accounting.grade import disagree, grade, metered_ppm, observed_ppm
from tidewatt.scheduler.accounting.uncertainty import Baseline, Interval, interval

if TYPE_CHECKING:
    from tidewatt.scheduler.accounting.receipt import Ledger, Settlement


@dataclass(frozen=True, slots=True)
class Standing:
    """A saving's interval, None where it or its parts are not known, and its grade, then ""."""

    interval: Interval | None
    grade: str


def standings(settlement: "Settlement", baseline: Baseline = "feasible") -> Mapping[str, Standing]:
    """By signal, against one kind of baseline."""
    metered = metered_ppm(settlement.components)
    savings = {each.signal: saved_ug(each, baseline) for each in settlement.ledgers}
    agree = not disagree(savings.items())
    found = {}
    for each in settlement.ledgers:
        saved = savings[each.signal]
        band = None if saved is None or not each.exposures else interval(each.exposures, baseline)
        observed = observed_ppm(each.signal, each.source)
        immediate = each.feasible_ug if baseline == "feasible" else each.hypothetical_ug
        planned = not settlement.overdue_ms
        graded = grade(saved, immediate, band, metered, observed, agree=agree, planned=planned)
        found[each.signal] = Standing(band, graded)
    return found


def saved_ug(ledger: "Ledger", baseline: Baseline) -> int | None:
    """The saving against one kind of baseline."""
    return ledger.saved_feasible_ug if baseline == "feasible" else ledger.saved_hypothetical_ug
