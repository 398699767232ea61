"""What a simulation found, as a JSON message and as rows of a CSV file."""

import csv
from collections.abc import Iterator, Mapping
from io import StringIO
from itertools import pairwise
from typing import Any

from tidewatt.forecasting.series import instant
from tidewatt.scheduler.simulation.comparing import IMMEDIATE, Outcome, Scenario
from tidewatt.scheduler.simulation.tally import Tally, grams_of, missed
from tidewatt.scheduler.simulation.world import Standing

COLUMNS = (
    *("policy", "job", "submitted", "finish_by", "started", "ended", "region", "wait_h", "missed", "pauses"),
    "energy_kwh",
)
HOUR_MS = 3_600_000


def message(scenario: Scenario, found: Mapping[str, Outcome], setting: Mapping[str, Any]) -> dict[str, Any]:
    """The comparison as JSON; savings are shares of what immediate execution emits, by signal."""
    base = found[IMMEDIATE].tally
    return {
        "setting": dict(setting),
        "jobs": len(scenario.jobs),
        "from": instant(scenario.jobs[0].submitted_ms).isoformat(),
        "to": instant(scenario.jobs[-1].submitted_ms).isoformat(),
        "regions": {region.name: dict(region.zones) for region in scenario.regions},
        "decided_by": str(scenario.signal),
        "policies": [_policy(outcome.tally, base) for outcome in found.values()],
    }


def _policy(tally: Tally, base: Tally) -> dict[str, Any]:
    return {
        "policy": tally.name,
        "emissions_g": {str(signal): grams for signal, grams in tally.grams.items()},
        "saved": {str(signal): tally.saving(base, signal) for signal in tally.grams},
        "energy_kwh": tally.energy_kwh,
        "missed": tally.missed,
        "missed_avoidably": tally.avoidable,
        "mean_late_h": tally.mean_late_h,
        "mean_wait_h": tally.mean_wait_h,
        "median_wait_h": tally.median_wait_h,
        "moved": tally.moved,
        "pauses": tally.pauses,
        "gpu_use": tally.use,
        "unobserved": tally.unobserved,
        "plannings": tally.rounds,
        "planning_s": tally.planning_s,
    }


def csv_text(scenario: Scenario, found: Mapping[str, Outcome]) -> str:
    """A line for each job and policy; grams by each signal are what was really observed."""
    signals = scenario.truth.signals
    text = StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([*COLUMNS, *(f"{signal}_g" for signal in signals)])
    for name, outcome in found.items():
        for standing in outcome.standings:
            grams = [f"{grams_of(standing, scenario.truth, signal):.3f}" for signal in signals]
            lines.writerow([name, *_cells(standing), *grams])
    return text.getvalue()


def _cells(standing: Standing) -> Iterator[object]:
    job = standing.job
    held = [each for each in standing.stretches if each.gpus]
    yield job.id
    for time_ms in (job.submitted_ms, job.due_ms, standing.first_ms, standing.ended_ms):
        yield "" if time_ms is None else instant(time_ms).isoformat(timespec="seconds")
    yield ";".join(dict.fromkeys(each.region for each in held))
    yield f"{((standing.first_ms or job.submitted_ms) - job.submitted_ms) / HOUR_MS:.4f}"
    yield str(missed(standing)).lower()
    yield sum(a.end_ms != b.start_ms for a, b in pairwise(held))
    yield f"{sum((each.end_ms - each.start_ms) / HOUR_MS * each.kw for each in standing.stretches):.6f}"
