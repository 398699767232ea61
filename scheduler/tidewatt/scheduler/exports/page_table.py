"""Tables of the page: groups of a report and its jobs, a bar beside each number."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tidewatt.scheduler.accounting.quantity import kwh, mass
from tidewatt.scheduler.accounting.report_schema import Report, ReportGroup, SignalTotal
from tidewatt.scheduler.accounting.report_words import Key, by_key, saved_g, titles_of
from tidewatt.scheduler.exports import charts
from tidewatt.scheduler.exports.facts import Facts

MOST_ROWS = 15  # of a table of groups; the rest is one row
MOST_JOBS = 40
NO_CHART = Markup("")


@dataclass(frozen=True, slots=True)
class Cell:
    """A number in words, its bar, and what is said in small letters below."""

    text: str
    chart: Markup = NO_CHART
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first cell of a row names it. `note` stands below."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


def groups(report: Report, title: str, word: str) -> Table:
    """Energy, emissions and savings of each group; of many the largest, in order of their energy."""
    named = titles_of(report)
    ranked = list(report.groups)
    if report.by not in ("day", "month"):
        ranked.sort(key=lambda group: (-(group.facility_kwh or 0), group.key))
    kept = ranked[:MOST_ROWS] if report.by not in ("day", "month") else ranked[-36:]
    columns = [_energy_column(kept)]
    for key in named:
        columns += [_emitted_column(kept, key), _saved_column(kept, key, report.baseline)]
    head = [word, "Jobs", "Energy, with PUE"]
    for name in named.values():
        head += [f"Emitted, {name}", f"Saved, {name}"]
    rows = [
        (
            Cell(group.key or "(none)"),
            Cell(f"{group.jobs:,}", note=_states(group)),
            *(one(group) for one in columns),
        )
        for group in kept
    ]
    hidden = len(ranked) - len(kept)
    note = f"{hidden} more are in the totals and not in this table." if hidden else ""
    return Table(title, tuple(head), tuple(rows), note)


def jobs(receipts: Sequence[Facts], report: Report) -> Table:
    """The jobs that emitted or would have emitted most: what each did against its baseline."""
    signals = list(dict.fromkeys(signal for signal, _ in titles_of(report)))
    ranked = sorted(receipts, key=lambda each: (-(each.facility_kwh or 0), each.job.id))[:MOST_JOBS]
    tops = {signal: _top(ranked, signal, report.baseline) for signal in signals}
    most = max((each.facility_kwh or 0 for each in ranked), default=0.0)
    head = ["Job", "Ended", "Energy, with PUE"]
    for signal in signals:
        head += [f"Emitted, {signal}", f"Saved, {signal} (baseline to actual)"]
    rows = []
    for each in ranked:
        ended = "" if each.ended is None else f"{each.ended:%Y-%m-%d %H:%M}"
        cells = [
            Cell(_label(each), note=_aside(each)),
            Cell(ended or "unknown", note=each.account.state),
            Cell(kwh(each.facility_kwh), charts.bar(each.facility_kwh, most)),
        ]
        for signal in signals:
            cells += _pair(each, signal, report.baseline, tops[signal])
        rows.append(tuple(cells))
    hidden = len(receipts) - len(ranked)
    note = "Open mark: the baseline; filled mark: actual, above idle."
    note += f" The {len(ranked)} jobs of {len(receipts):,} that used most." if hidden else ""
    return Table("Jobs", tuple(head), tuple(rows), note)


def _energy_column(kept: Sequence[ReportGroup]) -> Callable[[ReportGroup], Cell]:
    most = max((group.facility_kwh or 0 for group in kept), default=0.0)
    return lambda group: Cell(
        kwh(group.facility_kwh), charts.bar(group.facility_kwh, most), _unmetered(group)
    )


def _emitted_column(kept: Sequence[ReportGroup], key: Key) -> Callable[[ReportGroup], Cell]:
    most = max((found.emissions_g for group in kept if (found := _of(group, key))), default=0.0)

    def cell(group: ReportGroup) -> Cell:
        found = _of(group, key)
        if found is None:
            return Cell("unknown")
        few = f"of {found.jobs} of {group.jobs} jobs" if found.jobs < group.jobs else ""
        return Cell(mass(found.emissions_g), charts.bar(found.emissions_g, most, "emitted"), few)

    return cell


def _saved_column(kept: Sequence[ReportGroup], key: Key, baseline: str) -> Callable[[ReportGroup], Cell]:
    values = [value for group in kept if (value := _saved(group, key, baseline)) is not None]
    low, high = min(values, default=0.0), max(values, default=0.0)

    def cell(group: ReportGroup) -> Cell:
        found = _of(group, key)
        value = _saved(group, key, baseline)
        if found is None or value is None:
            return Cell("unknown")
        note = "; ".join(filter(None, [percent(value, getattr(found, f"{baseline}_g")), found.grade]))
        return Cell(mass(value, sign=True), charts.diverging(value, low, high), note)

    return cell


def percent(value: float, of: float | None) -> str:
    """A share with its sign: "+18.0 %"."""
    return f"{100 * value / of:+.1f} %" if of else ""


def _of(group: ReportGroup, key: Key) -> SignalTotal | None:
    return by_key(group).get(key)


def _saved(group: ReportGroup, key: Key, baseline: str) -> float | None:
    found = _of(group, key)
    return None if found is None else saved_g(found, baseline)


def _states(group: ReportGroup) -> str:
    words = [(group.unverified, "unverified"), (group.unsettled, "not settled")]
    return ", ".join(f"{count} {word}" for count, word in words if count)


def _unmetered(group: ReportGroup) -> str:
    return f"{group.unmetered} not metered" if group.unmetered else ""


def _label(receipt: Facts) -> str:
    return f"{receipt.key} {receipt.job.name}".strip()


def _aside(receipt: Facts) -> str:
    words = [receipt.job.project, receipt.job.user, receipt.job.state if receipt.job.state != "done" else ""]
    return ", ".join(filter(None, words))


def _top(receipts: Sequence[Facts], signal: str, baseline: str) -> float:
    found = [ledger for each in receipts if (ledger := each.ledger(signal)) is not None]
    return max((max(each.actual_g, getattr(each, f"{baseline}_g") or 0) for each in found), default=0.0)


def _pair(receipt: Facts, signal: str, baseline: str, most: float) -> list[Cell]:
    ledger = receipt.ledger(signal)
    if ledger is None:
        return [Cell("unknown"), Cell("unknown")]
    emitted = Cell(mass(ledger.g))
    before = getattr(ledger, f"{baseline}_g")
    if before is None:
        return [emitted, Cell("no baseline")]
    value = before - ledger.actual_g
    note = "; ".join(filter(None, [percent(value, before), ledger.grade]))
    return [emitted, Cell(mass(value, sign=True), charts.dumbbell(before, ledger.actual_g, most), note)]
