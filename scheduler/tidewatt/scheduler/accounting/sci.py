"""The Software Carbon Intensity of jobs, SCI = ((E x I) + M) per R of ISO/IEC 21031:2024.

E is the energy of all attempts with PUE, idle draw of what was reserved included; I the location-based
intensity that was observed, of one signal, weighted by that energy; M the share of what making the hardware
emitted; R a functional unit. Failed and discarded runs are in E and M: the draft SCI for AI asks for all of
training. What they produced is not in the effective R, and is in the gross one.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tidewatt.scheduler.accounting.experiment import Fate, fate_of
from tidewatt.scheduler.accounting.quantity import counted
from tidewatt.scheduler.accounting.units import J_PER_KWH
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.schemas import JobView, LedgerView, SettlementView

JOB = "job"
COUNTS = {
    "epoch": "epochs",
    "step": "steps",
    "sample": "samples",
    "token": "tokens",
    "parameter": "parameters",
    "flop": "flops",
}
STANDARD = "ISO/IEC 21031:2024 (Software Carbon Intensity 1.1)"


@dataclass(frozen=True, slots=True)
class Range:
    """Grams: lowest, central, highest, as the embodied share is known."""

    low_g: float
    central_g: float
    high_g: float

    def __iter__(self) -> Iterator[float]:
        """Yields them in that order."""
        yield from (self.low_g, self.central_g, self.high_g)


@dataclass(frozen=True, slots=True)
class Terms:
    """Per which unit, whose number may be stated; over how many inferences; what runs the result is of."""

    unit: str = JOB
    amount: int | None = None
    inferences: int | None = None
    kept: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Part:
    """Jobs of one fate: absolute amounts. Energy is None where none was metered; a signal may be absent."""

    jobs: int
    energy_kwh: float | None
    facility_kwh: float | None
    emissions_g: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SignalScore:
    """The score by one signal; of different signals nothing is ever added.

    It is over the `jobs` that have an account by it. `per_unit` divides by the effective number of units,
    `per_unit_gross` by the gross one; None where M or R is not known.
    """

    signal: str
    kind: str
    sources: tuple[str, ...]
    jobs: int
    facility_kwh: float | None
    gco2_per_kwh: float | None
    operational_g: float
    total: Range | None
    per_unit: Range | None
    per_unit_gross: Range | None
    per_inference: Range | None


@dataclass(frozen=True, slots=True)
class Score:
    """A score with everything that has to be disclosed with it."""

    standard: str
    unit: str
    units: int | None
    units_gross: int | None
    units_source: str
    inferences: int | None
    embodied: Range | None
    embodied_jobs: int
    embodied_sources: tuple[str, ...]
    signals: tuple[SignalScore, ...]
    parts: Mapping[str, Part]  # by fate
    total: Part
    pue_sources: tuple[str, ...]
    boundary: tuple[str, ...]
    notes: tuple[str, ...]


def unit_of(word: str) -> str:
    """The unit that was meant: `token`, also for `tokens`.

    Raises:
        BadInput: for one that nobody counts.
    """
    plain = word.strip().lower()
    for unit, name in (*COUNTS.items(), (JOB, "jobs")):
        if plain in (unit, name):
            return unit
    raise BadInput(f"there is no unit {word!r}: choose one of {', '.join((JOB, *COUNTS))}")


def score(jobs: Iterable[JobView], terms: Terms) -> Score:
    """The score of jobs together; those that never ran have none and are left out.

    Raises:
        BadInput: where none of them ran, or `kept` names others.
    """
    ran = [
        _Run.of(job, terms.kept) for job in jobs if job.settlement and any(a.started for a in job.attempts)
    ]
    if not ran:
        raise BadInput("none of these jobs ran and has an account: a score needs one")
    if unknown := sorted(terms.kept - {run.key for run in ran}):
        raise BadInput(f"job {unknown[0]} is not among those that ran here: --kept names runs of this score")
    units, gross, source = _units(ran, terms)
    embodied = _embodied(ran)
    totals = {fate: _part([run for run in ran if run.fate is fate]) for fate in Fate}
    return Score(
        standard=STANDARD,
        unit=terms.unit,
        units=units,
        units_gross=gross,
        units_source=source,
        inferences=terms.inferences,
        embodied=embodied,
        embodied_jobs=sum(run.account.embodied is not None for run in ran),
        embodied_sources=_once(text for run in ran for text in _made_by(run.account)),
        signals=tuple(_signal(key, ran, units, gross, terms.inferences) for key in _keys(ran)),
        parts={str(fate): part for fate, part in totals.items() if part.jobs},
        total=_part(ran),
        pue_sources=_once(f"PUE {run.account.pue:g} ({run.account.pue_source})" for run in ran),
        boundary=_once(run.account.boundary for run in ran),
        notes=tuple(_notes(ran, terms, units)),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    key: str
    fate: Fate
    account: SettlementView

    @classmethod
    def of(cls, job: JobView, kept: Collection[str]) -> "_Run":
        assert job.settlement is not None  # noqa: S101 - the caller has looked
        key = job.key or str(job.id)
        return cls(key, fate_of(job.state, job.labels, key, kept), job.settlement)

    @property
    def redone(self) -> bool:
        """True where work was lost and done again, so that its counts hold some of it twice."""
        return any(phase.lost and phase.seconds > 0 for phase in self.account.phases)


def _units(ran: Sequence[_Run], terms: Terms) -> tuple[int | None, int | None, str]:
    """Effective and gross number of units, and who says so; None where nobody does."""
    if terms.amount is not None:
        return terms.amount, None, "stated"
    kept = [run for run in ran if run.fate is Fate.KEPT]
    if terms.unit == JOB:
        return len(kept) or None, len(ran), "kept"
    return _counted(kept, terms.unit), _counted(ran, terms.unit), "as the training script reported"


def _counted(runs: Sequence[_Run], unit: str) -> int | None:
    """What was counted; None where one of the runs reported none, or all of them zero."""
    counts = [run.account.counts.get(COUNTS[unit]) for run in runs]
    if not counts or None in counts:
        return None
    known = [count for count in counts if count is not None]
    return (max(known) if unit == "parameter" else sum(known)) or None  # parameters are the model's


def _keys(ran: Iterable[_Run]) -> list[tuple[str, str]]:
    return sorted({(ledger.signal, ledger.kind) for run in ran for ledger in run.account.ledgers})


def _signal(
    key: tuple[str, str], ran: Sequence[_Run], units: int | None, gross: int | None, inferences: int | None
) -> SignalScore:
    pairs = [(run, ledger) for run in ran if (ledger := _ledger(run, key)) is not None]
    operational_g = sum(ledger.g for _, ledger in pairs)
    joules = [run.account.facility_j for run, _ in pairs if run.account.facility_j is not None]
    kwh = sum(joules) / J_PER_KWH if joules else None
    embodied = _embodied([run for run, _ in pairs])
    total = None if embodied is None else Range(*(operational_g + each for each in embodied))
    return SignalScore(
        signal=key[0],
        kind=key[1],
        sources=_once(ledger.source for _, ledger in pairs),
        jobs=len(pairs),
        facility_kwh=kwh,
        gco2_per_kwh=operational_g / kwh if kwh else None,
        operational_g=operational_g,
        total=total,
        per_unit=_over(total, units),
        per_unit_gross=_over(total, gross),
        per_inference=_over(total, inferences),
    )


def _ledger(run: _Run, key: tuple[str, str]) -> LedgerView | None:
    return next((each for each in run.account.ledgers if (each.signal, each.kind) == key), None)


def _over(total: Range | None, units: int | None) -> Range | None:
    return None if total is None or not units else Range(*(each / units for each in total))


def _embodied(ran: Iterable[_Run]) -> Range | None:
    """The sum of what is known; None where it is of no run."""
    known = [run.account.embodied for run in ran if run.account.embodied is not None]
    if not known:
        return None
    return Range(
        sum(each.low_g for each in known),
        sum(each.central_g for each in known),
        sum(each.high_g for each in known),
    )


def _made_by(account: SettlementView) -> tuple[str, ...]:
    return () if account.embodied is None else account.embodied.sources


def _part(runs: Sequence[_Run]) -> Part:
    grams: dict[str, float] = {}
    for ledger in (ledger for run in runs for ledger in run.account.ledgers):
        grams[ledger.signal] = grams.get(ledger.signal, 0.0) + ledger.g
    return Part(
        jobs=len(runs),
        energy_kwh=_kwh(run.account.energy_j for run in runs),
        facility_kwh=_kwh(run.account.facility_j for run in runs),
        emissions_g=dict(sorted(grams.items())),
    )


def _kwh(joules: Iterable[float | None]) -> float | None:
    known = [each for each in joules if each is not None]
    return sum(known) / J_PER_KWH if known else None


def _notes(ran: Sequence[_Run], terms: Terms, units: int | None) -> Iterable[str]:
    if not units:
        kept = "no run was kept" if terms.unit == JOB else f"a run that was kept reported no {terms.unit}s"
        yield f"no score per {terms.unit}: {kept}; state their number with --unit"
    elif terms.amount is None and terms.unit not in (JOB, "parameter") and any(run.redone for run in ran):
        yield f"work that was lost and done again is counted twice in {terms.unit}s: state them with --unit"
    without = sum(run.account.embodied is None for run in ran)
    if without:
        yield f"hardware of {counted(without, 'job')} is not known: its making is in no number here"
    unmetered = sum(run.account.energy_j is None for run in ran)
    if unmetered:
        yield f"{counted(unmetered, 'job')} not metered: in no number here"
    lacking = [(key[0], sum(_ledger(run, key) is None for run in ran)) for key in _keys(ran)]
    for signal, count in lacking:
        if count:
            yield f"{signal}: {counted(count, 'job')} without an account by it"
    open_ones = sum(run.account.state not in ("final", "unverified") for run in ran)
    if open_ones:
        yield f"{counted(open_ones, 'job')} may still be restated"


def _once(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in words if word))
