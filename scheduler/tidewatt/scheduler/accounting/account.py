"""One signal's account of a job: what it emitted, and what immediate execution would have emitted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate, pairwise
from operator import mul

from tidewatt.scheduler.accounting.emission import micrograms
from tidewatt.scheduler.accounting.frozen import MICRO, Frozen
from tidewatt.scheduler.accounting.levers import Exposure, Levers
from tidewatt.scheduler.accounting.metered import AttemptRun
from tidewatt.scheduler.accounting.observed import Observed
from tidewatt.scheduler.accounting.pairs import PPM
from tidewatt.scheduler.accounting.phases import Phase
from tidewatt.scheduler.accounting.profile import Cell
from tidewatt.scheduler.accounting.receipt import Ledger

_TIMES = MICRO * PPM  # sums are kept multiplied by this: PUE in millionths, and a ratio in millionths


@dataclass(frozen=True, slots=True)
class Account:
    """A ledger as far as it can be written, and in words what it lacks.

    `hopeless` is True where time will not bring what is lacking.
    """

    signal: str
    ledger: Ledger | None
    lacks: tuple[str, ...] = ()
    hopeless: bool = False

    @property
    def complete(self) -> bool:
        """True where the ledger has both savings."""
        return self.ledger is not None and self.ledger.complete


@dataclass(frozen=True, slots=True)
class _Sums:
    """Energy times intensity times PUE times `_TIMES`, summed over cells: exact integers.

    The productive part `there`, where and when it ran; at `home` at that time; at home from where each
    baseline begins. `ratio` and `unverified` are `there` on home's hardware, by a measured pair or not.
    """

    total: int = 0
    there: int = 0
    pauses: int = 0
    lost: int = 0
    ratio: int = 0
    unverified: int = 0
    home: int = 0
    feasible: int = 0
    hypothetical: int = 0
    transfer: int = 0

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(_Sums)))

    @property
    def actual(self) -> int:
        """All draw above idle, and the data moved."""
        return self.there + self.pauses + self.lost + self.transfer


def account(observed: Observed, frozen: Frozen, runs: Sequence[AttemptRun], cells: Iterable[Cell]) -> Account:
    """The account of all attempts by one signal, both sides by one kind of series from one source."""
    signal = observed.signal
    if observed.elsewhere:
        reason = f"{signal}: no zone is configured for region {observed.elsewhere[0]}"
        return Account(signal, None, (reason,), True)
    if observed.conflict:  # the source that covers most answers for each zone: more may yet come from another
        return Account(signal, None, (observed.conflict,))
    if lacks := observed.gaps([*observed.ran, *observed.moved]):
        return Account(signal, None, lacks)
    never = _never(observed, frozen)
    ledger = _ledger(observed, frozen, runs, cells)
    return Account(signal, ledger, (*never, *observed.gaps(observed.baselines.values())), bool(never))


def _never(observed: Observed, frozen: Frozen) -> list[str]:
    """Why a baseline will stay unknown."""
    lacks = []
    if not observed.home_zone:
        lacks.append(f"{observed.signal}: no zone is configured for the home region {frozen.home}")
    if "feasible" not in observed.baselines and observed.home_zone:
        lacks.append(f"the home region {frozen.home} is gone or could never hold this job")
    return lacks


def _ledger(observed: Observed, frozen: Frozen, runs: Sequence[AttemptRun], cells: Iterable[Cell]) -> Ledger:
    known = {name for name, each in observed.baselines.items() if not observed.gaps([each])}
    sums = _sums(observed, frozen, runs, cells, known)
    whole = sum(sums.values(), _Sums())
    feasible = _ug(whole.feasible) if "feasible" in known else None
    hypothetical = _ug(whole.hypothetical) if "hypothetical" in known else None
    at_home = bool(observed.at_home) and not observed.gaps(observed.at_home)
    return Ledger(
        signal=observed.signal,
        source=", ".join(observed.sources),
        kind=", ".join(observed.kinds),
        emissions_ug=_ug(whole.total + whole.transfer),
        actual_ug=_ug(whole.actual),
        feasible_ug=feasible,
        hypothetical_ug=hypothetical,
        levers=_levers(whole, feasible, hypothetical, runs) if at_home else None,
        exposures=_exposures(observed, frozen, runs, sums),
    )


_Group = tuple[str, str, str]  # attempt, component, how
_Sort = tuple[str, str, str, int, int]  # meter, PUE, grid, declared range


def _sums(
    observed: Observed, frozen: Frozen, runs: Sequence[AttemptRun], cells: Iterable[Cell], known: set[str]
) -> dict[_Group, _Sums]:
    """By attempt, component and way of metering; data moved are a component of their own."""
    groups: dict[_Group, list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.attempt_id, cell.component, str(cell.how)), []).append(cell)
    by_attempt = {run.attempt_id: run for run in runs}
    found = {
        key: _of_cells(observed, frozen, by_attempt[key[0]], group, known) for key, group in groups.items()
    }
    for run in runs:
        if run.move is not None:
            found[run.attempt_id, "transfer", "modelled"] = _Sums(transfer=_moved(observed, run))
    return found


def _of_cells(
    observed: Observed, frozen: Frozen, run: AttemptRun, cells: Sequence[Cell], known: set[str]
) -> _Sums:
    signal = observed.signal
    there = observed.mg_per_kwh(run.zones[signal], [cell.start_ms for cell in cells])
    priced = [
        (cell, cell.active_uj * mg, (cell.active_uj + cell.idle_uj) * mg)
        for cell, mg in zip(cells, there, strict=True)
    ]
    ours = sum(active for cell, active, _ in priced if cell.productive)
    lost = sum(active for cell, active, _ in priced if not cell.productive and cell.phase is Phase.RUNNING)
    pauses = sum(active for cell, active, _ in priced) - ours - lost
    productive = [cell for cell in cells if cell.productive]
    active_uj = [cell.active_uj for cell in productive]

    def at_home(at_ms: list[int]) -> int:
        return sum(map(mul, active_uj, observed.mg_per_kwh(observed.home_zone, at_ms)))

    home = 0
    if observed.at_home and not observed.gaps(observed.at_home):
        home = at_home([cell.start_ms for cell in productive])
    moved = {
        name: at_home([observed.baselines[name].start_ms + cell.at_ms for cell in productive])
        for name in known
    }
    ratio_ppm, unverified_ppm = _ratios(run)
    pue, home_pue = run.pue_micro * PPM, round(frozen.home_pue * MICRO) * ratio_ppm
    return _Sums(
        total=sum(both for _, _, both in priced) * pue,
        there=ours * pue,
        pauses=pauses * pue,
        lost=lost * pue,
        ratio=ours * run.pue_micro * ratio_ppm,
        unverified=ours * run.pue_micro * (unverified_ppm - PPM),
        home=home * home_pue,
        feasible=moved.get("feasible", 0) * home_pue,
        hypothetical=moved.get("hypothetical", 0) * home_pue,
    )


def _ratios(run: AttemptRun) -> tuple[int, int]:
    """What home's hardware would have needed: as measured, and as only stated."""
    if run.efficiency is None:
        return PPM, PPM
    ratio_ppm = run.efficiency.ratio_ppm
    return (ratio_ppm, PPM) if run.efficiency.measured else (PPM, ratio_ppm)


def _moved(observed: Observed, run: AttemptRun) -> int:
    """Data moved, by the mean intensity of both ends at the launch, or of the one that has a zone."""
    assert run.move is not None  # noqa: S101 - the caller has looked
    zones = [run.move.zones.get(observed.signal), run.zones.get(observed.signal)]
    ends = [observed.mg_per_kwh(zone, [run.move.at_ms])[0] for zone in zones if zone]
    return run.move.energy_uj * sum(ends) * _TIMES // len(ends)


def _ug(amount: int) -> int:
    return micrograms(amount, _TIMES)


def _levers(
    whole: _Sums, feasible_ug: int | None, hypothetical_ug: int | None, runs: Iterable[AttemptRun]
) -> Levers:
    """Differences between sums that are each rounded once, so that they add up to the saving exactly."""
    stated = any(run.efficiency is not None and not run.efficiency.measured for run in runs)
    home, region = _ug(whole.home), _ug(whole.ratio)
    costs = [whole.there, whole.pauses, whole.lost, whole.transfer]
    ours, paused, lost, moved = (_ug(each) for each in accumulate(costs))
    return Levers(
        time_feasible_ug=None if feasible_ug is None else feasible_ug - home,
        time_hypothetical_ug=None if hypothetical_ug is None else hypothetical_ug - home,
        region_ug=home - region,
        efficiency_ug=region - ours,
        pauses_ug=ours - paused,
        lost_work_ug=paused - lost,
        transfer_ug=lost - moved,
        unverified_efficiency_ug=_ug(whole.unverified) if stated else None,
    )


def _exposures(
    observed: Observed, frozen: Frozen, runs: Iterable[AttemptRun], sums: dict[_Group, _Sums]
) -> tuple[Exposure, ...]:
    """The account by what its parts have in common; rounded so that they sum to it."""
    source = ", ".join(observed.sources)
    by_attempt = {run.attempt_id: run for run in runs}
    home = f"{frozen.home}: {frozen.home_pue_source}", f"{source} {observed.home_zone}"
    parts: dict[_Sort, list[int]] = {}
    for (attempt_id, component, how), each in sums.items():
        run = by_attempt[attempt_id]
        meter, low, high = _meter(run, component, how)
        pue = "none" if component == "transfer" else f"{run.region}: {run.pue_source}"
        sides = [
            (pue, f"{source} {run.zones[observed.signal]}", (each.actual, 0, 0)),
            (*home, (0, each.feasible, each.hypothetical)),
        ]
        for where, grid, amounts in sides:
            if any(amounts):
                held = parts.setdefault((meter, where, grid, low, high), [0, 0, 0])
                held[:] = [one + other for one, other in zip(held, amounts, strict=True)]
    columns = [_shares([amounts[column] for amounts in parts.values()]) for column in range(3)]
    return tuple(
        Exposure(meter, pue, grid, actual, feasible, hypothetical, low, high)
        for (meter, pue, grid, low, high), actual, feasible, hypothetical in zip(parts, *columns, strict=True)
    )


def _meter(run: AttemptRun, component: str, how: str) -> tuple[str, int, int]:
    """What metered it, and the range that its source declares in thousandths."""
    move = run.move
    if component == "transfer" and move is not None:
        low, high = (1000 * edge // max(1, move.energy_uj) for edge in (move.low_uj, move.high_uj))
        return f"transfer {how}: {move.source}", low, high
    model = f", {run.gpu_model}" if component == "gpu" and run.gpu_model else ""
    return f"{component} {how}: {run.usage.sources.get(component, '')}{model}", 1000, 1000


def _shares(amounts: Sequence[int]) -> list[int]:
    """Micrograms of each amount that sum to those of all."""
    edges = [_ug(each) for each in accumulate(amounts, initial=0)]
    return [later - earlier for earlier, later in pairwise(edges)]
