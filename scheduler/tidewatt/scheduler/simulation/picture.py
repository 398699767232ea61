"""Draws a comparison: what each policy saved, which deadlines it missed, and when it used the GPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.series import instant
from tidewatt.scheduler.picture_file import check_ending, empty_figure, save
from tidewatt.scheduler.simulation.comparing import IMMEDIATE, Outcome, Scenario
from tidewatt.scheduler.simulation.world import Standing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Told apart by people who do not see all colours; after Okabe and Ito, "Color universal design", 2008.
OURS, OTHERS, ORACLE = "#0072B2", "#9A9A9A", "#009E73"
LINES = {
    IMMEDIATE: ("#6B6B6B", "-"),
    "own window": ("#D55E00", "-"),
    "ours": (OURS, "-"),
    "ours, in one piece": ("#56B4E9", "--"),  # upon the line before, with which it often agrees
    "oracle": (ORACLE, "-"),
    "oracle, in one piece": ("#8FD3BF", "--"),
}
INK, FAINT, RULE = "#222222", "#6B6B6B", "#DDDDDD"
HOUR_MS = 3_600_000
POINTS = 600


def draw(path: Path, scenario: Scenario, found: Mapping[str, Outcome], *, about: str) -> Path:
    """Writes the picture as SVG or PNG, by the ending of `path`, and returns the path.

    Raises:
        SchedulerError: the extra `pictures` is not installed, or the ending is another.
    """
    check_ending(path)
    figure = empty_figure(12.5, 6.6)
    places = figure.add_gridspec(
        2, 3, left=0.155, right=0.965, top=0.87, bottom=0.1, hspace=0.42, wspace=0.08, height_ratios=[1.25, 1]
    )
    saved, missed, waits = (figure.add_subplot(places[0, column]) for column in range(3))
    _draw_bars(saved, found, _savings(scenario, found), "emissions saved against immediate, %", named=True)
    _draw_bars(missed, found, _misses(found), "deadlines missed, %", named=False)
    _draw_bars(waits, found, _waits(found), "mean wait, h", named=False)
    _draw_use(figure.add_subplot(places[1, :]), scenario, found)
    jobs, regions = len(scenario.jobs), len(scenario.regions)
    title = f"{jobs} jobs in {regions} region{'s' * (regions != 1)}: what policies would have saved"
    figure.text(0.02, 0.95, title, fontsize=14, fontweight="bold", color=INK, va="center")
    source = f"{about}; {scenario.signal} signal as observed, {_sources(scenario)}"
    figure.text(0.02, 0.022, source, fontsize=8, color=FAINT, va="center")
    save(figure, path)
    return path


def _savings(scenario: Scenario, found: Mapping[str, Outcome]) -> list[float]:
    base = found[IMMEDIATE].tally
    return [100 * each.tally.saving(base, scenario.signal) for each in found.values()]


def _misses(found: Mapping[str, Outcome]) -> list[float]:
    return [100 * each.tally.missed / max(each.tally.jobs, 1) for each in found.values()]


def _waits(found: Mapping[str, Outcome]) -> list[float]:
    return [each.tally.mean_wait_h for each in found.values()]


def _draw_bars(
    panel: Axes, found: Mapping[str, Outcome], values: Sequence[float], title: str, *, named: bool
) -> None:
    names = list(found)
    rows = np.arange(len(names))[::-1]
    panel.barh(rows, values, color=[_colour(name) for name in names], height=0.66)
    reach = max(abs(value) for value in values) or 1.0  # all are 0: the axis still has a length
    for row, value in zip(rows.tolist(), values, strict=True):
        panel.text(max(value, 0) + 0.02 * reach, row, f"{value:.1f}", va="center", fontsize=9, color=INK)
    panel.set_xlim(min(0.0, *values) * 1.15, reach * 1.18)
    panel.set_yticks(rows, names if named else [""] * len(names))
    _frame(panel, title)
    panel.grid(axis="x", color=RULE, linewidth=0.6)


def _draw_use(panel: Axes, scenario: Scenario, found: Mapping[str, Outcome]) -> None:
    """How many GPUs were busy through time, under a few of the policies."""
    from matplotlib.ticker import MaxNLocator

    drawn = [name for name in LINES if name in found] or list(found)[:2]
    first = scenario.jobs[0].submitted_ms
    last = max(max(each.ended_ms or first for each in found[name].standings) for name in drawn)
    hopeless = scenario.jobs[-1].submitted_ms + 5 * 24 * HOUR_MS  # what is done later would squeeze the rest
    last = min(last, hopeless)
    at = np.linspace(first, last, POINTS)
    times = [instant(round(each)) for each in at.tolist()]
    top = max(1.0, *(float(_busy(found[name].standings, at).max()) for name in drawn))
    for name in drawn:
        busy = _busy(found[name].standings, at)
        width = 2.0 if name == "ours" else 1.3
        colour, style = LINES.get(name, (INK, "-"))
        panel.plot(times, busy, color=colour, linestyle=style, linewidth=width, label=name)  # type: ignore[arg-type]
    panel.set_ylim(0, 1.08 * top)
    panel.set_xlim(times[0], times[-1])  # type: ignore[arg-type]
    panel.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False, ncols=len(drawn), borderpad=0
    )
    panel.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
    _frame(panel, "busy GPUs through time (UTC)")
    panel.grid(axis="y", color=RULE, linewidth=0.6)


def _busy(standings: Sequence[Standing], at_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """GPUs in use at each moment."""
    held = [each for standing in standings for each in standing.stretches if each.gpus]
    starts, ends = (np.array([getattr(each, key) for each in held]) for key in ("start_ms", "end_ms"))
    gpus = np.array([each.gpus for each in held], np.float64)
    begun, over = np.argsort(starts), np.argsort(ends)
    up = np.append(0.0, np.cumsum(gpus[begun]))[np.searchsorted(starts[begun], at_ms, "right")]
    down = np.append(0.0, np.cumsum(gpus[over]))[np.searchsorted(ends[over], at_ms, "right")]
    busy: NDArray[np.float64] = up - down
    return busy


def _sources(scenario: Scenario) -> str:
    series = [scenario.truth.series(region.name, scenario.signal) for region in scenario.regions]
    return ", ".join(dict.fromkeys(each.source for each in series if each is not None))


def _colour(name: str) -> str:
    return OURS if name.startswith("ours") else ORACLE if name.startswith("oracle") else OTHERS


def _frame(panel: Axes, title: str) -> None:
    panel.set_title(title, loc="left", fontsize=10.5, color=INK, fontweight="bold")
    panel.tick_params(colors=INK, labelsize=9, length=0)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)
    panel.spines["bottom"].set_color(RULE)
    panel.set_axisbelow(True)
