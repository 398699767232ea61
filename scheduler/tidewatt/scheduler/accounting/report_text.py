"""A report as people read it and as CSV, from the message alone, so that any client can print it."""

import csv
import io
from dataclasses import dataclass

from tidewatt.scheduler.accounting.quantity import hours, kwh, least, mass
from tidewatt.scheduler.accounting.report_schema import Report, ReportGroup, SignalTotal
from tidewatt.scheduler.accounting.report_sentences import lines
from tidewatt.scheduler.accounting.report_words import (
    STARTS,
    Key,
    by_key,
    ends,
    quantified,
    saved_g,
    titles_of,
)

__all__ = ["Table", "csv_text", "lines", "tables"]


_PLAIN = (
    "jobs",
    "provisional",
    "final",
    "unverified",
    "unsettled",
    "unmetered",
    "energy_kwh",
    "facility_kwh",
)
_HOURS = ("waited_h", "held_back_h", "idle_gpu_h")
_PER_SIGNAL = (
    "jobs",
    "settled",
    "emissions_g",
    "actual_g",
    "feasible_g",
    "hypothetical_g",
    "saved_feasible_g",
    "saved_hypothetical_g",
    "forecast_saved_g",
    "forecast_realised_g",
)
_LEVERS = (
    "time_feasible_g",
    "time_hypothetical_g",
    "region_g",
    "efficiency_g",
    "pauses_g",
    "lost_work_g",
    "transfer_g",
    "unverified_efficiency_g",
)
_KEY_WIDTH = 12  # of a group's name in a table, for 80 columns


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table of at most 80 columns; the first column is text, all others are numbers or grades."""

    title: str
    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(report: Report) -> list[Table]:
    """Energy and hours, then each signal by itself, since they are never added; the total is last in each."""
    if not report.total.jobs:
        return []
    groups = report.groups if len(report.groups) == 1 else (*report.groups, report.total)
    first = report.by if report.by != "none" else ""
    titles = (first, "jobs", "energy", "with PUE", "waited", "GPU idle")
    plain = Table("energy and hours", titles, tuple(_plain_row(group) for group in groups))
    by_signal = [
        Table(
            f"{title}: saved against starting {STARTS[report.baseline]} (% of above idle)",
            (first, "emitted", "saved", "", "90 %, known errors", "covers", "grade"),
            tuple(_signal_row(group, key, report.baseline) for group in groups),
        )
        for key, title in titles_of(report).items()
    ]
    return [plain, *by_signal]


def csv_text(report: Report) -> str:
    """The groups as CSV, without the total so that columns can be summed; empty where not known."""
    keys = list(titles_of(report))
    stems = [title.replace(" ", "_").replace(",", "") for title in titles_of(report).values()]
    names = [*_PER_SIGNAL, *_LEVERS, "low_g", "high_g", "covered", "grade"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([report.by, *_PLAIN, *(f"{stem}_{name}" for stem in stems for name in names), *_HOURS])
    for group in report.groups:
        totals = by_key(group)
        signals = [cell for key in keys for cell in _signal_cells(totals.get(key))]
        plain = [_cell(getattr(group, name)) for name in _PLAIN]
        writer.writerow([group.key, *plain, *signals, *(_cell(getattr(group, name)) for name in _HOURS)])
    return out.getvalue()


def _signal_cells(total: SignalTotal | None) -> list[str]:
    """One group's cells of a signal: sums, levers, then the interval of the report's saving and its grade."""
    known = None if total is None or not quantified(total) else total.interval
    levers = None if total is None else total.levers
    return [
        *(_cell(getattr(total, name, None)) for name in _PER_SIGNAL),
        *(_cell(getattr(levers, name, None)) for name in _LEVERS),
        _cell(None if known is None else known.low_g),
        _cell(None if known is None else known.high_g),
        _cell(None if known is None else known.covered),
        "" if total is None else total.grade,
    ]


def _plain_row(group: ReportGroup) -> tuple[str, ...]:
    energies = (kwh(group.energy_kwh), kwh(group.facility_kwh))
    return _short(group.key), str(group.jobs), *energies, hours(group.waited_h), hours(group.idle_gpu_h)


def _signal_row(group: ReportGroup, key: Key, baseline: str) -> tuple[str, ...]:
    total = by_key(group).get(key)
    if total is None:
        return _short(group.key), "unknown", "unknown", "", "", "", ""
    saved, immediate = saved_g(total, baseline), getattr(total, f"{baseline}_g")
    if saved is None:
        return _short(group.key), mass(total.emissions_g), "unknown", "", "", "", ""
    share = f"{saved / immediate:+.1%}" if immediate else ""
    covered = "" if total.interval is None or not quantified(total) else least(total.interval.covered)
    cells = mass(total.emissions_g), mass(saved, sign=True), share, ends(total), covered, total.grade
    return _short(group.key), *cells


def _short(key: str) -> str:
    return key if len(key) <= _KEY_WIDTH else f"{key[: _KEY_WIDTH - 1]}…"


def _cell(value: float | int | None) -> str:
    """Fixed point: readers of this format take `1.5e-05` for 1.5."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.12f}".rstrip("0").rstrip(".")
