"""One row for each receipt, as CSV or Parquet; every number has its unit in its column's name.

A number that is not known is empty (CSV) or null (Parquet), never zero.
"""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tidewatt.scheduler.accounting.units import J_PER_KWH
from tidewatt.scheduler.exports.codecarbon import plain
from tidewatt.scheduler.exports.facts import Facts
from tidewatt.scheduler.exports.fixed_point import fixed

if TYPE_CHECKING:
    import pyarrow

Cell = str | float | int | bool | datetime | None
Form = Literal["text", "number", "count", "flag", "time"]
SIGNALS = ("average", "marginal")
COMPONENTS = ("gpu", "cpu", "dram", "node overhead")
PHASES = ("running", "pausing", "suspended", "resuming")
LEVERS = (
    "time_feasible_g", "time_hypothetical_g", "region_g", "efficiency_g", "pauses_g", "lost_work_g",
    "transfer_g", "unverified_efficiency_g",
)  # fmt: skip
_LEDGER = (
    "actual_g", "feasible_g", "hypothetical_g", "saved_feasible_g", "saved_hypothetical_g", "forecast_saved_g"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, the form of its cells, and how a cell is got."""

    name: str
    form: Form
    cell: Callable[[Facts], Cell]


def columns() -> tuple[Column, ...]:
    """All columns, in order; they are the same for every table."""
    return (
        *_words(), *_moments(), *_energies(),
        *(column for signal in SIGNALS for column in _account(signal)),
        *_rest(),
    )  # fmt: skip


def csv_text(receipts: Iterable[Facts]) -> str:
    """The table as CSV: moments in ISO 8601 with their offset, numbers in fixed point."""
    out, made = io.StringIO(), columns()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.name for column in made])
    for receipt in receipts:
        writer.writerow([_text(column.cell(receipt)) for column in made])
    return out.getvalue()


def write_parquet(receipts: Sequence[Facts], path: Path) -> None:
    """Writes the table as Parquet, moments in UTC milliseconds."""
    import pyarrow.parquet

    pyarrow.parquet.write_table(_arrow(receipts), path)


def _arrow(receipts: Sequence[Facts]) -> "pyarrow.Table":
    import pyarrow as pa

    forms = {
        "text": pa.string(), "number": pa.float64(), "count": pa.int64(), "flag": pa.bool_(),
        "time": pa.timestamp("ms", tz="UTC"),
    }  # fmt: skip
    made = columns()
    schema = pa.schema([(column.name, forms[column.form]) for column in made])
    rows = {column.name: [column.cell(each) for each in receipts] for column in made}
    return pa.Table.from_pydict(rows, schema=schema)


def _text(value: Cell) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return fixed(value)


def _words() -> list[Column]:
    words: dict[str, Callable[[Facts], Cell]] = {
        "job": lambda each: each.key,
        "name": lambda each: each.job.name,
        "project": lambda each: each.job.project,
        "user": lambda each: each.job.user,
        "experiment": lambda each: each.experiment,
        "state": lambda each: each.job.state,
        "settlement": lambda each: each.account.state,
        "grade": lambda each: each.account.grade,
        "region": lambda each: "; ".join(each.regions),
        "zone_average": lambda each: "; ".join(each.zones("average")),
        "zone_marginal": lambda each: "; ".join(each.zones("marginal")),
        "site": lambda each: each.site,
        "cloud": lambda each: each.cloud,
        "gpu_model": lambda each: each.gpu_model,
        "cpu_model": lambda each: each.cpu_model,
    }
    counts: dict[str, Callable[[Facts], Cell]] = {
        "gpus": lambda each: each.job.gpus,
        "cpus": lambda each: each.job.cpus,
        "attempts": lambda each: len(each.attempts),
    }
    return [Column(name, "text", cell) for name, cell in words.items()] + [
        Column(name, "count", cell) for name, cell in counts.items()
    ]


def _moments() -> list[Column]:
    moments: dict[str, Callable[[Facts], Cell]] = {
        "submitted": lambda each: each.job.submitted,
        "started": lambda each: each.started,
        "ended": lambda each: each.ended,
        "settled_at": lambda each: each.account.settled_at,
        "feasible_start": lambda each: each.account.feasible_start,
    }
    lengths: dict[str, Callable[[Facts], Cell]] = {
        "held_s": lambda each: each.held_s,
        "waited_s": lambda each: each.account.waited_s,
        "held_back_s": lambda each: each.account.held_back_s,
        "idle_gpu_s": lambda each: each.account.idle_gpu_s,
    }
    return [Column(name, "time", cell) for name, cell in moments.items()] + [
        Column(name, "number", cell) for name, cell in lengths.items()
    ]


def _energies() -> list[Column]:
    made = [
        Column("energy_kwh", "number", lambda each: each.energy_kwh),
        Column("facility_kwh", "number", lambda each: each.facility_kwh),
        Column("pue", "number", lambda each: each.account.pue),
        Column("pue_source", "text", lambda each: each.account.pue_source),
    ]
    for name in COMPONENTS:
        word = name.replace(" ", "_")
        made += [
            Column(f"{word}_kwh", "number", partial(_part_kwh, name)),
            Column(f"{word}_how", "text", partial(_part, name, "how")),
            Column(f"{word}_source", "text", partial(_part, name, "source")),
            Column(f"{word}_coverage", "number", partial(_part, name, "coverage")),
        ]
    made += [Column(f"{phase}_kwh", "number", partial(_phase_kwh, phase)) for phase in PHASES]
    return [*made, Column("lost_kwh", "number", _lost_kwh)]


def _account(signal: str) -> list[Column]:
    def of(name: str) -> Callable[[Facts], Cell]:
        return lambda each: getattr(each.ledger(signal), name, None)

    def within(part: str, name: str) -> Callable[[Facts], Cell]:
        return lambda each: getattr(getattr(each.ledger(signal), part, None), name, None)

    def interval(name: str) -> Callable[[Facts], Cell]:
        """Empty where no error is quantified: both ends would be the saving, as if it were exact."""
        quantified, known = within("interval", "quantified"), within("interval", name)
        return lambda each: known(each) if quantified(each) else None

    return [
        Column(f"{signal}_kind", "text", of("kind")),
        Column(f"{signal}_source", "text", of("source")),
        Column(f"{signal}_emissions_g", "number", of("g")),
        *(Column(f"{signal}_{name}", "number", of(name)) for name in _LEDGER),
        Column(f"{signal}_saved_low_g", "number", interval("low_g")),
        Column(f"{signal}_saved_high_g", "number", interval("high_g")),
        Column(f"{signal}_saved_coverage", "number", interval("covered")),
        Column(f"{signal}_grade", "text", of("grade")),
        *(Column(f"{signal}_{name}", "number", within("levers", name)) for name in LEVERS),
    ]


def _rest() -> list[Column]:
    made = [Column("signals_disagree", "flag", lambda each: each.account.signals_disagree)]
    made += [
        Column(f"embodied_{bound}_g", "number", partial(_embodied, bound))
        for bound in ("low", "central", "high")
    ]
    return [
        *made,
        Column("boundary", "text", lambda each: each.account.boundary),
        Column("method_version", "text", lambda each: each.account.method_version),
        Column("notes", "text", lambda each: "; ".join(each.account.notes)),
    ]


def _part(component: str, field: str, receipt: Facts) -> Cell:
    found = next((part for part in receipt.account.components if part.component == component), None)
    value: Cell = getattr(found, field, None)
    return value


def _part_kwh(component: str, receipt: Facts) -> Cell:
    return receipt.component_kwh(component)


def _embodied(bound: str, receipt: Facts) -> Cell:
    value: Cell = getattr(receipt.account.embodied, f"{bound}_g", None)
    return value


def _phase_kwh(phase: str, receipt: Facts) -> Cell:
    """Energy in a phase, lost running time apart."""
    return _sum(each.energy_j for each in receipt.account.phases if each.phase == phase and not each.lost)


def _lost_kwh(receipt: Facts) -> float | None:
    return _sum(each.energy_j for each in receipt.account.phases if each.lost)


def _sum(joules: Iterable[float | None]) -> float | None:
    known = [each for each in joules if each is not None]
    return sum(known) / J_PER_KWH if known else None
