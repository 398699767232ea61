"""`sbatch`: hands a script to Slurm for its cleanest hours, without a daemon or any special right."""

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from shutil import which
from typing import Annotated, Any

import typer

from tidewatt.scheduler.cli import headers
from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.flags import WHERE_AND_WHEN
from tidewatt.scheduler.cli.job_text import plan_lines
from tidewatt.scheduler.cli.operator_text import note_lines
from tidewatt.scheduler.cli.session import own_paths, working_folder
from tidewatt.scheduler.cli.submitting import kept_environment, own_umask, source_of
from tidewatt.scheduler.cli.text import say, say_json, tell
from tidewatt.scheduler.cli.wish import Wish, check_command, defaults, plan_request
from tidewatt.scheduler.client import Json
from tidewatt.scheduler.errors import BadInput

HEADERS = (WHERE_AND_WHEN | {"name"}) - {"after", "late"}  # what #TIDEWATT lines of its scripts may hold


def sbatch(
    script: Annotated[
        list[str],
        typer.Argument(metavar="SCRIPT [ARGUMENTS]...", help="What to run; its #SBATCH lines are kept."),
    ],
    finish_by: given.FinishBy = None,
    duration: given.Duration = None,
    clusters: Annotated[
        str | None, typer.Option("--clusters", "-M", metavar="NAMES", help="Only there, as in eu,us.")
    ] = None,
    name: given.Name = None,
    late: given.Late = False,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="In place of your own configuration.")
    ] = None,
    as_json: given.AsJson = False,
) -> None:
    """Submit a script to Slurm once, to begin in the cleanest hours before its deadline; print its number.

    No daemon is needed; `tidewatt settle` shows later what it used and saved.
    """
    from tidewatt.backends.slurm.reference import Reference
    from tidewatt.scheduler.config import load
    from tidewatt.scheduler.daemon.alone import alone
    from tidewatt.scheduler.request_schema import SubmitRequest

    settings = load(config, os.environ, {}).settings
    chosen = [each for each in (clusters or "").split(",") if each]
    folder = working_folder()
    asked = _asked(script, folder, Wish(finish_by=finish_by, duration=duration), name) | {"late": late}
    with alone(own_paths(), settings, chosen) as here:
        reply, attempt = here.submit(SubmitRequest.model_validate(asked))
        reference = Reference.read(here.folder(attempt))
        now = here.site.clock.now()
    number = "" if reference is None else reference.number
    view: Any = reply.model_dump(mode="json")
    if as_json:
        say_json({**view, "slurm_job": number, "region": attempt.region})
        return
    for line in (*plan_lines(view["job"]["plan"], now, ""), *note_lines(view)):
        tell(line)
    if not number:
        tell(f"{attempt.region} did not answer: `tidewatt settle {view['job']['id']}` finds out what it took")
    cluster = "" if reference is None or not reference.reach.cluster else f";{reference.reach.cluster}"
    say(f"{number or 'unknown'}{cluster}")


def _asked(script: list[str], folder: Path, wish: Wish, name: str | None) -> Json:
    """The SubmitRequest: what the script's own lines ask for counts where no flag says it."""
    from tidewatt.backends.slurm.directives import directives
    from tidewatt.scheduler.cli.session import clock

    known = directives(script, folder)
    told = headers.told(script, folder, HEADERS)
    wish = _by_script(wish.over(defaults(folder, os.environ, told.wish)), known.value)
    command = list(script)
    if not command[0].startswith(("/", "./")) and (folder / command[0]).is_file():
        command[0] = f"./{command[0]}"
    if (folder / command[0]).is_file() and not os.access(folder / command[0], os.X_OK):
        command = ["bash", *command]  # sbatch takes scripts that may not be executed, too
    env = kept_environment(wish)
    if "/" not in command[0] and not which(command[0]):
        raise BadInput(f"the script {command[0]} does not exist in {folder}, nor in PATH: check its name")
    check_command(command, folder, (env or {}).get("PATH") or os.environ.get("PATH", os.defpath))
    return plan_request(wish, clock) | {
        "argv": command,
        "cwd": str(folder),
        "env": env,
        "name": name or told.order.name or known.value("job-name") or "",
        "project": wish.project or "",
        "umask": own_umask(),
        "source": source_of(folder),
    }


def _by_script(wish: Wish, value: Any) -> Wish:
    """The wish with what `#SBATCH` lines say of it."""
    limit, gpus = value("time"), value("gpus") or value("gres") or value("gpus-per-node")
    if wish.time is None and limit is not None:
        wish = replace(wish, time=f"{slurm_time(limit).total_seconds():.0f}s")
    if wish.gpus is None and gpus:
        wish = replace(wish, gpus=_gpus(gpus))
    cpus = (value("cpus-per-task") or "1", value("ntasks") or "1")
    if wish.cpus is None and all(each.isdecimal() for each in cpus):
        wish = replace(wish, cpus=int(cpus[0]) * int(cpus[1]))
    memory = value("mem")
    if wish.mem is None and memory and memory != "0":
        wish = replace(wish, mem=memory if memory[-1].isalpha() else f"{memory}M")
    return wish


def slurm_time(text: str) -> timedelta:
    """A time limit as sbatch takes it: MIN, MIN:SEC, H:MIN:SEC, D-H, D-H:MIN, D-H:MIN:SEC.

    Raises:
        BadInput: it is none.
    """
    days, dash, rest = text.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdecimal() for part in (*parts, days or "0")) or len(parts) > 3:
        raise BadInput(f"#SBATCH --time={text} is no time limit of Slurm: write minutes, or H:MM:SS")
    numbers = [int(part) for part in parts]
    if dash:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
        return timedelta(days=int(days), hours=hours, minutes=minutes, seconds=seconds)
    hours, minutes, seconds = numbers if len(numbers) == 3 else (0, *(*numbers, 0)[:2])
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _gpus(text: str) -> str:
    """The GPUs of `gpu:h200:2`, `h200:2` or `2`, as our own flag takes them."""
    words = [word for word in text.split(",")[0].split("(")[0].split(":") if word != "gpu"]
    count = words.pop() if words and words[-1].isdecimal() else "1"
    return f"{words[0]}:{count}" if words else count
