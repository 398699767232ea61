"""Attempts that ran, and the energy they used."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tidewatt.backends.meters.reading import How, Span, Usage
from tidewatt.scheduler.accounting.frozen import MICRO, check_pue
from tidewatt.scheduler.accounting.receipt import Component


@dataclass(frozen=True, slots=True)
class AttemptRun:
    """One attempt that ran: where, with which factors, and what it used.

    `zones` maps signal to zone. `productive` is False for an attempt whose work was lost. `pauses` are
    disjoint half-open stretches of Unix milliseconds inside the run, ascending, in which it was suspended.
    """

    attempt_id: str
    region: str
    zones: Mapping[str, str]
    pue: float
    pue_source: str
    usage: Usage
    productive: bool
    pauses: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        check_pue(self.pue, f"region {self.region}")

    @property
    def energy_uj(self) -> int:
        """All energy that is known, PUE not applied."""
        return sum(span.active_uj + span.idle_uj for span in _known(self.usage.spans))

    def stretches(self) -> list[tuple[int, int]]:
        """The half-open stretches of productive running time, pauses left out."""
        if not self.productive:
            return []
        edges = [self.usage.start_ms, *(edge for pause in self.pauses for edge in pause), self.usage.end_ms]
        pairs = zip(edges[::2], edges[1::2], strict=True)
        return [(start, end) for start, end in pairs if end > start]


def productive_ms(runs: Iterable[AttemptRun]) -> int:
    """How long the job ran to a purpose: what immediate execution would have taken."""
    return sum(end - start for run in runs for start, end in run.stretches())


def components(runs: Sequence[AttemptRun]) -> tuple[Component, ...]:
    """Energy by component over all attempts, in alphabetical order."""
    names = {span.component for run in runs for span in run.usage.spans}
    names |= {name for run in runs for name in (*run.usage.coverage, *run.usage.sources)}
    return tuple(_component(name, runs) for name in sorted(names))


def facility_uj(runs: Iterable[AttemptRun]) -> int:
    """Known energy with each attempt's PUE applied, once."""
    return sum(round(run.energy_uj * run.pue) for run in runs)


def notes(runs: Sequence[AttemptRun], parts: Iterable[Component]) -> list[str]:
    """What the meters flagged, and what they did not see."""
    several = len(runs) > 1
    found = [
        f"attempt {run.attempt_id}: {note}" if several else note for run in runs for note in run.usage.notes
    ]
    for part in parts:
        if part.energy_uj is None:
            found.append(f"{part.component}: not metered, so not in any number here")
        elif part.coverage_ppm < MICRO:
            share = f"{part.coverage_ppm / 10_000:.1f} %"
            found.append(f"{part.component}: metered for {share} of the run, the rest is in no number here")
    return found


def _component(name: str, runs: Sequence[AttemptRun]) -> Component:
    spans = [span for run in runs for span in _known(run.usage.spans) if span.component == name]
    sources = [run.usage.sources[name] for run in runs if name in run.usage.sources]
    return Component(
        component=name,
        how=_how(spans),
        source="; ".join(dict.fromkeys(sources)),
        energy_uj=sum(span.active_uj + span.idle_uj for span in spans) if spans else None,
        active_uj=sum(span.active_uj for span in spans) if spans else None,
        coverage_ppm=_coverage_ppm(name, runs) if spans else 0,
    )


def _how(spans: Sequence[Span]) -> How:
    """Modelled as soon as a part of it is."""
    if not spans:
        return How.MISSING
    return How.MODELLED if any(span.how is How.MODELLED for span in spans) else How.MEASURED


def _coverage_ppm(name: str, runs: Sequence[AttemptRun]) -> int:
    lengths_ms = [max(run.usage.end_ms - run.usage.start_ms, 1) for run in runs]
    covered_ms = [
        run.usage.coverage.get(name, 0.0) * length for run, length in zip(runs, lengths_ms, strict=True)
    ]
    return round(sum(covered_ms) / sum(lengths_ms) * MICRO)


def _known(spans: Iterable[Span]) -> list[Span]:
    return [span for span in spans if span.how is not How.MISSING]
