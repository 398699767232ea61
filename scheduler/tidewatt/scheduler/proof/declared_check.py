"""What an account takes from outside its bundle: told by whoever signed it, and shown to be so."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidewatt.backends.meters.excerpt import excerpt
from tidewatt.scheduler.proof.job_case import JobCase
from tidewatt.scheduler.proof.outcome import Outcome

_FOREVER_MS = 253_400_000_000_000  # in the year 9999
_TIMES, _MORE_MW = 2, 5_000  # beyond so many times the lowest draw seen, and so much more, it is told


def check(inputs: Mapping[str, Any], case: JobCase, readings: Path, outcome: Outcome) -> None:
    """Adds the idle draws, ratios of hardware and lacking observations that the account rests on."""
    draws = {key: mw for by_device in case.idle_mw.values() for key, mw in by_device.items()}
    if draws:
        told = ", ".join(f"{mw / 1000:g} W of {key}" for key, mw in sorted(draws.items()))
        outcome.open(
            "idle draw", f"{told}: declared, from up to seven days of readings, not all in this bundle"
        )
    wrong = [
        f"{key} is declared to draw {mw / 1000:g} W when idle and drew {lowest / 1000:g} W while the job ran"
        for attempt_id, by_device in case.idle_mw.items()
        for key, lowest in _lowest_mw(readings / attempt_id).items()
        if (mw := by_device.get(key, 0)) > _TIMES * lowest + _MORE_MW
    ]
    if wrong:  # a rule of the account may be at fault, or somebody: the reader should look
        outcome.open(
            "idle draw", "; ".join(wrong) + ": too much may count as idle, and too little as the job's"
        )
    for attempt_id, each in sorted(case.efficiencies.items()):
        ratio = f"{each.ratio_ppm / 1e6:g} times the energy of attempt {attempt_id}"
        outcome.open("efficiency", f"home's hardware would need {ratio}: {each.source}, not in this bundle")
    for entry in inputs["intensity"]:
        if "sha256" not in entry:
            outcome.open("intensity", f"no {entry['signal']} intensity of {entry['zone']} was known, as told")


def _lowest_mw(folder: Path) -> dict[str, int]:
    """The lowest momentary draw of each device in an attempt's readings; only of those that tell it."""
    if not folder.is_dir():
        return {}
    shown = excerpt(folder, 0, _FOREVER_MS).power_mw.items()
    drawn = {key: power_mw[power_mw > 0] for key, power_mw in shown}
    return {key: int(power_mw.min()) for key, power_mw in drawn.items() if power_mw.size}
