"""`settle`: what jobs that were submitted without a daemon used and saved, once their cluster can tell."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.job_text import account_lines, state, title
from tidewatt.scheduler.cli.session import own_paths
from tidewatt.scheduler.cli.text import painted, say, say_json
from tidewatt.scheduler.errors import BadInput


def settle(
    job: Annotated[
        str | None, typer.Argument(metavar="[JOB]", help="One job, as `sbatch` printed it; all otherwise.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="In place of your own configuration.")
    ] = None,
    as_json: given.AsJson = False,
) -> None:
    """Ask Slurm how jobs of `tidewatt sbatch` fared, and show their receipts."""
    from tidewatt.scheduler.config import load
    from tidewatt.scheduler.daemon.alone import alone
    from tidewatt.scheduler.daemon.views import whole_view

    with alone(own_paths(), load(config, os.environ, {}).settings, []) as here:
        here.settle()
        called = {each.id: _names(here, each.id) for each in here.jobs()}
        wanted = [number for number, names in called.items() if job is None or _is_meant(job, number, names)]
        if job is not None and not wanted:
            raise BadInput(f"no job {job} was submitted from here: `tidewatt settle` lists them")
        views: list[Any] = []
        for number in wanted:
            record = here.store.job(number)
            if record is not None:
                views.append(whole_view(here.store, record).model_dump(mode="json"))
        now = here.site.clock.now()
    if as_json:
        say_json({"jobs": views})
        return
    for view in views:
        there = "".join(f"  {name} in Slurm" for name in called[view["id"]][-1:])
        say(f"{painted(title(view), 'bold')}{there}  {state(view)}  {view['reason'] or ''}".rstrip())
        for line in account_lines(view["settlement"], now, brief=job is None):
            say(line)


def _names(here: Any, number: int) -> list[str]:
    """What Slurm calls the attempts of a job, oldest first: `1234;london`, as `sbatch` printed it."""
    from tidewatt.backends.slurm.reference import Reference

    references = [Reference.read(here.folder(each)) for each in here.store.attempts([number])[number]]
    known = [each for each in references if each is not None and each.number]
    return [each.number + (f";{each.reach.cluster}" if each.reach.cluster else "") for each in known]


def _is_meant(job: str, number: int, names: Sequence[str]) -> bool:
    """True where `job` is our number, or Slurm's with or without its cluster."""
    return job == str(number) or any(job in (name, name.partition(";")[0]) for name in names)
