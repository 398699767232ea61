"""A job's energy in cells that are small enough to be placed anywhere exactly, and no smaller."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tidewatt.backends.meters.reading import How
from tidewatt.scheduler.accounting.phases import Phase


@dataclass(frozen=True, slots=True)
class Cell:
    """Energy of one component of one attempt in `[start_ms, end_ms)`, PUE not applied.

    A cell lies within one phase, one hour UTC, and one step of every series that prices it: of the zone where
    it ran, of home at that time, and of home where each baseline puts it. So its emissions are a product of
    integers, and whoever has the cells and the series can compute an account again without any reading.
    `productive` cells are those that a baseline has too; `at_ms` is the productive time before the cell, and
    with it the place of its start in a baseline: `begin_ms + at_ms`.
    """

    attempt_id: str
    region: str
    component: str
    how: How
    phase: Phase
    start_ms: int
    end_ms: int
    active_uj: int
    idle_uj: int
    productive: bool
    at_ms: int


def cell_records(cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """The cells in integers and strings; what several in a row have in common is written once.

    The numbers of a cell are `start_ms, end_ms, at_ms, active_uj, idle_uj`.
    """
    return [
        {
            "attempt_id": attempt_id,
            "region": region,
            "component": component,
            "how": str(how),
            "phase": str(phase),
            "productive": int(productive),
            "cells": [[each.start_ms, each.end_ms, each.at_ms, each.active_uj, each.idle_uj] for each in row],
        }
        for (attempt_id, region, component, how, phase, productive), row in groupby(cells, _common)
    ]


def restored_cells(records: Iterable[Mapping[str, Any]]) -> tuple[Cell, ...]:
    """The cells that `cell_records` wrote."""
    return tuple(cell for record in records for cell in _row(record))


def _common(cell: Cell) -> tuple[str, str, str, How, Phase, bool]:
    return cell.attempt_id, cell.region, cell.component, cell.how, cell.phase, cell.productive


def _row(record: Mapping[str, Any]) -> Iterable[Cell]:
    attempt_id, region, component = record["attempt_id"], record["region"], record["component"]
    how, phase, productive = How(record["how"]), Phase(record["phase"]), bool(record["productive"])
    for start_ms, end_ms, at_ms, active_uj, idle_uj in record["cells"]:
        yield Cell(
            attempt_id, region, component, how, phase,
            start_ms, end_ms, active_uj, idle_uj, productive, at_ms,
        )  # fmt: skip
