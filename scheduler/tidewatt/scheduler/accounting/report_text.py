"""A report as people read it and as CSV, from the message alone, so that any client can print it."""

import csv
import io
from collections.abc import Iterable

from tidewatt.scheduler.accounting.quantity import energy, hours, mass
from tidewatt.scheduler.accounting.report_schema import Report, ReportGroup, SignalTotal

_J_PER_KWH = 3.6e6
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
)
_Key = tuple[str, str]  # signal, kind


def header(report: Report) -> list[str]:
    """The titles of the table's columns; each signal has its own, since they are never added."""
    titles = [report.by if report.by != "none" else "", "jobs", "energy", "with PUE"]
    for title in _titles(report).values():
        titles += [f"emitted ({title})", f"saved ({title})"]
    return [*titles, "waited", "GPU idle"]


def rows(report: Report) -> list[list[str]]:
    """The table's cells: a row for each group, and the total last where there are several."""
    groups = report.groups if len(report.groups) == 1 else (*report.groups, report.total)
    return [_row(group, list(_titles(report))) for group in groups]


def lines(report: Report) -> list[str]:
    """Sentences to stand below the table: what is counted, what was saved, what it cost in waiting."""
    total = report.total
    if not total.jobs:
        return ["No job ran and ended in this time."]
    found = [_counts(total), _energy(total)]
    titles = _titles(report)
    found += [_saving(titles[each.signal, each.kind], each, total.unverified) for each in total.signals]
    if not total.signals:
        found.append("Carbon is not known: no job has observations of a configured zone yet.")
    if total.signals_disagree:
        found.append("The signals disagree: by one of them waiting saved carbon, by another it cost carbon.")
    if any(each.settled for each in total.signals):
        found.append(
            f"For this the settled jobs waited {hours(total.waited_h)} since submission and "
            f"{_turn(total.held_back_h)}; {total.idle_gpu_h:.1f} GPU-hours were left idle."
        )
    return found


def csv_text(report: Report) -> str:
    """The groups as CSV, without the total so that columns can be summed; empty where not known."""
    keys = list(_titles(report))
    stems = [title.replace(" ", "_").replace(",", "") for title in _titles(report).values()]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [report.by, *_PLAIN, *(f"{stem}_{name}" for stem in stems for name in _PER_SIGNAL), *_HOURS]
    )
    for group in report.groups:
        by_key = _by_key(group)
        signals = [_cell(getattr(by_key.get(key), name, None)) for key in keys for name in _PER_SIGNAL]
        plain = [_cell(getattr(group, name)) for name in _PLAIN]
        writer.writerow([group.key, *plain, *signals, *(_cell(getattr(group, name)) for name in _HOURS)])
    return out.getvalue()


def _titles(report: Report) -> dict[_Key, str]:
    """A column title for each kind: the signal's name, or all of the kind where a signal has several."""
    keys = [(each.signal, each.kind) for each in report.total.signals]
    signals = [signal for signal, _ in keys]
    return {key: key[0] if signals.count(key[0]) == 1 else key[1] for key in keys}


def _by_key(group: ReportGroup) -> dict[_Key, SignalTotal]:
    return {(each.signal, each.kind): each for each in group.signals}


def _row(group: ReportGroup, keys: Iterable[_Key]) -> list[str]:
    by_key = _by_key(group)
    cells = [group.key, str(group.jobs), _kwh(group.energy_kwh), _kwh(group.facility_kwh)]
    for key in keys:
        total = by_key.get(key)
        cells.append("unknown" if total is None else mass(total.emissions_g))
        cells.append(_saved_cell(total))
    return [*cells, hours(group.waited_h), hours(group.idle_gpu_h)]


def _saved_cell(total: SignalTotal | None) -> str:
    if total is None or total.saved_feasible_g is None:
        return "unknown"
    return f"{mass(total.saved_feasible_g, sign=True)}{_percent(total.saved_feasible_g, total.feasible_g)}"


def _turn(held_back_h: float) -> str:
    """Hours past the turn that the jobs would have had without waiting for clean power."""
    if held_back_h < 0:
        return f"ran {hours(-held_back_h)} before their turn"
    return f"{hours(held_back_h)} past their turn"


def _counts(total: ReportGroup) -> str:
    words = [
        (total.final, "final"),
        (total.provisional, "provisional, to be restated"),
        (total.unverified, "unverified: in the energy, not in the savings"),
        (total.unsettled, "not settled yet"),
    ]
    states = "; ".join(f"{count} {word}" for count, word in words if count)
    return f"{total.jobs} {'job' if total.jobs == 1 else 'jobs'} ran: {states}."


def _energy(total: ReportGroup) -> str:
    if total.energy_kwh is None and not total.unmetered:
        return "Energy: not computed yet."
    text = f"Energy: {_kwh(total.energy_kwh)} at the machines, {_kwh(total.facility_kwh)} with PUE"
    return f"{text}; {total.unmetered} not metered." if total.unmetered else f"{text}."


def _saving(title: str, total: SignalTotal, unverified: int) -> str:
    """The saving under its signal's name; a saving is a footprint that is lower by as much."""
    if total.saved_feasible_g is None or total.saved_hypothetical_g is None:
        return f"{title}: {mass(total.emissions_g)} emitted; no saving is settled."
    if total.signal == "marginal":
        named = f"estimated avoided emissions {mass(total.saved_feasible_g, sign=True)}"
    else:
        named = f"change of the location-based footprint {mass(-total.saved_feasible_g, sign=True)}"
    aside = f", {unverified} unverified beside them" if unverified else ""
    return (
        f"{title}: {named}{_percent(total.saved_feasible_g, total.feasible_g, total.signal != 'marginal')} "
        f"of the {mass(total.feasible_g)} above idle that starting in turn would have emitted "
        f"({total.settled} settled{aside}); "
        f"saved against starting at submission: {mass(total.saved_hypothetical_g, sign=True)}. "
        f"{mass(total.emissions_g)} emitted in all, idle draw included. Source: {'; '.join(total.sources)}."
    )


def _percent(saved: float, baseline: float | None, as_change: bool = False) -> str:
    if not baseline:
        return ""
    return f" ({(-saved if as_change else saved) / baseline:+.1%})"


def _kwh(value: float | None) -> str:
    return energy(None if value is None else value * _J_PER_KWH)


def _cell(value: float | int | None) -> str:
    """Fixed point: readers of this format take `1.5e-05` for 1.5."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.12f}".rstrip("0").rstrip(".")
