"""`simulate`: what policies would have saved, on a simulated clock."""

import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.pictures import refuse_picture
from tidewatt.scheduler.cli.session import clock, own_paths
from tidewatt.scheduler.cli.simulating_site import chain_of, observed, settings_of, site_of
from tidewatt.scheduler.cli.text import say, say_json, tell
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.when import parse_duration, parse_moment

if TYPE_CHECKING:
    from tidewatt.forecasting.shrinkage import Outlooks
    from tidewatt.scheduler.region import Region
    from tidewatt.scheduler.simulation.comparing import Outcome, Scenario
    from tidewatt.scheduler.simulation.setting import Site
    from tidewatt.scheduler.simulation.submitted import Submitted

MOST_JOBS = 100_000  # made up: more take days to simulate, and all memory
USUAL = (
    *("immediate", "threshold", "own window", "suspend-resume"),
    *("ours, in one piece", "ours", "oracle"),
)


@dataclass(frozen=True, slots=True)
class Work:
    """Which jobs were asked for, and what becomes of them."""

    file: str | None
    generate: int | None
    days: float
    arrival: str | None
    duration: str | None
    gpus_column: str | None
    start: datetime | None
    slack: timedelta
    use: float | None
    spread: bool
    noise: float
    pause_cost: timedelta | None
    seed: int
    elsewhere: bool  # the regions are zones that were typed, and not those of a configuration


def simulate(
    jobs: Annotated[
        str | None,
        typer.Option(metavar="FILE|store", help="Jobs of a file, or those that were done here (`store`)."),
    ] = None,
    generate: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Make up so many jobs instead.")
    ] = None,
    days: Annotated[float, typer.Option(min=0.05, metavar="D", help="Made-up jobs come over so long.")] = 7.0,
    arrival_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of a foreign trace, such as arrival_h.")
    ] = None,
    duration_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of a foreign trace, such as duration_s.")
    ] = None,
    gpus_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of a foreign trace.  [one GPU a job]")
    ] = None,
    grid: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The grid of this recorded file.  [what was gathered]")
    ] = None,
    regions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Regions and policy of this configuration.")
    ] = None,
    zones: Annotated[
        list[str] | None, typer.Option("--zone", metavar="ZONE", help="A region in this zone. Repeatable.")
    ] = None,
    gpus: Annotated[int, typer.Option(min=1, metavar="N", help="GPUs of each --zone.")] = 8,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="The first job comes then.  [as in the file; made-up ones: 8 days into the grid]",
        ),
    ] = None,
    slack: Annotated[
        str, typer.Option(metavar="24h", help="Of jobs that state neither slack nor deadline.")
    ] = "24h",
    use: Annotated[
        str | None,
        typer.Option(metavar="50%", help="Draw arrivals together so that jobs use so much of all GPUs."),
    ] = None,
    spread: Annotated[
        bool, typer.Option("--spread", help="Draw the homes of jobs from all regions.")
    ] = False,
    noise: Annotated[
        float, typer.Option(min=0.0, max=2.0, metavar="S", help="Estimates err by lognormal factors: 0.3.")
    ] = 0.0,
    pause_cost: Annotated[
        str | None, typer.Option(metavar="5m", help="Any job may be paused; it costs so long each time.")
    ] = None,
    policies: Annotated[
        list[str] | None, typer.Option("--policy", metavar="NAME", help="Only this one. Repeatable.  [all]")
    ] = None,
    issue_every: Annotated[str, typer.Option(metavar="6h", help="New forecasts so often.")] = "6h",
    plan_every: Annotated[str, typer.Option(metavar="15m", help="Ours plans anew so often at most.")] = "15m",
    ahead: Annotated[str, typer.Option(metavar="8d", help="Forecasts reach so far.")] = "8d",
    models: Annotated[
        bool, typer.Option("--models/--no-models", help="Train own models as time goes by; takes minutes.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Of everything that is drawn.")] = 0,
    signal: given.Signal = None,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it, as .png or .svg.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="A line for each job and policy.")] = None,
    as_json: given.AsJson = False,
) -> None:
    """Run a queue on a simulated clock under several policies, and show what each would have saved.

    The grid is recorded; forecasts are issued as of each moment by the sources and models that plans are made
    with, and the planner and guard are those of the daemon. Capacity is hard, and the same for all.
    """
    refuse_picture(picture)
    work = Work(
        jobs, generate, days, arrival_column, duration_column, gpus_column,
        None if start is None else parse_moment(start, clock(), what="--start"),
        parse_duration(slack, "--slack"), None if use is None else _share(use), spread, noise,
        None if pause_cost is None else parse_duration(pause_cost, "--pause-cost"), seed, bool(zones),
    )  # fmt: skip
    _check(work, regions, zones)
    with TemporaryDirectory(prefix="tidewatt-") as folder:
        settings = settings_of(regions, grid, zones, gpus, signal)
        chain = chain_of(settings, Path(folder) if models else None)
        site = site_of(settings)
        if zones and signal is None:
            site = observed(site, chain)
        made, about = _jobs(work, site, chain)
        from tidewatt.scheduler.simulation.setting import Pace, scenario

        pace = Pace(
            parse_duration(issue_every, "--issue-every"),
            parse_duration(ahead, "--ahead"),
            parse_duration(plan_every, "--plan-every"),
        )
        told = scenario(chain, site, made, pace)
        found = _compared(told, tuple(policies or USUAL))
    if csv is not None:
        _write(csv, told, found)
    if picture is not None:
        from tidewatt.scheduler.simulation.picture import draw

        draw(picture, told, found, about=about)
        tell(f"tidewatt: drawn in {picture}")
    _show(told, found, about, as_json)


def _show(told: "Scenario", found: "dict[str, Outcome]", about: str, as_json: bool) -> None:
    if as_json:
        from tidewatt.scheduler.simulation.answer import message

        say_json(message(told, found, {"jobs": about}))
        return
    from tidewatt.scheduler.cli.simulating_text import lines

    for line in lines(told, found, about):
        say(line)


def _compared(told: "Scenario", names: tuple[str, ...]) -> "dict[str, Outcome]":
    from tidewatt.scheduler.simulation.comparing import compare

    def progress(name: str) -> None:
        if sys.stderr.isatty():
            tell(f"tidewatt: {name}")

    return compare(told, names, progress)


def _check(work: Work, regions: Path | None, zones: list[str] | None) -> None:
    if (work.file is None) == (work.generate is None):
        raise BadInput("give either --jobs FILE (or --jobs store) or --generate N")
    if (work.generate or 0) > MOST_JOBS:
        raise BadInput(
            f"--generate {work.generate} is too many to simulate: make up {MOST_JOBS:,} jobs at most"
        )
    if (work.arrival is None) != (work.duration is None):
        raise BadInput("of a foreign trace give both --arrival-column and --duration-column")
    if work.arrival is not None and work.file in (None, "store"):
        raise BadInput("--arrival-column is of a foreign trace: name its file with --jobs")
    if regions is not None and zones:
        raise BadInput("--regions and --zone exclude each other: choose one")


def _jobs(work: Work, site: "Site", chain: "Outlooks") -> "tuple[tuple[Submitted, ...], str]":
    """The jobs, and in words what they are."""
    from tidewatt.scheduler.simulation import generated, submitted
    from tidewatt.scheduler.simulation.setting import first_moment

    start = work.start or first_moment(chain, site.regions, site.signal)
    made, about = _found(work, site.regions, start)
    if work.start is not None:
        made = submitted.shifted(made, round(work.start.timestamp() * 1000) - made[0].submitted_ms)
    if work.spread:
        made, about = generated.spread(made, site.regions, work.seed), f"{about}, homes drawn"
    if work.use is not None:
        gpus = sum(pool.gpus for region in site.regions for pool in region.pools)
        made = submitted.compressed(made, gpus, work.use)
        about += f", {work.use:.0%} of all GPUs used"
    if work.pause_cost is not None:
        made = submitted.pausable(made, work.pause_cost)
    if work.noise:
        made = generated.mistaken(made, work.noise, work.seed)
        about += f", estimates err by {work.noise:g}"
    return made, about


def _found(work: Work, regions: "tuple[Region, ...]", start: datetime) -> "tuple[tuple[Submitted, ...], str]":
    from tidewatt.scheduler.simulation import trace
    from tidewatt.scheduler.simulation.generated import Recipe, generated

    if work.generate is not None:
        recipe = Recipe(work.generate, work.days)
        return generated(recipe, regions, start, work.slack, work.seed), f"made up (seed {work.seed})"
    if work.file == "store":
        from tidewatt.scheduler.cli.done_jobs import done_jobs

        return done_jobs(own_paths(), regions, work.slack), "those that were done here"
    path = Path(work.file or "")
    if work.arrival is not None and work.duration is not None:
        plain = trace.Plain(work.arrival, work.duration, work.gpus_column or "")
        return trace.of_plain(path, plain, regions, start, work.slack), f"of {path.name}"
    made = trace.of_file(path, regions, start, work.slack, elsewhere=work.elsewhere)
    return made, f"of {path.name}"


def _write(path: Path, told: "Scenario", found: "dict[str, Outcome]") -> None:
    from tidewatt.scheduler.simulation.answer import csv_text

    try:
        path.write_text(csv_text(told, found), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}") from error


def _share(text: str) -> float:
    try:
        value = float(text.strip().removesuffix("%")) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise BadInput(f"--use {text!r} is no share below all: write 50% or 0.5")
    return value
