"""What a device draws: at its lowest over the last days, which is its idle draw, and now."""

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tidewatt.backends.clock import moment
from tidewatt.backends.meters.excerpt import files, stored_lines, time_of

_DAYS_MS = 7 * 24 * 3600 * 1000
_WINDOW_MS = 5000  # counters move in steps of 100 ms: over this an average is good to 2 %
_TAIL_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Lowest:
    """Lowest draws of a device in milliwatts: averages by its counter, and single looks; 0: none seen.

    `free` ones are of times in which no attempt was registered on the host.
    """

    free_mean_mw: int = 0
    free_look_mw: int = 0
    mean_mw: int = 0
    look_mw: int = 0

    def least(self, other: "Lowest") -> "Lowest":
        """The lower of each."""
        return Lowest(
            _least(self.free_mean_mw, other.free_mean_mw),
            _least(self.free_look_mw, other.free_look_mw),
            _least(self.mean_mw, other.mean_mw),
            _least(self.look_mw, other.look_mw),
        )

    @property
    def idle_mw(self) -> int:
        """The best estimate of the idle draw, 0 where nothing is known."""
        return self.free_mean_mw or self.free_look_mw or _least(self.mean_mw, self.look_mw)


_NOTHING = Lowest()


def _least(one: int, other: int) -> int:
    return min(one, other) if one and other else one or other


def idle_mw(folder: Path, key: str, until_ms: int) -> int:
    """The device's idle draw by its readings of the seven days up to then, in milliwatts; 0: not known.

    The lowest average while no attempt was registered on the host, else the lowest draw seen at all.
    """
    lowest = Lowest()
    first, last = _day(until_ms - _DAYS_MS), _day(until_ms)
    for path in files(folder, until_ms - _DAYS_MS, until_ms):
        if not first <= path.name[:10] <= last:
            continue
        try:
            size = path.stat().st_size
        except OSError:
            continue
        whole = path.name[:10] < last
        seen = _file_lowest(path, size, None if whole else until_ms)
        lowest = lowest.least(seen.get(key, _NOTHING))
    return lowest.idle_mw


def _day(at_ms: int) -> str:
    return f"{moment(at_ms):%Y-%m-%d}"


@lru_cache(maxsize=64)
def _file_lowest(path: Path, _size: int, until_ms: int | None) -> dict[str, Lowest]:
    """By device key; `_size` only tells a file that has grown from what was known of it."""
    lowest: dict[str, Lowest] = {}
    windows: dict[str, tuple[int, int, bool]] = {}  # key -> start, counter at the start, free so far
    for line, _ in stored_lines([path]):
        if until_ms is not None and time_of(line) > until_ms:
            continue
        form = _loaded(line)
        if form is None:
            continue
        free = len(form["cpu_ms"]) <= 1
        for key, power_mw in form["power_mw"].items():
            known = lowest.get(key, _NOTHING)
            if not 0 < known.look_mw <= power_mw or (free and not 0 < known.free_look_mw <= power_mw):
                look = Lowest(look_mw=power_mw, free_look_mw=power_mw if free else 0)
                lowest[key] = known.least(look)
        for key, energy_uj in form["energy_uj"].items():
            start = (form["mono_ms"], energy_uj, free)
            since_ms, since_uj, was_free = windows.setdefault(key, start)
            passed_ms, used_uj = form["mono_ms"] - since_ms, energy_uj - since_uj
            if passed_ms >= _WINDOW_MS or used_uj < 0:
                windows[key] = start
                if used_uj > 0:
                    mean_mw = used_uj // passed_ms
                    mean = Lowest(mean_mw=mean_mw, free_mean_mw=mean_mw if free and was_free else 0)
                    lowest[key] = lowest.get(key, _NOTHING).least(mean)
            else:
                windows[key] = (since_ms, since_uj, was_free and free)
    return lowest


def _loaded(line: bytes) -> dict[str, Any] | None:
    try:
        form: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return form


def power_now(folder: Path) -> dict[str, float]:
    """Watts by device key, over about the last interval; {} where there are no readings."""
    paths = sorted(folder.glob("????-??-??-*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    if not paths:
        return {}
    with open(paths[-1], "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
        tail = file.read().splitlines()
    forms = [form for line in tail if line.startswith(b'{"time_ms"') and (form := _loaded(line))]
    if not forms:
        return {}
    last = forms[-1]
    watts = {key: power_mw / 1000 for key, power_mw in last["power_mw"].items()}
    earlier = next((form for form in reversed(forms) if last["mono_ms"] - form["mono_ms"] >= 500), None)
    if earlier:
        passed_ms = last["mono_ms"] - earlier["mono_ms"]
        for key, energy_uj in last["energy_uj"].items():
            used_uj = energy_uj - earlier["energy_uj"].get(key, energy_uj + 1)
            if used_uj >= 0:
                watts[key] = used_uj / passed_ms / 1000
    return watts
