"""Receipts as metrics, in Prometheus' text format 0.0.4 or as OpenMetrics 1.0.

Names follow both: base units, `_total` for what only grows; each family has a help text and one type. Energy
of an ended job never changes, so it is a counter; emissions and savings are restated when the grid's final
data come, and savings may be negative, so they are gauges. What is not known has no sample.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tidewatt.scheduler.accounting.report_schema import Report, SignalTotal
from tidewatt.scheduler.accounting.units import J_PER_KWH
from tidewatt.scheduler.exports.facts import Facts, facts
from tidewatt.scheduler.exports.fixed_point import fixed
from tidewatt.scheduler.schemas import JobView, LedgerView

MEDIA_TYPE = "application/openmetrics-text"
_UNITS = ("joules", "grams", "seconds", "ratio")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name, with `_total` where it is a counter, and its samples."""

    name: str
    help: str
    samples: list[tuple[Labels, float | int]] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Its type."""
        return "counter" if self.name.endswith("_total") else "gauge"

    def add(self, value: float | int | None, **labels: str) -> None:
        """Adds a sample where the value is known."""
        if value is not None:
            self.samples.append(({name: text for name, text in labels.items() if text}, value))


def text(jobs: Iterable[JobView], report: Report, *, openmetrics: bool = False) -> str:
    """The receipts of jobs and the sums of a report over the same time."""
    return rendered([*_jobs(facts(jobs)), *_sums(report)], openmetrics)


def rendered(families: Iterable[Family], openmetrics: bool) -> str:
    """Families as text; those without samples are left out."""
    lines = [line for each in families if each.samples for line in _lines(each, openmetrics)]
    return "\n".join([*lines, "# EOF" if openmetrics else ""]) + ("\n" if openmetrics else "")


def content_type(openmetrics: bool) -> str:
    """The media type of an answer."""
    if openmetrics:
        return f"{MEDIA_TYPE}; version=1.0.0; charset=utf-8"
    return "text/plain; version=0.0.4; charset=utf-8"


def _lines(family: Family, openmetrics: bool) -> Iterator[str]:
    name = family.name.removesuffix("_total") if openmetrics else family.name
    yield f"# HELP {name} {family.help}"
    yield f"# TYPE {name} {family.kind}"
    unit = name.removesuffix("_total").rpartition("_")[2]
    if openmetrics and unit in _UNITS:
        yield f"# UNIT {name} {unit}"
    for labels, value in family.samples:
        said = ",".join(f'{key}="{_escaped(word)}"' for key, word in labels.items())
        yield f"{family.name}{{{said}}} {fixed(value)}" if said else f"{family.name} {fixed(value)}"


def _escaped(word: str) -> str:
    """A label's value; also line breaks that only some readers take for one stay within the line."""
    for letter, escape in _ESCAPES.items():
        word = word.replace(letter, escape)
    return "".join(letter if letter.isprintable() else " " for letter in word)


def _jobs(receipts: Iterable[Facts]) -> Iterator[Family]:
    parts: dict[str, Family] = {}
    covered = Family("tidewatt_job_metered_ratio", "Share of the job's run that was metered, by component.")
    facility = Family("tidewatt_job_facility_joules_total", "Energy of an ended job with PUE applied.")
    held = Family("tidewatt_job_held_seconds_total", "Time for which an ended job held its machine.")
    waited = Family("tidewatt_job_waited_seconds", "Time from submission to start of an ended job.")
    emitted = Family("tidewatt_job_emissions_grams", "CO2 of an ended job by signal, idle draw and PUE in.")
    saved = Family("tidewatt_job_saved_grams", "CO2 saved by an ended job, draw above idle; may be negative.")
    for each in receipts:
        labels = {"job": each.key, "project": each.job.project, "user": each.job.user}
        for part in each.account.components:
            family = parts.setdefault(part.component, _component(part.component))
            joules = part.energy_j
            family.add(joules, **labels, gpu_uuid=_gpu(each, part.component), method=part.how)
            covered.add(part.coverage, **labels, component=part.component)
        facility.add(each.account.facility_j, **labels, pue_source=each.account.pue_source)
        held.add(each.held_s, **labels)
        waited.add(each.account.waited_s, **labels)
        for ledger in each.account.ledgers:
            emitted.add(ledger.g, **labels, signal=ledger.signal, kind=ledger.kind)
            _savings(saved, ledger, labels)
    yield from (parts[name] for name in sorted(parts))
    yield from (facility, held, waited, emitted, saved, covered)


def _component(name: str) -> Family:
    word = "".join(letter if letter.isalnum() else "_" for letter in name.lower())
    return Family(f"tidewatt_job_{word}_joules_total", f"Energy of an ended job, component {name}, no PUE.")


def _gpu(receipt: Facts, component: str) -> str:
    """The GPU's UUID, where the job had one alone."""
    uuids = {uuid for attempt in receipt.attempts for uuid in attempt.gpu_uuids}
    return uuids.pop() if component == "gpu" and len(uuids) == 1 else ""


def _savings(family: Family, ledger: LedgerView | SignalTotal, labels: Labels) -> None:
    for baseline in ("feasible", "hypothetical"):
        value = getattr(ledger, f"saved_{baseline}_g")
        family.add(value, **labels, signal=ledger.signal, kind=ledger.kind, baseline=baseline)


def _sums(report: Report) -> Iterator[Family]:
    """Sums over the report's time: gauges, as that time moves on."""
    total = report.total
    jobs = Family("tidewatt_report_jobs", "Ended jobs in the report's time, by how far they are settled.")
    for state in ("provisional", "final", "unverified", "unsettled"):
        jobs.add(getattr(total, state), state=state)
    energy = Family("tidewatt_report_energy_joules", "Energy of the jobs, no PUE.")
    facility = Family("tidewatt_report_facility_joules", "Energy of the jobs with PUE applied.")
    own = Family("tidewatt_report_own_joules", "Energy that Tidewatt itself used.")
    energy.add(_joules(total.energy_kwh))
    facility.add(_joules(total.facility_kwh))
    own.add(None if report.own is None else _joules(report.own.energy_kwh))
    emitted = Family("tidewatt_report_emissions_grams", "CO2 of the jobs by signal, idle draw and PUE in.")
    saved = Family("tidewatt_report_saved_grams", "CO2 saved by settled jobs; may be negative.")
    low = Family("tidewatt_report_saved_low_grams", "Lower end of the saving's 90 % interval.")
    high = Family("tidewatt_report_saved_high_grams", "Upper end of the saving's 90 % interval.")
    covered = Family("tidewatt_report_saved_covered_ratio", "Share of what is at stake with a known error.")
    for each in total.signals:
        labels = {"signal": each.signal, "kind": each.kind}
        emitted.add(each.emissions_g, **labels)
        _savings(saved, each, {})
        if each.interval is not None and each.interval.quantified:
            low.add(each.interval.low_g, **labels, baseline=report.baseline)
            high.add(each.interval.high_g, **labels, baseline=report.baseline)
            covered.add(each.interval.covered, **labels, baseline=report.baseline)
    yield from (jobs, energy, facility, own, emitted, saved, low, high, covered)


def _joules(kwh: float | None) -> float | None:
    return None if kwh is None else kwh * J_PER_KWH
