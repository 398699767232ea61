"""A statement for the impact section of a paper or a model card: text, LaTeX and Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from tidewatt.backends.meters.energy import COMPONENTS_ONLY
from tidewatt.scheduler.accounting.difference import less, named, share
from tidewatt.scheduler.accounting.experiment import Fate
from tidewatt.scheduler.accounting.quantity import counted, hours, kwh, mass
from tidewatt.scheduler.accounting.report_schema import Report, SignalTotal
from tidewatt.scheduler.accounting.report_words import STARTS, band, not_over, quantified, saved_g, with_own
from tidewatt.scheduler.exports.facts import Facts, embodied
from tidewatt.scheduler.exports.words import few, pues, zones

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "₂": r"\textsubscript{2}", "µ": r"\textmu{}",
}  # fmt: skip
_MOST = 6  # models, zones or sources that are named
_NAMES = {"average": "average (location-based footprint)", "marginal": "marginal (of one more kWh)"}


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table: what, how much, how got."""

    what: str
    value: str
    how: str


def statement(report: Report, receipts: Sequence[Facts]) -> list[str]:
    """The sentences, in order; each says how its numbers were got, and the last what is not covered."""
    if not report.total.jobs:
        return ["No job ran and ended in this time, so there is nothing to state.", *not_over(report)]
    return [
        _used(report, receipts),
        *(_emitted(each, report) for each in report.total.signals),
        *_headline(report),
        *_own(report),
        *not_over(report),
        _not_covered(report, receipts),
    ]


def lines(report: Report, receipts: Sequence[Facts]) -> list[Line]:
    """The table's rows: absolute numbers first, then what they stand on."""
    total = report.total
    found = [
        Line("Jobs", str(total.jobs), _states(report)),
        Line("Energy at the machines", kwh(total.energy_kwh), _hows(receipts)),
        Line("Energy with PUE", kwh(total.facility_kwh), f"PUE {_pues(receipts)}"),
    ]
    for each in total.signals:
        found.append(Line(f"Emissions, {each.signal}", mass(each.emissions_g), "; ".join(each.sources)))
        found += _saving_lines(each, report)
    span = _span(receipts)
    return [
        *found,
        Line("Hardware", _hardware(receipts), "as the drivers name it"),
        Line("Machine hours", _machine_hours(receipts), _gpu_hours(receipts)),
        Line("Place", _places(receipts), "grid zones"),
        *([Line("Time", span, "first start to last end, UTC")] if span else []),
    ]


def plain_text(report: Report, receipts: Sequence[Facts]) -> str:
    """The statement as text."""
    return "\n".join(statement(report, receipts)) + "\n"


def markdown(report: Report, receipts: Sequence[Facts]) -> str:
    """The statement and its table in Markdown."""
    rows = [(each.what, each.value, each.how) for each in lines(report, receipts)]
    table = ["| | | how it was got |", "| --- | --- | --- |"]
    table += [f"| {' | '.join(_md(cell) for cell in row)} |" for row in rows]
    return "\n\n".join([*map(_md, statement(report, receipts)), "\n".join(table)]) + "\n"


def latex(report: Report, receipts: Sequence[Facts]) -> str:
    """The statement and its table in LaTeX; it needs no package."""
    rows = [(each.what, each.value, each.how) for each in lines(report, receipts)]
    body = "\n".join(" & ".join(_tex(cell) for cell in row) + r" \\" for row in rows)
    return "\n".join(
        [
            *(f"{_tex(each)}\n" for each in statement(report, receipts)),
            r"\begin{tabular}{lp{0.3\linewidth}p{0.4\linewidth}}",
            r"\hline",
            r" & & How it was got \\",
            r"\hline",
            body,
            r"\hline",
            r"\end{tabular}",
            "",
        ]
    )


def _used(report: Report, receipts: Sequence[Facts]) -> str:
    total = report.total
    runs = counted(total.jobs, "training run")
    fates = [each.fate for each in receipts]
    words = ((Fate.FAILED, "failed or cancelled"), (Fate.DISCARDED, "discarded"))
    counts = [f"{fates.count(fate)} of them {word}" for fate, word in words if fate in fates]
    runs += f", {', '.join(counts)}," if counts else ""
    unmetered = f"; {total.unmetered} of the runs were not metered" if total.unmetered else ""
    return (
        f"{runs} on {_hardware(receipts)} in {_places(receipts)} used {kwh(total.energy_kwh)} at the"
        f" machines and {kwh(total.facility_kwh)} with a PUE of {_pues(receipts)} ({_hows(receipts)}),"
        f" over {_machine_hours(receipts)}{_bracketed(_gpu_hours(receipts))}{unmetered}."
    )


def _emitted(total: SignalTotal, report: Report) -> str:
    few = f", of {total.jobs} of {report.total.jobs} jobs" if total.jobs < report.total.jobs else ""
    return (
        f"By the {_NAMES.get(total.signal, total.signal)} carbon intensity observed while they ran"
        f" ({'; '.join(total.sources[:_MOST])}; {total.kind}) they emitted {mass(total.emissions_g)}"
        f" CO₂{'eq' if 'CO2eq' in total.kind else ''}{few}, idle draw included."
    )


def _headline(report: Report) -> list[str]:
    """What may be said of savings; none where the signals disagree."""
    if report.total.signals_disagree:
        return [
            "The average and the marginal signal disagree on whether running when the grid was cleaner saved"
            " carbon, so no saving is claimed."
        ]
    return [text for each in report.total.signals if (text := _saving(each, report))]


def _saving(total: SignalTotal, report: Report) -> str:
    value, baseline = saved_g(total, report.baseline), getattr(total, f"{report.baseline}_g")
    if value is None or not baseline:
        return ""
    found = filter(None, [share(value, baseline), _range(total), f"grade: {total.grade or 'none'}"])
    return (
        f"By the {total.signal} signal, the settled jobs emitted {mass(total.actual_g)} above idle"
        f"{with_own(report, total)}, where starting {STARTS[report.baseline]} would have emitted"
        f" {mass(baseline)} with the same metered power profile: {named(total.signal, value)}"
        f" ({'; '.join(found)}; {counted(total.settled, 'settled job')})."
    )


def _range(total: SignalTotal) -> str:
    return f"90 % interval {band(total)}" if quantified(total) else "how far that may be off is not known"


def _saving_lines(total: SignalTotal, report: Report) -> list[Line]:
    value = saved_g(total, report.baseline)
    if value is None or report.total.signals_disagree:
        why = "not settled" if value is None else "the signals disagree"
        return [Line(f"Saving, {total.signal}", "none claimed", why)]
    how = f"{total.grade or 'no grade'}; {_range(total)}"
    baseline = mass(getattr(total, f"{report.baseline}_g"))
    before = f"settled jobs{with_own(report, total)}; starting {STARTS[report.baseline]}: {baseline}"
    return [
        Line(f"Emissions above idle, {total.signal}", mass(total.actual_g), before),
        Line(f"Saving, {total.signal}", less(value), how),
    ]


def _own(report: Report) -> list[str]:
    if report.own is None:
        return []
    if report.own.energy_kwh is None:
        return ["What the scheduler itself used was not metered and is in no number."]
    return [f"The scheduler itself used {kwh(report.own.energy_kwh)} ({report.own.how})."]


def _not_covered(report: Report, receipts: Sequence[Facts]) -> str:
    bounds = list(dict.fromkeys(each.account.boundary for each in receipts if each.account.boundary))
    found = [each for each in bounds if each.startswith(COMPONENTS_ONLY)]
    within = "".join(f" Covered: {each}." for each in bounds if each not in found)
    found += (
        [f"{_are(report.total.unverified, 'unverified job')} in no saving"] if report.total.unverified else []
    )
    found += [f"{_are(report.total.unsettled, 'job')} not settled"] if report.total.unsettled else []
    lacking = "disposing of the hardware, networks, storage elsewhere and people"
    made = embodied(receipts)
    found += [made, lacking] if made else [f"making and {lacking}"]
    errors = dict.fromkeys(
        name for each in report.total.signals if each.interval for name in each.interval.not_quantified
    )
    if errors and not report.total.signals_disagree:
        found.append(f"in no interval are the errors of {few(errors, _MOST)}")
    return (
        f"Method: Tidewatt {version('tidewatt')}, metered energy x observed intensity x PUE; average and"
        f" marginal are never added.{within} Not covered: {'; '.join(found)}."
    )


def _are(count: int, thing: str) -> str:
    """For example `1 job is`, `3 jobs are`."""
    return f"{counted(count, thing)} {'is' if count == 1 else 'are'}"


def _states(report: Report) -> str:
    total = report.total
    words = ("final", "provisional", "unverified", "unsettled")
    return ", ".join(f"{getattr(total, word)} {word}" for word in words if getattr(total, word))


def _hows(receipts: Sequence[Facts]) -> str:
    return few((each.hows for each in receipts), _MOST) or "not metered"


def _pues(receipts: Sequence[Facts]) -> str:
    return few(pues(receipts), _MOST) or "unknown"


def _hardware(receipts: Sequence[Facts]) -> str:
    models = (
        (each.gpu_model or "GPUs of unknown model") if each.job.gpus else each.cpu_model for each in receipts
    )
    return few(models, _MOST) or "hardware of unknown model"


def _places(receipts: Sequence[Facts]) -> str:
    return few(zones(receipts), _MOST) or "an unknown zone"


def _machine_hours(receipts: Sequence[Facts]) -> str:
    known = [each.held_s for each in receipts if each.held_s is not None]
    return f"{hours(sum(known) / 3600)} of running" if known else "an unknown time"


def _gpu_hours(receipts: Sequence[Facts]) -> str:
    used = sum(each.job.gpus * (each.held_s or 0) for each in receipts) / 3600
    return f"{used:,.1f} GPU-hours" if used else ""


def _span(receipts: Sequence[Facts]) -> str:
    starts = [each.started for each in receipts if each.started is not None]
    ends = [each.ended for each in receipts if each.ended is not None]
    return f"{min(starts):%Y-%m-%d} to {max(ends):%Y-%m-%d}" if starts and ends else ""


def _bracketed(text: str) -> str:
    return f" ({text})" if text else ""


def _tex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in _line(text))


def _md(text: str) -> str:
    """Text that Markdown shows as it is, in a table or outside."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>|#" else letter for letter in _line(text))


def _line(text: str) -> str:
    """Text on one line, without letters that steer."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
