"""The picture of carbon against delay: what can be had for which wait, and what was chosen."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tidewatt.scheduler.accounting.picture import COLOURS, FAINT, INK, RULE
from tidewatt.scheduler.accounting.quantity import mass
from tidewatt.scheduler.cli.frontier_text import name_of, saving_of
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.picture_file import check_ending, empty_figure, save
from tidewatt.scheduler.planning.frontier import Frontier, Point
from tidewatt.scheduler.planning.intensity import MS_PER_HOUR

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE_IN = (9.0, 5.2)
MOST_NAMED = 8


def draw(path: Path, found: Frontier, now: datetime) -> Path:
    """Writes the picture as SVG or PNG, by the ending of `path`.

    Raises:
        BadInput: for another ending.
        SchedulerError: matplotlib is not installed, or nothing is known of the grid.
    """
    check_ending(path)
    if not found.points:
        raise SchedulerError("there is nothing to draw: nothing is known of the grid here")
    figure = empty_figure(*SIZE_IN)
    panel = figure.subplots()
    figure.subplots_adjust(left=0.1, right=0.97, top=0.84, bottom=0.2)
    _draw_points(panel, found)
    _draw_frame(panel, found)
    figure.text(0.03, 0.94, "What waiting would give", fontsize=14, fontweight="bold", color=INK)
    figure.text(0.03, 0.03, _foot(found, now), fontsize=8, color=FAINT)
    save(figure, path)
    return path


def _draw_points(panel: "Axes", found: Frontier) -> None:
    """The frontier as a falling step, its points by region, and the chosen one in a ring."""
    points = found.points
    hours = [point.later_ms / MS_PER_HOUR for point in points]
    best = [min(p.expected_g for p in points[: index + 1]) for index in range(len(points))]
    panel.step([*hours, _last_h(found)], [*best, best[-1]], where="post", color=RULE, linewidth=2, zorder=1)
    names = list(dict.fromkeys(name_of(point) for point in points))
    for index, name in enumerate(names):
        mine = [point for point in points if name_of(point) == name]
        panel.scatter(
            [point.later_ms / MS_PER_HOUR for point in mine],
            [point.expected_g for point in mine],
            s=26,
            color=COLOURS[index % len(COLOURS)] if index < MOST_NAMED else FAINT,
            label=name if index < MOST_NAMED else None,
            zorder=3,
        )
    if found.chosen is not None:
        at = (found.chosen.later_ms / MS_PER_HOUR, found.chosen.expected_g)
        near_edge = at[0] > 0.7 * _last_h(found)
        panel.scatter(
            *at, s=150, facecolors="none", edgecolors=INK, linewidths=1.8, label="this plan", zorder=4
        )
        panel.annotate(
            _said(found.chosen, found),
            at,
            xytext=(-9 if near_edge else 9, 9),
            textcoords="offset points",
            ha="right" if near_edge else "left",
            fontsize=9.5,
            color=INK,
            fontweight="bold",
            zorder=5,
        )


def _said(point: Point, found: Frontier) -> str:
    saving = saving_of(point, found)
    return mass(point.expected_g) + ("" if saving is None else f" ({-100 * saving:+.0f} %)")


def _draw_frame(panel: "Axes", found: Frontier) -> None:
    top = max(found.immediate_g or 0.0, *(point.expected_g for point in found.points)) * 1.15
    panel.set_ylim(0, top or 1.0)
    panel.set_xlim(-0.02 * _last_h(found), _last_h(found) * 1.02)
    if found.immediate_g:
        panel.axhline(found.immediate_g, color=INK, linewidth=1.0, linestyle=(0, (3, 2)), zorder=2)
        panel.annotate(
            "starting at once at home",
            (_last_h(found), found.immediate_g),
            xytext=(0, 4),
            textcoords="offset points",
            ha="right",
            fontsize=9,
            color=INK,
        )
    panel.set_xlabel("hours that the job ends later than it could", color=FAINT, fontsize=9.5)
    panel.set_title("CO₂ expected above idle, grams", loc="left", color=FAINT, fontsize=9.5)
    panel.grid(axis="y", color=RULE, linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.spines["bottom"].set_color(RULE)
    panel.tick_params(length=0, colors=FAINT, labelsize=9)
    panel.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        ncols=4,
        columnspacing=1.4,
        handletextpad=0.3,
        borderaxespad=0.2,
    )


def _last_h(found: Frontier) -> float:
    points = [*found.points, *([found.chosen] if found.chosen else [])]
    return max(max(point.later_ms for point in points) / MS_PER_HOUR, 1.0)


def _foot(found: Frontier, now: datetime) -> str:
    weights = f"weights: {found.g_per_hour:g} g an hour, {found.g_per_price:g} g a unit of money"
    return f"As of {now:%Y-%m-%d %H:%M} UTC; {weights}; {'; '.join(found.plan.sources)}"
