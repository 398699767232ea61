"""Files with pictures: which endings they have, and how a figure becomes one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tidewatt.scheduler.errors import BadInput, SchedulerError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEEDED = (
    "pictures need matplotlib, which is not installed: pip install 'tidewatt[pictures]'"
    " (in a checkout: pip install '.[pictures]')"
)


def check_ending(path: Path) -> None:
    """Raises BadInput for a picture that is neither SVG nor PNG."""
    if path.suffix not in {".svg", ".png"}:
        raise BadInput(f"{path.name}: pictures are .svg or .png")


def empty_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure; without pyplot, so that any thread may draw.

    Raises:
        SchedulerError: the extra `pictures` is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise SchedulerError(NEEDED) from error
    return Figure(figsize=(width_in, height_in), facecolor="white")


def save(figure: Figure, path: Path) -> None:
    """Writes the file; the same data make the same bytes."""
    from matplotlib import rc_context

    undated = {"Date": None} if path.suffix == ".svg" else None
    with rc_context({"svg.hashsalt": "tidewatt"}):
        figure.savefig(path, dpi=160, metadata=undated)
