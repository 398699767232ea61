"""`submit` and `rerun`: from flags to a request, and the daemon's answer in words."""

import os
from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tidewatt.scheduler.array import parse_tasks
from tidewatt.scheduler.cli import headers
from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.array_text import submitted_array_lines
from tidewatt.scheduler.cli.flags import Order, flagged
from tidewatt.scheduler.cli.job_text import plan_lines, submitted_lines
from tidewatt.scheduler.cli.notices import kinds_of
from tidewatt.scheduler.cli.operator_text import note_lines
from tidewatt.scheduler.cli.session import DaemonTime, daemon, now_of, working_folder
from tidewatt.scheduler.cli.text import say, say_json, tell
from tidewatt.scheduler.cli.wish import Wish, check_command, defaults, file_of, folder_of, plan_request
from tidewatt.scheduler.cli.wording import after_of, labels_of, retries_of
from tidewatt.scheduler.client import Client, Json, NoDaemon
from tidewatt.scheduler.errors import BadInput


@flagged()
def submit(
    command: given.Command,
    wish: Wish,
    order: Order,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the exact request or script, and store nothing.")
    ] = False,
    as_json: given.AsJson = False,
) -> None:
    """Hand a job to the daemon; once acknowledged, it is not lost.

    With --finish-by it runs in the cleanest window that meets the deadline, else as soon as it fits.
    """
    if dry_run:
        _rehearse(command, wish, order, as_json)
        return
    reply, now = send(command, wish, order)
    if as_json:
        say_json(reply)
        return
    lines = submitted_array_lines if reply.get("array") else submitted_lines
    for line in lines(reply, now):
        say(line)


def send(
    command: list[str], wish: Wish, order: Order, only: Collection[str] | None = None
) -> tuple[Json, datetime]:
    """The SubmitReply for a new job, and the daemon's time; `only`: the flags that its script may hold."""
    client, request, now = _asked(command, wish, order, only)
    return client.submit(request), now()


def _rehearse(command: list[str], wish: Wish, order: Order, as_json: bool) -> None:
    """Says what would be sent for a job, and why there and then; the text alone goes to stdout."""
    client, request, now = _asked(command, wish, order)
    reply = client.rehearse(request)
    if as_json:
        say_json(reply)
        return
    tell(f"nothing is stored or sent: job {reply['job']} would go to {reply['region']} ({reply['backend']})")
    for line in (*plan_lines(reply["plan"], now(), ""), *note_lines(reply)):
        tell(line)
    say(reply["text"].rstrip("\n"))


def _asked(
    command: list[str], wish: Wish, order: Order, only: Collection[str] | None = None
) -> tuple[Client, Json, DaemonTime]:
    """The SubmitRequest for a new job, whom to ask, and the daemon's time."""
    client = _present()
    current = working_folder()
    script = headers.told(command, folder_of(order.chdir, current), only)
    wish, order = wish.over(defaults(current, os.environ, script.wish)), script.under(order)
    folder = folder_of(order.chdir, current)
    env = kept_environment(wish)
    path = (env or {}).get("PATH") or os.environ.get("PATH", os.defpath)
    command = headers.runnable(command, folder, path)
    _check_here(client, command, folder, wish, path)
    now = DaemonTime(client)
    request = plan_request(wish, now) | after_of(order.after) | _tasks(order)
    request |= {
        "late": order.late,
        "argv": command,
        "cwd": str(folder),
        "env": env,
        "name": order.name or "",
        "project": wish.project or "",
        "labels": labels_of(wish.label),
        "stdout": file_of(order.output, folder),
        "stderr": file_of(order.error, folder),
        "hold": order.hold,
        "over_budget": order.over_budget,
        "snapshot": bool(wish.snapshot),
        "umask": own_umask(),
        "source": source_of(folder),
        "retries": retries_of(wish.retries or 0),
        **({} if wish.notify is None else {"notify": list(kinds_of(wish.notify))}),
    }
    return client, request, now


def _check_here(client: Client, command: list[str], folder: Path, wish: Wish, path: str) -> None:
    """Refuses a command that is not there; of a job that cannot run on this host it is only told.

    Raises:
        BadInput: where it is not, and might run here.
    """
    try:
        check_command(command, folder, path)
    except BadInput as error:
        without = wish.exclude_region or ()
        found = [each for each in client.status()["regions"] if each["name"] not in without]
        among = [each for each in found if not wish.region or each["name"] in wish.region]
        if not among or any(each["backend"] == "local" for each in among):
            raise
        where = ", ".join(each["name"] for each in among)
        tell(f"tidewatt: on this host {error}; it has to be there where the job runs: {where}")


def _tasks(order: Order) -> Json:
    """The array that was asked for, if any; each task needs an output of its own."""
    if order.array is None:
        return {}
    tasks = parse_tasks(order.array)
    for flag, text in (("--output", order.output), ("--error", order.error)):
        if text and "%a" not in text:
            raise BadInput(
                f"all tasks of the array would write into one file: put %a, the number of the task, into"
                f" {flag}, for example {flag} out_%a.log"
            )
    return {"array": list(tasks.numbers), "array_limit": tasks.limit}


def _present() -> Client:
    """The client, if there may be a daemon: found out before the working tree is read."""
    client = daemon()
    if not client.path.exists():
        raise NoDaemon
    return client


def kept_environment(wish: Wish) -> dict[str, str] | None:
    """The variables that the job keeps; None for none."""
    from tidewatt.backends.environment import select

    keep = None if wish.env is None else list(wish.env)
    # the operator's deny list is the daemon's to apply
    return select(os.environ, keep, bool(wish.no_env), ()) or None


def own_umask() -> int:
    """Ours, so that the job's files are as open as if it had been started by hand."""
    current = os.umask(0o077)  # it can only be read by setting it
    os.umask(current)
    return current


def source_of(folder: Path) -> Json:
    from tidewatt.backends.source import record

    return asdict(record(folder))


def rerun(
    job: given.Job,
    env: given.Env = None,
    no_env: given.NoEnv = False,
    as_json: given.AsJson = False,
) -> None:
    """Run a job again as a new job, in the environment of whoever says so now."""
    client = _present()
    kept = kept_environment(Wish(env=env, no_env=no_env or None).over(defaults(working_folder(), os.environ)))
    reply: Any = client.rerun(job, {"env": kept})
    if as_json:
        say_json(reply)
        return
    lines = submitted_array_lines if reply.get("array") else submitted_lines
    for line in lines(reply, now_of(client.status())):
        say(line)
