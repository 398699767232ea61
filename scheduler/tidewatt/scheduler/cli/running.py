"""`run`: submit, wait, stream the output, exit with the job's code."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.far_output import FarTail
from tidewatt.scheduler.cli.flags import OF_ONE_JOB, Order, flagged
from tidewatt.scheduler.cli.following import (
    NO_DAEMON,
    NO_JOB_CODE,
    Tail,
    Watch,
    exit_code,
    follow,
    outputs,
    reasons,
)
from tidewatt.scheduler.cli.job_text import account_lines, submitted_lines
from tidewatt.scheduler.cli.session import daemon, now_of, working_folder
from tidewatt.scheduler.cli.submitting import send
from tidewatt.scheduler.cli.text import local, parsed, say_json, tell
from tidewatt.scheduler.cli.wish import Wish, file_of, folder_of
from tidewatt.scheduler.client import Client, Json, NoDaemon
from tidewatt.scheduler.errors import Refused

ACCOUNT_S = 5.0  # how long `run` waits for the energy of its job


@flagged(OF_ONE_JOB)
def run(command: given.Command, wish: Wish, order: Order, as_json: given.AsJson = False) -> int:
    """Submit, wait, stream the output, and exit with the job's code.

    Ctrl-C cancels the job and shows its end; a second Ctrl-C leaves at once. 128+n for a signal, 121 where
    the job was refused or cancelled, 120 without a daemon.
    """
    before = _sizes(folder_of(order.chdir, working_folder()), order.output, order.error)
    client = daemon()
    try:
        reply, now = send(command, wish, order, OF_ONE_JOB)
        for line in submitted_lines(reply, now):
            tell(line)
        _tell_waiting(reply["job"], now)
        copies = [] if as_json else outputs(client, reply["job"], before)
        job = _watched(client, reply["job"]["id"], copies)
    except NoDaemon as missing:
        tell(f"tidewatt: {missing}")
        return NO_DAEMON
    except Refused as refused:
        tell(f"tidewatt: {refused}")
        return NO_JOB_CODE
    _close(client, job, as_json)
    return exit_code(job)


def _sizes(folder: Path, *outputs: str | None) -> dict[str, int]:
    """Where the job's own output will begin in files that exist already: it is appended."""
    paths = [Path(file_of(output, folder)) for output in outputs if output]
    return {str(path): path.stat().st_size for path in paths if path.exists()}


def _watched(client: Client, job_id: int, copies: Sequence[Tail | FarTail]) -> Json:
    watch = Watch(client)
    try:
        return follow(watch, job_id, copies)
    except KeyboardInterrupt:
        tell(f"\ntidewatt: cancelling job {job_id}; Ctrl-C again leaves without waiting for its end")
        client.act(job_id, "cancel")
        return follow(watch, job_id, copies)


def _tell_waiting(job: Json, now: datetime) -> None:
    """What one who sits and waits may do."""
    start = parsed(job["plan"]["start"]) if job["plan"] else None
    if start is not None and (start - now).total_seconds() > 1:
        tell(f"waiting until {local(start, now)}; Ctrl-C cancels, `tidewatt start {job['id']}` starts it now")


def _close(client: Client, job: Json, as_json: bool) -> None:
    patience = monotonic() + ACCOUNT_S
    while job["settlement"] is None and any(each["started"] for each in job["attempts"]):
        if monotonic() > patience:
            break
        sleep(0.2)  # its energy is being computed
        job = client.job(job["id"])
    if as_json:
        say_json(job)
    for line in reasons(job):
        tell(line)
    if job["settlement"] is not None:
        for line in account_lines(job["settlement"], now_of(client.status()), brief=True):
            tell(line)
