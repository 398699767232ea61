"""The home region as both sides of an account see it: one PUE and one zone, whatever was edited between."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tidewatt.scheduler.accounting.frozen import Frozen
from tidewatt.scheduler.accounting.metered import AttemptRun


def at_one_home(frozen: Frozen, runs: Sequence[AttemptRun]) -> tuple[Frozen, list[AttemptRun], list[str]]:
    """Home, the runs, and sentences on what was edited; `runs` in the order of time.

    A job that ran at home used the machine that its baseline would have used. Where the region's PUE or zones
    were edited after the job was submitted, the difference is neither cleaner time nor another place: both
    sides get what the last attempt at home was launched with.
    """
    at_home = [run for run in runs if run.region == frozen.home]
    if not at_home:
        return frozen, list(runs), []
    last = at_home[-1]
    one = replace(frozen, home_zones=dict(last.zones), home_pue=last.pue, home_pue_source=last.pue_source)
    moved = [
        replace(run, zones=last.zones, pue=last.pue, pue_source=last.pue_source) if run in at_home else run
        for run in runs
    ]
    return one, moved, list(_edited(frozen, at_home))


def _edited(frozen: Frozen, at_home: Sequence[AttemptRun]) -> Iterator[str]:
    last = at_home[-1]
    pues = dict.fromkeys([frozen.home_pue, *(run.pue for run in at_home)])
    if len(pues) > 1:
        yield (
            f"the PUE of {frozen.home} was edited after the job was submitted "
            f"({' to '.join(f'{pue:g}' for pue in pues)}): both sides count with {last.pue:g}"
        )
    zones = [_zones(frozen.home_zones), *(_zones(run.zones) for run in at_home)]
    if len(set(zones)) > 1:
        yield (
            f"the zones of {frozen.home} were edited after the job was submitted "
            f"({' to '.join(dict.fromkeys(zones))}): both sides count with {zones[-1]}"
        )


def _zones(by_signal: Mapping[str, str]) -> str:
    pairs = sorted((str(signal), zone) for signal, zone in by_signal.items())
    return ", ".join(f"{signal} {zone}" for signal, zone in pairs) or "none"
