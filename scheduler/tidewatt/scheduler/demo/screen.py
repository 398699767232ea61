"""Shows the demo's queue: a live table on a terminal, else one line for each thing that happens."""

import sys
from collections.abc import Sequence
from datetime import datetime, tzinfo
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import RenderableType

Json = dict[str, Any]
WIDE = 110  # columns of a terminal that has room for reasons
STYLES = {"waiting": "yellow", "running": "bold green", "done": "dim", "failed": "bold red"}


class Screen(Protocol):
    """Where the queue is shown; a context manager."""

    def show(self, status: Json, jobs: Sequence[Json]) -> None:
        """Shows the daemon and its jobs, oldest first, as they are now."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def screen(tz: tzinfo) -> Screen:
    """The screen that suits where the output goes."""
    console = Console()
    return LiveTable(console, tz) if console.is_terminal and not console.is_dumb_terminal else Lines(tz)


class LiveTable:
    """A table that is drawn again and again in place."""

    def __init__(self, console: Console, tz: tzinfo) -> None:
        self._tz = tz
        self._live = Live(console=console, auto_refresh=False)

    def show(self, status: Json, jobs: Sequence[Json]) -> None:
        """Draws the table anew."""
        self._live.update(self._table(status, jobs), refresh=True)

    def _table(self, status: Json, jobs: Sequence[Json]) -> "RenderableType":
        title = f"{clock(status['now'], self._tz)}, replayed.   {intensities(status)}"
        table = Table(title=title, title_justify="left", title_style="bold")
        for name in ("job", "state", "region", "window", "finish by"):
            table.add_column(name, no_wrap=True)
        if wide := self._live.console.width >= WIDE:
            table.add_column("why then")
        for job in jobs:
            state = job["state"]
            style = STYLES.get(state, "")
            window, due = hours(window_of(job), self._tz), clock(job["finish_by"], self._tz)
            cells = [label(job), state, region_of(job), window, due, *([because(job)] if wide else [])]
            table.add_row(*cells, style=style)
        return table

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


class Lines:
    """A line for each change of a job: submitted, moved, started, ended."""

    def __init__(self, tz: tzinfo) -> None:
        self._tz = tz
        self._seen: dict[int, tuple[str, str]] = {}

    def show(self, status: Json, jobs: Sequence[Json]) -> None:
        """Writes what has changed since the last call."""
        for job in jobs:
            planned = f"{region_of(job)} {window_of(job)}" if job["state"] == "waiting" else ""
            before = self._seen.get(job["id"])
            if before == (job["state"], planned):
                continue
            self._seen[job["id"]] = (job["state"], planned)
            event = self._event(job, before[0] if before else "")
            sys.stdout.write(f"{clock(status['now'], self._tz)}  {label(job):<12} {event}\n")
        sys.stdout.flush()

    def _event(self, job: Json, before: str) -> str:
        where = f"{hours(window_of(job), self._tz)} in {region_of(job)}"
        match before, job["state"]:
            case "", "waiting":
                return f"submitted, planned for {where}: {because(job)}"
            case _, "waiting":
                return f"moved to {where}: {because(job)}"
            case "", "running":
                return f"submitted, starts in {region_of(job)}: {because(job)}"
            case _, "running":
                return f"starts in {region_of(job)}"
            case _, state:
                return str(state)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stdout.flush()


def label(job: Json) -> str:
    """Number and name."""
    return f"{job['id']} {job['name']}"


def region_of(job: Json) -> str:
    """Where it runs, ran, or is planned to run."""
    if job["attempts"]:
        return str(job["attempts"][-1]["region"])
    return str(job["plan"]["region"]) if job["plan"] else ""


def window_of(job: Json) -> tuple[str, str]:
    """When it ran, or is planned to run; two moments as text, empty where not known."""
    plan = job["plan"] or {"start": "", "end": ""}
    attempt = job["attempts"][-1] if job["attempts"] else {}
    return str(attempt.get("started") or plan["start"]), str(attempt.get("ended") or plan["end"])


def because(job: Json) -> str:
    """The reason of its plan, in the plan's own words."""
    return str(job["plan"]["reason"]) if job["plan"] else str(job["reason"])


def intensities(status: Json) -> str:
    """The regions' present intensities."""
    told = [
        f"{region['name']} {region['gco2_per_kwh']:.0f} gCO2/kWh"
        for region in status["regions"]
        if region["gco2_per_kwh"] is not None
    ]
    return ", ".join(told)


def clock(text: str | None, tz: tzinfo) -> str:
    """Day and time of a moment, in the grid's own time."""
    return f"{datetime.fromisoformat(text).astimezone(tz):%a %H:%M}" if text else ""


def hours(window: tuple[str, str], tz: tzinfo) -> str:
    """A window, for example `Fri 11:30-14:30`."""
    start, end = (clock(text, tz) for text in window)
    return f"{start}-{end.removeprefix(start[:4])}" if start and end else start
