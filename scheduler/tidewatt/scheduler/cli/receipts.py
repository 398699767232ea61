"""`receipt`: what one job used, emitted and saved, and everything it stands on in one file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.files import STDOUT, put, refuse_file
from tidewatt.scheduler.cli.session import daemon, now_of
from tidewatt.scheduler.cli.text import folded, painted, say, say_json, tell
from tidewatt.scheduler.client import Client, Json
from tidewatt.scheduler.errors import BadInput, Refused

_PATIENT_S = 300.0  # a bundle of a year takes longer than other answers


def receipt(
    job: given.Job,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE", help="Write all that it stands on, for `tidewatt verify`."),
    ] = None,
    outputs: Annotated[
        list[Path] | None,
        typer.Option("--output", metavar="FILE", help="Bind the digest of what the job made to the bundle."),
    ] = None,
    as_json: given.AsJson = False,
) -> None:
    """Show what a job used, emitted and saved; --bundle lets others check it without us."""
    if outputs and bundle is None:
        raise BadInput("--output names what a bundle is about: give --bundle, too")
    if as_json and bundle == STDOUT:
        raise BadInput("--json and --bundle - are both for stdout: choose one")
    refuse_file(bundle, (".zip",))
    client = daemon()
    answer = client.job(job)
    if "settlement" not in answer:
        raise BadInput(f"{job} is an array: name one of its tasks, as {job}_0")
    if bundle is not None:
        _write(client, f"bundle/job/{job}{_query(outputs or ())}", bundle)
        answer = client.job(job)  # making the bundle may have settled it anew
    _show(client, answer, as_json, bundle)


def report_bundle(client: Client, since_s: float | None, by: str, baseline: str, path: Path) -> None:
    """Writes the bundle of a report over the jobs that ended in the last `since_s` seconds, or ever."""
    asked = {"by": by, "baseline": baseline} | ({} if since_s is None else {"since_s": since_s})
    _write(client, f"bundle/report?{urlencode(asked)}", path)


def _write(client: Client, path: str, into: Path) -> None:
    put(into, Client(client.path, _PATIENT_S).fetch(path))
    if into != STDOUT:
        tell(f"`tidewatt verify {into}` checks it, here or elsewhere")


def _show(client: Client, answer: Json, as_json: bool, bundle: Path | None) -> None:
    if as_json:
        say_json(answer["settlement"])
        return
    if bundle == STDOUT:
        return
    if answer["settlement"] is None:
        raise Refused(
            f"job {answer['key']} is not settled yet: `tidewatt show {answer['key']}` says where it stands"
        )
    from tidewatt.scheduler.cli.cost_text import cost_lines
    from tidewatt.scheduler.cli.job_text import account_lines, title

    say(painted(title(answer), "bold"))
    for line in account_lines(answer["settlement"], now_of(client.status())):
        say(line)
    for line in folded(cost_lines(client.cost(answer["key"])), "  "):
        say(f"  {line}")


def _query(paths: Sequence[Path]) -> str:
    """What asks the daemon to bind these files' digests to a bundle.

    Raises:
        BadInput: where one cannot be read, or two have one name.
    """
    from tidewatt.scheduler.proof.outputs import read

    made: dict[str, str] = {}
    for each in map(read, paths):
        if made.setdefault(each.name, each.sha256) != each.sha256:
            raise BadInput(f"two outputs are called {each.name}: a bundle binds each by its name, rename one")
    digests = [f"{sha256}:{name}" for name, sha256 in made.items()]
    return f"?{urlencode({'output': digests}, doseq=True)}" if digests else ""
