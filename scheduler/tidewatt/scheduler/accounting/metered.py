"""Attempts that ran, and the energy they used."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tidewatt.backends.meters.counter import NODE
from tidewatt.backends.meters.energy import COMPONENTS_ONLY
from tidewatt.backends.meters.reading import HOWS, How, Usage
from tidewatt.backends.meters.remainder import OVERHEAD
from tidewatt.scheduler.accounting.frozen import MICRO, check_pue
from tidewatt.scheduler.accounting.pairs import Efficiency
from tidewatt.scheduler.accounting.phases import Phase, Progress, Stretch
from tidewatt.scheduler.accounting.receipt import Component

_WITHOUT_PROCESS = frozenset({Phase.WAITING, Phase.LAUNCHING})


@dataclass(frozen=True, slots=True)
class Move:
    """Data brought to the attempt's region from another: energy with the range that its source declares.

    `zones` are those of where the data came from, by signal; `at_ms` is the launch, and prices it.
    """

    energy_uj: int
    low_uj: int
    high_uj: int
    source: str
    origin: str
    zones: Mapping[str, str]
    at_ms: int


@dataclass(frozen=True, slots=True)
class AttemptRun:
    """One attempt that ran: where, with which factors, what it used and what it achieved.

    `zones` maps signal to zone. `efficiency` compares its hardware with home's, None where that is the same.
    """

    attempt_id: str
    region: str
    zones: Mapping[str, str]
    pue: float
    pue_source: str
    usage: Usage
    progress: Progress
    efficiency: Efficiency | None = None
    move: Move | None = None
    gpu_model: str = ""  # "": not known

    def __post_init__(self) -> None:
        check_pue(self.pue, f"region {self.region}")

    @property
    def pue_micro(self) -> int:
        """The region's PUE in millionths."""
        return round(self.pue * MICRO)

    @property
    def energy_uj(self) -> int:
        """All energy that is known, PUE not applied."""
        return sum(sum(amounts) for amounts in self.amounts().values())

    def amounts(self) -> dict[tuple[str, How], tuple[int, int]]:
        """Active and idle microjoules by component and way of metering, of what is known."""
        found: dict[tuple[str, How], tuple[int, int]] = {}
        for component in self.usage.components:
            columns = self.usage.columns(component)
            for code, how in enumerate(HOWS):
                rows = columns.how == code
                if how is not How.MISSING and rows.any():
                    amounts = columns.active_uj[rows].sum(), columns.idle_uj[rows].sum()
                    found[component, how] = int(amounts[0]), int(amounts[1])
        return found

    @property
    def launched_ms(self) -> int:
        """When it was launched; where nobody said, when it started."""
        return min([each.start_ms for each in self.progress.stretches] + [self.usage.start_ms])

    @property
    def kept_until_ms(self) -> int:
        """The work done before that instant counts, on the clock of the usage."""
        started = [each.end_ms for each in self.progress.stretches]
        if self.progress.kept_until_ms >= max(started, default=0):
            return self.usage.end_ms
        return min(self.progress.kept_until_ms, self.usage.end_ms)

    def stretches(self) -> list[tuple[Stretch, bool]]:
        """What it did from its start to its end, without holes; True: lost, no later attempt kept it."""
        found = []
        for stretch in self._whole():
            running, kept = stretch.phase is Phase.RUNNING, self.kept_until_ms
            if running and stretch.start_ms < kept < stretch.end_ms:
                found += [
                    (replace(stretch, end_ms=kept), False),
                    (replace(stretch, start_ms=kept), True),
                ]
            else:
                found.append((stretch, running and stretch.start_ms >= kept))
        return found

    def productive(self) -> list[tuple[int, int]]:
        """The half-open stretches of running time that count."""
        return [
            (stretch.start_ms, stretch.end_ms)
            for stretch, lost in self.stretches()
            if stretch.phase is Phase.RUNNING and not lost
        ]

    def _whole(self) -> Iterator[Stretch]:
        """The stretches with a process, clipped to the usage; where somebody set the clock its end counts."""
        start_ms, end_ms = self.usage.start_ms, self.usage.end_ms
        inside = [
            each
            for each in self.progress.stretches
            if each.phase not in _WITHOUT_PROCESS and each.start_ms < end_ms and each.end_ms > start_ms
        ] or [Stretch(Phase.RUNNING, start_ms, end_ms)]
        edges = [start_ms, *(each.start_ms for each in inside[1:]), end_ms]
        for stretch, first, last in zip(inside, edges, edges[1:], strict=False):
            if last > first:
                yield replace(stretch, start_ms=first, end_ms=last)


def productive_ms(runs: Iterable[AttemptRun]) -> int:
    """How long the job ran to a purpose: what immediate execution would have taken."""
    return sum(end - start for run in runs for start, end in run.productive())


def components(runs: Sequence[AttemptRun]) -> tuple[Component, ...]:
    """Energy by component over all attempts, in alphabetical order."""
    amounts: dict[tuple[str, How], tuple[int, int]] = {}
    for run in runs:
        for key, (active_uj, idle_uj) in run.amounts().items():
            before = amounts.get(key, (0, 0))
            amounts[key] = before[0] + active_uj, before[1] + idle_uj
    names = {name for name, _ in amounts}
    names |= {name for run in runs for name in (*run.usage.coverage, *run.usage.sources)}
    return tuple(_component(name, runs, amounts) for name in sorted(names))


def facility_uj(runs: Iterable[AttemptRun]) -> int:
    """Known energy with each attempt's PUE applied, once."""
    return sum((run.energy_uj * run.pue_micro + MICRO // 2) // MICRO for run in runs)


def boundary(parts: Iterable[Component]) -> str:
    """What the meters saw of the machine."""
    known = {part.component: part for part in parts if part.energy_uj is not None}
    if OVERHEAD in known:
        return f"components and node overhead: {known[OVERHEAD].source}"
    return f"the node, as its engine reports it: {known[NODE].source}" if NODE in known else COMPONENTS_ONLY


def notes(runs: Sequence[AttemptRun], parts: Iterable[Component]) -> list[str]:
    """What the meters flagged, and what they did not see."""
    several = len(runs) > 1
    found = [
        f"attempt {run.attempt_id}: {note}" if several else note
        for run in runs
        for note in run.usage.notes
        if note != COMPONENTS_ONLY  # said once, as the boundary
    ]
    for part in parts:
        if part.energy_uj is None:
            found.append(f"{part.component}: not metered, so not in any number here")
        elif part.coverage_ppm < MICRO:
            share = f"{part.coverage_ppm / 10_000:.1f} %"
            found.append(f"{part.component}: metered for {share} of the run, the rest is in no number here")
    return found


def _component(
    name: str, runs: Sequence[AttemptRun], amounts: Mapping[tuple[str, How], tuple[int, int]]
) -> Component:
    """One component; modelled as soon as a part of it is."""
    own = {how: both for (component, how), both in amounts.items() if component == name}
    sources = [run.usage.sources[name] for run in runs if name in run.usage.sources]
    modelled_uj = sum(own.get(How.MODELLED, (0, 0)))
    return Component(
        component=name,
        how=How.MODELLED if How.MODELLED in own else How.MEASURED if own else How.MISSING,
        source="; ".join(dict.fromkeys(sources)),
        energy_uj=sum(sum(both) for both in own.values()) if own else None,
        active_uj=sum(active_uj for active_uj, _ in own.values()) if own else None,
        coverage_ppm=_coverage_ppm(name, runs) if own else 0,
        modelled_uj=modelled_uj,
    )


def _coverage_ppm(name: str, runs: Sequence[AttemptRun]) -> int:
    lengths_ms = [max(run.usage.end_ms - run.usage.start_ms, 1) for run in runs]
    covered_ms = [
        run.usage.coverage.get(name, 0.0) * length for run, length in zip(runs, lengths_ms, strict=True)
    ]
    return round(sum(covered_ms) / sum(lengths_ms) * MICRO)
