"""`sci`: carbon per job, epoch, sample, token, parameter or FLOP, by the standard for it."""

from collections.abc import Iterator
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

import typer

from tidewatt.scheduler.accounting.quantity import counted, kwh, mass
from tidewatt.scheduler.array import parse_key
from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.session import daemon
from tidewatt.scheduler.cli.text import folded, painted, say, say_json, shown
from tidewatt.scheduler.client import Client
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.when import parse_duration

if TYPE_CHECKING:
    from tidewatt.scheduler.accounting.sci import Part, Range, Score, SignalScore
    from tidewatt.scheduler.schemas import JobView

_SIZES = ((1, ""), (1_000, "thousand "), (1_000_000, "million "), (10**9, "billion "), (10**12, "trillion "))
_INDENT = " " * 11
_LEAST_G = 1e-4  # of what is shown: three digits of whole micrograms


def sci(
    job: Annotated[str | None, typer.Argument(metavar="JOB", help="A job, a task, or a whole array.")] = None,
    project: Annotated[str | None, typer.Option(metavar="NAME", help="All jobs of this project.")] = None,
    experiment: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="All runs of this experiment, failed and discarded ones too."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="30d", help="Jobs that ended within this time.")
    ] = None,
    per: Annotated[
        str | None,
        typer.Option(metavar="UNIT", help="job, epoch, step, sample, token, parameter or flop.  [job]"),
    ] = None,
    unit: Annotated[
        str | None, typer.Option(metavar="UNITS=N", help="State their number: tokens=1e9.")
    ] = None,
    kept: Annotated[
        list[str] | None,
        typer.Option(metavar="JOB", help="The runs that the result stands on; others count as discarded."),
    ] = None,
    inferences: Annotated[
        str | None, typer.Option(metavar="N", help="Spread it over so many inferences.")
    ] = None,
    as_json: given.AsJson = False,
) -> None:
    """Show the Software Carbon Intensity of jobs: ((E x I) + M) per R, with what has to be disclosed."""
    from tidewatt.scheduler.accounting.sci import JOB, Terms, score, unit_of

    stated = None if unit is None else _stated(unit)
    wanted = unit_of(per) if per is not None else unit_of(stated[0]) if stated else JOB
    if stated is not None and unit_of(stated[0]) != wanted:
        raise BadInput(f"--per {per} and --unit {unit} name different units: keep one of them")
    keys = frozenset(str(parse_key(each)) for each in kept or ())
    spread = None if inferences is None else _number(inferences, "--inferences")
    terms = Terms(wanted, None if stated is None else stated[1], spread, keys)
    jobs, called = _jobs(daemon(), job, project, experiment, since)
    found = score(jobs, terms)
    if as_json:
        say_json({"of": called, **asdict(found)})
        return
    for line in lines(found, called):
        say(line)


def lines(score: "Score", called: str) -> Iterator[str]:
    """The score in words, in 80 columns."""
    yield from folded(_lines(score, called), _INDENT + "  ")


def _lines(score: "Score", called: str) -> Iterator[str]:
    yield painted(f"Software Carbon Intensity of {shown(called)}", "bold")
    for each in score.signals:
        yield from _signal_lines(score, each)
    if not score.signals:
        yield "  no intensity was observed yet: there is no score"
    if score.embodied is not None:
        yield f"  M        {_range(score.embodied)} of making the hardware; never used in decisions"
        yield from (f"{_INDENT}{source}" for source in score.embodied_sources)
    else:
        yield "  M        not known: without it this is no score of the standard"
    if score.units is not None:
        gross = "" if score.units_gross in (None, score.units) else f" of {score.units_gross:,} in all runs"
        yield f"  R        {score.units:,} {_plural(score.unit, score.units)}{gross} ({score.units_source})"
    yield f"  E        {_amounts(score.total)}; {'; '.join(score.pue_sources)}"
    for fate, part in score.parts.items() if len(score.parts) > 1 or "kept" not in score.parts else ():
        yield f"{_INDENT}{fate}: {_amounts(part)}"
    yield from (f"  boundary {boundary}" for boundary in score.boundary)
    yield f"  method   {score.standard}; location-based, no certificates or offsets"
    yield from (f"  note     {note}" for note in score.notes)


def _signal_lines(score: "Score", each: "SignalScore") -> Iterator[str]:
    intensity = "" if each.gco2_per_kwh is None else f" x I {each.gco2_per_kwh:.0f} g/kWh"
    used = kwh(each.facility_kwh)
    if each.per_unit is not None:
        gross = ""
        if each.per_unit_gross is not None and score.units_gross != score.units:
            gross = f"; over all runs {_per(each.per_unit_gross, score.unit)}"
        yield f"  {each.signal:<8} {painted(_per(each.per_unit, score.unit), 'bold')}{gross}"
    else:
        yield f"  {each.signal:<8} {mass(each.operational_g)} in operation"
    yield f"{_INDENT}O {mass(each.operational_g)} = E {used}{intensity}"
    yield f"{_INDENT}I {each.kind}; {', '.join(each.sources)}"
    if each.per_inference is not None:
        spread = f"training spread over {score.inferences:,} as you stated"
        yield f"{_INDENT}{_per(each.per_inference, 'inference')}, {spread}"


def _per(grams: "Range", unit: str) -> str:
    """The central score and its range, per so many units that it can be read."""
    size, word = next(((s, w) for s, w in _SIZES if grams.central_g * s >= _LEAST_G), _SIZES[-1])
    low, central, high = (mass(each * size) for each in grams)
    around = "" if low == high else f" ({low} to {high})"
    return f"{central} per {word}{_plural(unit, size)}{around}"


def _range(grams: "Range") -> str:
    low, central, high = map(mass, grams)
    return central if low == high else f"{low} to {high}, central {central}"


def _amounts(part: "Part") -> str:
    used = kwh(part.energy_kwh)
    whole = kwh(part.facility_kwh)
    grams = "".join(f", {mass(value)} {signal}" for signal, value in part.emissions_g.items())
    return f"{counted(part.jobs, 'job')}, {used} used, {whole} with PUE{grams}"


def _plural(unit: str, count: int) -> str:
    word = "FLOP" if unit == "flop" else unit
    return word if count == 1 else f"{word}s"


def _jobs(
    client: Client, job: str | None, project: str | None, experiment: str | None, since: str | None
) -> tuple[list["JobView"], str]:
    """The jobs that were asked for, and what they are called together."""
    from tidewatt.scheduler.accounting.experiment import experiment_of
    from tidewatt.scheduler.schemas import JobView

    if sum(each is not None for each in (job, project, experiment)) != 1:
        raise BadInput("name what to score: a job, --project NAME or --experiment NAME, one of them")
    if job is not None:
        if since is not None:
            raise BadInput("--since is for projects and experiments: leave it out")
        answer = client.job(parse_key(job))
        found = [JobView.model_validate(each) for each in answer.get("jobs", [answer])]
        return found, f"job {job}" if "jobs" not in answer else f"array {job}"
    since_s = None if since is None else parse_duration(since, "--since").total_seconds()
    found = [JobView.model_validate(each) for each in client.receipts(since_s, project)]
    if project is not None:
        return found, f"project {project}" if project else "jobs without a project"
    return [
        each for each in found if experiment_of(each.labels, each.array) == experiment
    ], f"experiment {experiment}"


def _stated(text: str) -> tuple[str, int]:
    name, sign, number = text.partition("=")
    if not sign:
        raise BadInput(f"--unit {text} says no number: write for example --unit tokens=1e9")
    return name, _number(number, f"--unit {name}")


def _number(text: str, what: str) -> int:
    """A whole number above zero, `1e9` too."""
    try:
        value = Decimal(text.strip().replace("_", "").replace(",", ""))
        whole = int(value) if value.is_finite() and value.adjusted() < 40 else 0
    except InvalidOperation:
        whole = 0
    if whole < 1:
        raise BadInput(f"{what} must be a whole number above zero, such as 1000000 or 1e9, not {text!r}")
    return whole
