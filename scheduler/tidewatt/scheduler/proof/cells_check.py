"""Computes accounts again from their cells and the observed intensity, apart from how they were made."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidewatt.scheduler.accounting.emission import micrograms
from tidewatt.scheduler.accounting.frozen import METHOD_VERSION
from tidewatt.scheduler.proof.factors import Factors, factors_of
from tidewatt.scheduler.proof.prices import Place, Price, Prices, Ticket
from tidewatt.scheduler.proof.report_case import JobTold

MICRO = 1_000_000
ACTIVE, IDLE = 3, 4  # columns of cells
SMALL_UJ, SMALL_ROWS = 1 << 48, 1 << 13  # of so many such amounts sums fit into 64 bits, prices in halves
AT_ONCE = 500  # jobs whose cells are looked up together
Record = Mapping[str, Any]


@dataclass(slots=True)
class Checked:
    """What was found: by job in which numbers it differs, and why one could not be computed."""

    wrong: dict[int, list[str]] = field(default_factory=dict)
    unknown: dict[int, str] = field(default_factory=dict)
    lacking: dict[int, str] = field(default_factory=dict)  # what an account does not say, though it might
    jobs: int = 0
    cells: int = 0


@dataclass(frozen=True, slots=True)
class _Group:
    """Cells of one attempt and component with what they cost: where they were, and in each baseline."""

    energy: "_Energy"
    pue_micro: int
    there: Ticket
    moved: Mapping[str, Ticket]


@dataclass(frozen=True, slots=True)
class _Ledger:
    job: JobTold
    told: Record
    groups: Sequence[_Group]
    moves: Sequence[tuple[int, Sequence[Ticket]]]  # energy of data moved, and its ends
    home_pue_micro: int


def check(jobs: Iterable[JobTold], prices: Prices, withheld: Collection[Place] = ()) -> Checked:
    """Compares every account that has cells; `withheld` are places whose intensity is not there."""
    found = Checked()
    rest = iter(jobs)
    while some := list(islice(rest, AT_ONCE)):
        ledgers = []
        for job in some:
            if job.record is not None and _computable(job, job.record, prices, withheld, found):
                ledgers += list(_ledgers(job, job.record, prices))
        prices.resolve()
        for ledger in ledgers:
            if sentences := list(_compared(ledger)):
                found.wrong.setdefault(ledger.job.job_id, []).extend(sentences)
    return found


def _computable(
    job: JobTold, record: Record, prices: Prices, withheld: Collection[Place], found: Checked
) -> bool:
    """Compares what needs no intensity, and says whether the rest can be computed."""
    factors = factors_of(job)
    if record["method_version"] != METHOD_VERSION:
        found.unknown[job.job_id] = f"its account is of method {record['method_version']}"
        return False
    wrong = list(_alone(record, found))
    if not record["ledgers"]:
        zones = [factors.home_zones, *(each["zones"] for each in factors.attempts.values())]
        if record["state"] != "none" and "energy_uj" in record and any(zones):
            found.lacking[job.job_id] = "it was metered and its zones are known, but it tells no emissions"
    places: set[Place] = set()
    for ledger in record["ledgers"]:
        signal = ledger["signal"]
        known = {"feasible_ug", "hypothetical_ug"} <= set(ledger)
        if factors.home_zones.get(signal) and not known:
            found.lacking[job.job_id] = f"it tells no saving by the {signal} signal"
        here = set(_places(factors, signal)) if known else set(_ran(factors, signal))
        places |= here
        labels = {prices.label(job.job_id, place) for place in here}
        if labels - {None, (ledger["source"], ledger["kind"])}:
            wrong.append(f"{signal}: its source or kind is not that of the intensity")
    if wrong:
        found.wrong.setdefault(job.job_id, []).extend(wrong)
    if places & set(withheld):
        found.unknown[job.job_id] = "it needs your own key"
        return False
    found.jobs += bool(record["ledgers"])
    return bool(record["ledgers"])


def _alone(record: Record, found: Checked) -> Iterator[str]:
    """What must agree within an account."""
    rows = [_Energy.of(row) for row in record.get("profile", ())]
    energy_uj = sum(energy.total() for energy in rows)
    found.cells += sum(len(energy.cells) for energy in rows)
    if energy_uj != record.get("energy_uj", 0):
        yield f"its cells hold {energy_uj} uJ"
    for told in record["ledgers"]:
        yield from _parts(told)


def _places(factors: Factors, signal: str) -> Iterator[Place]:
    yield from _ran(factors, signal)
    if home := factors.home_zones.get(signal):
        yield home, signal


def _ran(factors: Factors, signal: str) -> Iterator[Place]:
    for launched in factors.attempts.values():
        if signal in launched["zones"]:
            yield launched["zones"][signal], signal


def _ledgers(job: JobTold, record: Record, prices: Prices) -> Iterator[_Ledger]:
    """The questions of each ledger of an account."""
    factors = factors_of(job)
    rows = [(row, _Energy.of(row)) for row in record.get("profile", ())]
    for told in record["ledgers"]:
        yield _Ledger(
            job,
            told,
            [_group(job, record, row, energy, told, factors, prices) for row, energy in rows],
            list(_moves(job, told["signal"], factors, prices)),
            factors.home_pue_micro,
        )


@dataclass(frozen=True, slots=True)
class _Energy:
    """The cells of a row, (n, 5): start_ms, end_ms, at_ms, active_uj, idle_uj. `small`: 64 bits will do."""

    cells: NDArray[np.int64]
    small: bool

    @classmethod
    def of(cls, row: Record) -> "_Energy":
        cells = np.array(row["cells"])
        if cells.dtype != np.int64 or cells.ndim != 2 or cells.shape[1] != 5:
            raise ValueError("the cells of an account are not five whole numbers each")
        amounts = cells[:, ACTIVE:]
        small = amounts.max() < SMALL_UJ and amounts.min() >= 0 and len(cells) < SMALL_ROWS
        return cls(cells, bool(small))

    def total(self) -> int:
        """Active and idle microjoules of all cells."""
        if self.small:
            return int(self.cells[:, ACTIVE:].sum())
        return sum(sum(row) for row in self.cells[:, ACTIVE:].tolist())

    def times(self, column: int, price: Price) -> int:
        """The sum of energy times intensity, exact: in two halves that fit, else in Python's integers."""
        amounts, mg = self.cells[:, column], price.mg_per_kwh
        if self.small and price.small:
            return (int((amounts >> 24) @ mg) << 24) + int((amounts & 0xFFFFFF) @ mg)
        return sum(map(mul, amounts.tolist(), mg.tolist()))


def _group(
    job: JobTold,
    record: Record,
    row: Record,
    energy: _Energy,
    told: Record,
    factors: Factors,
    prices: Prices,
) -> _Group:
    start_ms, end_ms, at_ms = energy.cells[:, 0], energy.cells[:, 1], energy.cells[:, 2]
    signal = told["signal"]
    moved = {}
    if row["productive"]:
        home = factors.home_zones.get(signal, "")
        for name, begin_ms in _begins(job, record, told).items():
            first = at_ms + begin_ms
            moved[name] = prices.ask(job.job_id, (home, signal), first, first + (end_ms - start_ms))
    launched = factors.attempts[row["attempt_id"]]
    there = prices.ask(job.job_id, (launched["zones"][signal], signal), start_ms, end_ms)
    return _Group(energy, launched["pue_micro"], there, moved)


def _begins(job: JobTold, record: Record, told: Record) -> dict[str, int]:
    """Where each baseline that the ledger has begins; none where the energy on both sides is not the same."""
    if told.get("levers", {}).get("efficiency_ug"):
        return {}
    begins = {"hypothetical_ug": job.frozen["submitted_ms"], "feasible_ug": record.get("feasible_start_ms")}
    return {name: begin for name, begin in begins.items() if begin is not None and name in told}


def _moves(
    job: JobTold, signal: str, factors: Factors, prices: Prices
) -> Iterator[tuple[int, Sequence[Ticket]]]:
    ran = {each["attempt_id"] for each in job.events if each["kind"] == "attempt.running"}
    for attempt_id, launched in factors.attempts.items():
        moved = launched.get("transfer")
        if moved is not None and attempt_id in ran:
            zones = [moved["zones"].get(signal), launched["zones"].get(signal)]
            at = np.array([factors.launched_ms[attempt_id]], np.int64)
            ends = [prices.ask(job.job_id, (zone, signal), at, at + 1) for zone in zones if zone]
            yield moved["energy_uj"], ends


def _compared(ledger: _Ledger) -> Iterator[str]:
    signal, told = ledger.told["signal"], ledger.told
    for name, computed in _sums(ledger).items():
        if computed is None:
            yield f"{signal}: the intensity for {name} is not there"
        elif computed != told[name]:
            yield f"{signal}: {name} is {told[name]}, computed {computed}"


def _parts(told: Record) -> Iterator[str]:
    """Whether a ledger's parts add up to it."""
    signal = told["signal"]
    if exposures := told.get("exposures"):
        for place, name in enumerate(("actual_ug", "feasible_ug", "hypothetical_ug"), start=3):
            if name in told and sum(each[place] for each in exposures) != told[name]:
                yield f"{signal}: the parts of {name} with errors in common do not add up"
    levers = told.get("levers")
    if levers is not None:
        beyond = [
            levers[f"{name}_ug"] for name in ("region", "efficiency", "pauses", "lost_work", "transfer")
        ]
        for name in ("feasible", "hypothetical"):
            saved = told.get(f"{name}_ug", 0) - told["actual_ug"]
            if f"{name}_ug" in told and levers.get(f"time_{name}_ug", 0) + sum(beyond) != saved:
                yield f"{signal}: the parts of its saving do not add up"


def _sums(ledger: _Ledger) -> dict[str, int | None]:
    """Emissions, actual and baselines in micrograms, rounded once; None where an intensity is lacking."""
    emissions = actual = 0
    moved: dict[str, int] = {}
    for group in ledger.groups:
        mg = group.there.answer()
        if mg is None:
            return {"emissions_ug": None}
        active = group.energy.times(ACTIVE, mg)
        actual += group.pue_micro * active
        emissions += group.pue_micro * (active + group.energy.times(IDLE, mg))
        for name, ticket in group.moved.items():
            there = ticket.answer()
            if there is None:
                return {name: None}
            moved[name] = moved.get(name, 0) + ledger.home_pue_micro * group.energy.times(ACTIVE, there)
    for energy_uj, tickets in ledger.moves:
        ends = [ticket.answer() for ticket in tickets]
        known = [int(each.mg_per_kwh[0]) for each in ends if each is not None]
        if not known or len(known) < len(ends):
            return {"emissions_ug": None}
        transfer = energy_uj * sum(known) * MICRO // len(known)
        actual, emissions = actual + transfer, emissions + transfer
    sums = {"emissions_ug": emissions, "actual_ug": actual, **moved}
    return {name: micrograms(amount, MICRO) for name, amount in sums.items()}
