"""`settle`: what jobs that were submitted without a daemon used and saved, once their cluster can tell."""

import os
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
        str | None, typer.Argument(metavar="[JOB]", help="One job, by our number or Slurm's; all otherwise.")
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
        wanted = [each.id for each in here.jobs() if job is None or job in _names(here, each.id)]
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
        say(f"{painted(title(view), 'bold')}  {state(view)}  {view['reason'] or ''}".rstrip())
        for line in account_lines(view["settlement"], now, brief=job is None):
            say(line)


def _names(here: Any, number: int) -> set[str]:
    """What a job is called: our number, and those that Slurm gave its attempts."""
    from tidewatt.backends.slurm.reference import Reference

    references = [Reference.read(here.folder(each)) for each in here.store.attempts([number])[number]]
    return {str(number)} | {each.number for each in references if each is not None and each.number}
