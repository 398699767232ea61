"""Checks what a bundle tells of its series against the series that are in it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tidewatt.forecasting.series import Series
from tidewatt.forecasting.terms import terms_of
from tidewatt.scheduler.accounting.quantity import counted
from tidewatt.scheduler.proof.canonical import sha256
from tidewatt.scheduler.proof.intensity import kind_of
from tidewatt.scheduler.proof.outcome import Outcome

Entries = Sequence[Mapping[str, Any]]


def check(
    entries: Entries, files: Mapping[str, bytes], series: Mapping[str, Series], outcome: Outcome
) -> None:
    """Adds where digest, zone, source or kind differ, and where a series is kept back without need."""
    wrong = []
    for entry in entries:
        name = f"{entry['signal']} of {entry['zone']}"
        if "file" in entry and not _as_told(entry, series[entry["file"]], files[entry["file"]]):
            wrong.append(f"the series for {name} is not the one that is told")
        elif "file" not in entry and "sha256" in entry and terms_of(entry["source"]).redistributable:
            wrong.append(f"the series for {name} is kept back, though {entry['source']} may be handed on")
    if wrong:
        outcome.broken("intensity", "; ".join(wrong[:5]) + (" ..." if len(wrong) > 5 else ""))
    if apart := sorted(_restated(entries, series)):
        which = ", ".join(f"job {number}" for number in apart[:5]) + (" ..." if len(apart) > 5 else "")
        told = f"{counted(len(apart), 'account')} ({which}) with other intensities than the rest for an hour"
        outcome.open("intensity", f"{told}: told as what was known when they were settled")


def _as_told(entry: Mapping[str, Any], found: Series, content: bytes) -> bool:
    told = entry["zone"], entry["source"], kind_of(entry)
    return told == (found.zone, found.source, found.kind) and sha256(content) == entry["sha256"]


def _restated(entries: Entries, series: Mapping[str, Series]) -> set[int]:
    """The jobs with a series of their own that says something else than that of all."""
    there = [entry for entry in entries if "file" in entry]
    general = {_place(entry): series[entry["file"]] for entry in there if not entry.get("job_id")}
    return {
        entry["job_id"]
        for entry in there
        if entry.get("job_id")
        and _place(entry) in general
        and _differ(series[entry["file"]], general[_place(entry)])
    }


def _place(entry: Mapping[str, Any]) -> tuple[str, str]:
    return entry["zone"], entry["signal"]


def _differ(one: Series, other: Series) -> bool:
    mine, theirs = one.steps, other.steps
    _, here, there = np.intersect1d(mine.start_ms, theirs.start_ms, return_indices=True)
    return bool((mine.gco2_per_kwh[here] != theirs.gco2_per_kwh[there]).any())
