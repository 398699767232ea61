"""Draws what happened: intensity by zone, the windows in which jobs ran, and those of starting in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidewatt.scheduler.accounting.quantity import mass
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.picture_file import check_ending, empty_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart by people who do not see all colours; after Okabe and Ito, "Color universal design", 2008.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8F7A00", "#56B4E9")
INK, FAINT, RULE = "#222222", "#6B6B6B", "#DDDDDD"
DASHES = (0, (3, 2))
_WIDTH_IN, _ZONE_IN, _JOB_IN, _EDGES_IN, _BETWEEN_IN = 11.0, 1.75, 0.42, 2.0, 0.5
_RIGHT = 0.835  # where the time axis ends, as a share of the width; the savings stand beyond


@dataclass(frozen=True, slots=True)
class ZoneLine:
    """Observed intensity of one zone: `(start, end, gCO2/kWh)` steps in ascending order; gaps stay gaps."""

    zone: str
    steps: Sequence[tuple[datetime, datetime, float]]


@dataclass(frozen=True, slots=True)
class JobBar:
    """One job: where and when it ran, and when it would have started had it taken its turn in `home_zone`.

    `label` begins with a short word, such as the job's number, that also stands above its windows. Windows
    are half-open, in order. `baseline_start` and `saved_g` are None where they are not settled.
    """

    label: str
    zone: str
    windows: Sequence[tuple[datetime, datetime]]
    submitted: datetime
    finish_by: datetime | None = None
    home_zone: str = ""
    baseline_start: datetime | None = None
    saved_g: float | None = None
    saved_percent: float | None = None

    @property
    def baseline(self) -> tuple[datetime, datetime] | None:
        """The window of starting in turn: as long as it really ran."""
        if self.baseline_start is None:
            return None
        ran = sum((end - start for start, end in self.windows), timedelta())
        return self.baseline_start, self.baseline_start + ran


def draw(
    path: Path,
    zones: Sequence[ZoneLine],
    jobs: Sequence[JobBar],
    *,
    title: str,
    signal: str,
    source: str,
    tz: tzinfo = UTC,
) -> Path:
    """Writes the picture as SVG or PNG, by the ending of `path`, and returns the path.

    `signal` names the intensity ("marginal"), `source` is printed at the foot. Raises SchedulerError where
    the extra `pictures` is not installed or there is nothing to draw.
    """
    if not jobs or not any(line.steps for line in zones):
        raise SchedulerError("there is nothing to draw: no job has run in a zone with observations")
    check_ending(path)
    figure = empty_figure(_WIDTH_IN, _EDGES_IN + len(zones) * _ZONE_IN + len(jobs) * _JOB_IN)
    colours = {line.zone: COLOURS[index % len(COLOURS)] for index, line in enumerate(zones)}
    axes = _panels(figure, len(zones), len(jobs))
    top = max(value for line in zones for _, _, value in line.steps) * 1.12
    for panel, line in zip(axes[:-1], zones, strict=True):
        _draw_zone(panel, line, jobs, colours[line.zone], top, signal)
    _draw_jobs(axes[-1], jobs, colours, signal)
    _draw_times(axes[-1], zones, jobs, tz)
    _draw_margins(figure, title, source, tz)
    save(figure, path)
    return path


def _panels(figure: Figure, zones: int, jobs: int) -> list[Axes]:
    height = figure.get_figheight()
    ratios = [_ZONE_IN] * zones + [jobs * _JOB_IN + 0.2]
    axes = figure.subplots(zones + 1, 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    figure.subplots_adjust(
        left=0.155,
        right=_RIGHT,
        top=1 - 0.72 / height,
        bottom=0.98 / height,
        hspace=_BETWEEN_IN * len(ratios) / sum(ratios),
    )
    for panel in axes:
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.spines["bottom"].set_color(RULE)
        panel.tick_params(length=0, colors=FAINT, labelsize=9)
    return list(axes)


def _draw_zone(
    panel: Axes, line: ZoneLine, jobs: Sequence[JobBar], colour: str, top: float, signal: str
) -> None:
    """The zone's intensity, filled where jobs ran, outlined where they would have run in turn."""
    edges, values = _edges(line.steps)
    panel.set_ylim(0, top)
    panel.stairs(values, edges, color=colour, alpha=0.55, linewidth=0.9, baseline=None)
    panel.stairs(values, edges, color=colour, alpha=0.08, fill=True, linewidth=0)
    for job in jobs:
        if job.zone == line.zone:
            for start, end in job.windows:
                inside, levels = _edges(_clipped(line.steps, start, end))
                panel.stairs(levels, inside, color=colour, alpha=0.75, fill=True, linewidth=0)
                _tag(panel, job, start, end, max(levels, default=0.0))
        if job.home_zone == line.zone and job.baseline is not None:
            inside, levels = _edges(_clipped(line.steps, *job.baseline))
            panel.stairs(levels, inside, color=INK, linewidth=1.1, linestyle=DASHES, baseline=0)
    panel.locator_params(axis="y", nbins=4)
    panel.grid(axis="y", color=RULE, linewidth=0.6)
    panel.set_axisbelow(True)
    panel.set_title(line.zone, loc="left", color=colour, fontsize=10.5, fontweight="bold", pad=5)
    panel.set_title(f"gCO₂/kWh, {signal}", loc="right", color=FAINT, fontsize=9, pad=5)


def _tag(panel: Axes, job: JobBar, start: datetime, end: datetime, level: float) -> None:
    """The first word of the job's label, above its window."""
    middle = (_number(start) + _number(end)) / 2
    panel.annotate(
        job.label.split()[0],
        (middle, min(level, panel.get_ylim()[1] * 0.86)),
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        va="bottom",
        color=INK,
        fontsize=8.5,
        fontweight="bold",
        bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
    )


def _draw_jobs(panel: Axes, jobs: Sequence[JobBar], colours: dict[str, str], signal: str) -> None:
    """A row for each job: from submission to its deadline, the baseline in outline, the run filled."""
    beside = panel.get_yaxis_transform()
    for row, job in enumerate(jobs):
        last = max(end for _, end in (*job.windows, *([job.baseline] if job.baseline else [])))
        span = _number(job.submitted), _number(job.finish_by or last)
        panel.hlines(row, *span, color="#BBBBBB", linewidth=1)
        panel.plot(span[0], row, marker="|", color=FAINT, markersize=11, markeredgewidth=1.6, zorder=4)
        if job.finish_by is not None:
            panel.plot(span[1], row, marker="D", color=INK, markersize=4.5, zorder=4)
        if job.baseline is not None:
            _bar(panel, row, job.baseline, 0.62, facecolor="white", edgecolor=INK, linestyle=DASHES)
        for window in job.windows:
            _bar(panel, row, window, 0.42, facecolor=colours.get(job.zone, FAINT), edgecolor="none")
        panel.text(1.015, row, _saving(job), transform=beside, va="center", color=INK, fontsize=9.5)
    panel.text(1.015, -0.72, f"saved, {signal}", transform=beside, va="bottom", color=FAINT, fontsize=9)
    panel.set_yticks(range(len(jobs)), [_short(job.label) for job in jobs], color=INK, fontsize=9.5)
    panel.set_ylim(len(jobs) - 0.4, -0.6)


def _short(label: str, most: int = 22) -> str:
    return label if len(label) <= most else f"{label[: most - 1]}…"


def _bar(panel: Axes, row: int, window: tuple[datetime, datetime], height: float, **look: Any) -> None:
    start, end = (_number(edge) for edge in window)
    panel.barh(row, end - start, left=start, height=height, linewidth=1.1, zorder=3, **look)


def _saving(job: JobBar) -> str:
    if job.saved_g is None:
        return "not settled"
    percent = "" if not job.saved_percent else f"  ({job.saved_percent:+.0f} %)"
    return f"{mass(job.saved_g, sign=True)}{percent}"


def _draw_times(panel: Axes, zones: Sequence[ZoneLine], jobs: Sequence[JobBar], tz: tzinfo) -> None:
    """The time axis: hours and days where they fit, from the first to the last thing that is drawn."""
    from matplotlib import dates

    ticks: Any = dates  # its classes are not annotated
    moments = [edge for line in zones for start, end, _ in line.steps for edge in (start, end)]
    moments += [edge for job in jobs for window in job.windows for edge in window]
    moments += [moment for job in jobs for moment in (job.submitted, job.finish_by) if moment is not None]
    first, last = _number(min(moments)), _number(max(moments))
    margin = (last - first) * 0.008
    panel.set_xlim(first - margin, last + margin)
    locator = ticks.AutoDateLocator(tz=tz, minticks=5, maxticks=11)
    formatter = ticks.ConciseDateFormatter(locator, tz=tz, show_offset=False)
    formatter.formats[2], formatter.zero_formats[3] = "%d %b", "%d %b"
    panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(formatter)
    panel.tick_params(axis="x", labelsize=9)


def _draw_margins(figure: Figure, title: str, source: str, tz: tzinfo) -> None:
    """Title, legend and source."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    height = figure.get_figheight()
    figure.text(0.02, 1 - 0.32 / height, title, fontsize=14, fontweight="bold", color=INK, va="center")
    handles = [
        Patch(facecolor=FAINT, edgecolor="none", label="ran here"),
        Patch(facecolor="white", edgecolor=INK, linestyle=DASHES, label="starting in turn (baseline)"),
        Line2D([], [], color=FAINT, marker="|", linestyle="none", markersize=9, label="submitted"),
        Line2D([], [], color=INK, marker="D", linestyle="none", markersize=4.5, label="finish by"),
    ]
    figure.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(0.145, 0.45 / height),
        ncols=4,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        handlelength=1.6,
        columnspacing=2.2,
    )
    zone = getattr(tz, "key", None) or datetime.now(UTC).astimezone(tz).tzname()
    figure.text(0.02, 0.17 / height, f"Times: {zone}. {source}", fontsize=8, color=FAINT, va="center")


def _edges(steps: Sequence[tuple[datetime, datetime, float]]) -> tuple[list[float], list[float]]:
    """Edges and levels for a step line; a gap becomes a level that is not a number."""
    edges: list[float] = []
    levels: list[float] = []
    for start, end, value in steps:
        if edges and _number(start) > edges[-1]:
            levels.append(float("nan"))
            edges.append(_number(start))
        edges += [_number(start)] if not edges else []
        edges.append(_number(end))
        levels.append(value)
    return edges, levels


def _clipped(
    steps: Sequence[tuple[datetime, datetime, float]], start: datetime, end: datetime
) -> list[tuple[datetime, datetime, float]]:
    inside = [(max(begin, start), min(finish, end), value) for begin, finish, value in steps]
    return [step for step in inside if step[1] > step[0]]


def _number(moment: datetime) -> float:
    """Days since 1970, which is how matplotlib counts time."""
    return moment.timestamp() / 86_400
