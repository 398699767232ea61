"""Draws how contenders stand: captured saving by length of job, and error by day ahead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tidewatt.forecasting.backtest.standing import Standing
from tidewatt.forecasting.backtest.trial import LENGTHS_H, SLACKS_H, Work
from tidewatt.forecasting.errors import ForecastError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart by people who do not see all colours; after Okabe and Ito, "Color universal design", 2008.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8F7A00", "#56B4E9", "#222222")
MARKERS = "osD^vPX"
INK, FAINT, RULE = "#222222", "#6B6B6B", "#DDDDDD"
LOWEST = -0.25  # a share below it is drawn at the edge


def draw(path: Path, standings: Sequence[Standing], *, title: str, source: str) -> Path:
    """Writes the picture as SVG or PNG, by the ending of `path`, and returns the path.

    Raises:
        ForecastError: the extra `pictures` is not installed, the ending is another, or there is nothing.
    """
    if not standings:
        raise ForecastError("there is nothing to draw: no contender was judged")
    if path.suffix not in {".svg", ".png"}:
        raise ForecastError(f"{path.name}: pictures are .svg or .png")
    figure = _figure()
    panels = figure.subplots(2, 3, width_ratios=[1, 1, 0.9])
    figure.subplots_adjust(left=0.055, right=0.985, top=0.84, bottom=0.11, hspace=0.42, wspace=0.2)
    for row, interruptible in zip(panels, (False, True), strict=True):
        for panel, slack_h in zip(row, SLACKS_H, strict=False):
            _draw_captured(panel, standings, slack_h, interruptible)
    _draw_errors(panels[0][2], standings)
    _draw_names(panels[1][2], standings)
    figure.text(0.02, 0.95, title, fontsize=14, fontweight="bold", color=INK, va="center")
    figure.text(0.02, 0.025, source, fontsize=8, color=FAINT, va="center")
    _save(figure, path)
    return path


def _figure() -> Figure:
    """An empty figure; without pyplot, so that any thread may draw."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ForecastError(
            "pictures need matplotlib, which is not installed: pip install 'tidewatt[pictures]'"
            " (in a checkout: pip install '.[pictures]')"
        ) from error
    return Figure(figsize=(12.5, 6.6), facecolor="white")


def _save(figure: Figure, path: Path) -> None:
    """Writes the file; the same data make the same bytes."""
    from matplotlib import rc_context

    undated = {"Date": None} if path.suffix == ".svg" else None
    with rc_context({"svg.hashsalt": "tidewatt"}):
        figure.savefig(path, dpi=160, metadata=undated)


def _draw_captured(panel: Axes, standings: Sequence[Standing], slack_h: int, interruptible: bool) -> None:
    for number, standing in enumerate(standings):
        shares = [standing.captured.get(Work(job_h, slack_h, interruptible)) for job_h in LENGTHS_H]
        heights = [float("nan") if share is None else 100 * max(share, LOWEST) for share in shares]
        _line(panel, number, range(len(LENGTHS_H)), heights)
    panel.set_xticks(range(len(LENGTHS_H)), [f"{job_h} h" for job_h in LENGTHS_H])
    panel.set_ylim(100 * LOWEST, 102)
    how = "may pause" if interruptible else "in one piece"
    _frame(panel, f"{slack_h} h of slack, {how}", "captured saving, % by length of job")


def _draw_errors(panel: Axes, standings: Sequence[Standing]) -> None:
    days = max(len(standing.mape_by_day) for standing in standings)
    for number, standing in enumerate(standings):
        heights = [float("nan") if mape is None else mape for mape in standing.mape_by_day]
        _line(panel, number, range(1, len(heights) + 1), heights)
    panel.set_xticks(range(1, days + 1))
    panel.set_ylim(bottom=0)
    _frame(panel, "error", "MAPE, % by day ahead")


def _draw_names(panel: Axes, standings: Sequence[Standing]) -> None:
    """Which line is whose, in the order of what they captured."""
    panel.set_axis_off()
    for number, standing in enumerate(standings):
        height = 0.92 - number * 0.13
        share = standing.mean_captured
        figure = "" if share is None else f"   {100 * share:.0f} %"
        _line(panel, number, (0.0, 0.09), (height, height))
        panel.text(0.13, height, standing.name + figure, va="center", fontsize=9.5, color=INK)
    panel.set_xlim(-0.02, 1)
    panel.set_ylim(0, 1)
    panel.set_title("captured, mean over all jobs", loc="left", fontsize=10.5, color=INK, fontweight="bold")


def _line(panel: Axes, number: int, places: Sequence[float], heights: Sequence[float]) -> None:
    panel.plot(
        list(places),
        list(heights),
        color=COLOURS[number % len(COLOURS)],
        marker=MARKERS[number % len(MARKERS)],
        markersize=5,
        linewidth=1.6,
        alpha=0.9,
        clip_on=False,
    )


def _frame(panel: Axes, title: str, label: str) -> None:
    panel.set_title(title, loc="left", fontsize=10.5, color=INK, fontweight="bold", pad=16)
    panel.text(0, 1.02, label, transform=panel.transAxes, fontsize=8.5, color=FAINT, va="bottom")
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.spines["bottom"].set_color(RULE)
    panel.tick_params(length=0, colors=FAINT, labelsize=9)
    panel.grid(axis="y", color=RULE, linewidth=0.6)
    panel.set_axisbelow(True)
