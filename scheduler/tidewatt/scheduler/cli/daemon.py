"""`up`, `down` and `status`: the daemon and what it does now."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.job_text import command_of, title, warning_lines
from tidewatt.scheduler.cli.operator_text import operator_lines
from tidewatt.scheduler.cli.session import daemon, now_of, own_paths
from tidewatt.scheduler.cli.text import (
    intensity,
    lasting,
    local,
    painted,
    parsed,
    percent,
    say,
    say_json,
    table,
    tell,
)
from tidewatt.scheduler.client import Client, Json, NoDaemon
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.paths import Paths, system_paths


def up(
    zone: given.Zone = None,
    config: given.Config = None,
    listen: Annotated[
        str | None, typer.Option(metavar="127.0.0.1:PORT", help="Listen on TCP too, for those with a token.")
    ] = None,
    tls_cert: Annotated[
        str | None, typer.Option(metavar="FILE", help="With --listen: the certificate, for TLS.")
    ] = None,
    tls_key: Annotated[str | None, typer.Option(metavar="FILE", help="With --listen: its key.")] = None,
    behind_proxy: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="With --listen: the proxy whose X-Forwarded-* is believed."),
    ] = None,
    hindsight: given.Hindsight = False,
    replay_from: Annotated[
        str | None, typer.Option(metavar="TIME", help="Replay recorded time from here.")
    ] = None,
    replay_factor: Annotated[
        float | None, typer.Option(metavar="N", help="Replay so many times faster than real time.")
    ] = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay, as service managers want it.")
    ] = False,
    system: Annotated[
        bool, typer.Option("--system", help="As root: serve a group of this host's users.")
    ] = False,
    group: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --system: the group to serve.")
    ] = None,
    as_json: given.AsJson = False,
) -> None:
    """Start the daemon in the background; it goes on after logout, and running jobs go on after it."""
    from tidewatt.scheduler.cli import process

    place = _place(system, group)
    door = Tcp(listen, tls_cert, tls_key, tuple(behind_proxy or ()))
    wanted = Wanted(zone, config, listen, hindsight, replay_from, replay_factor, group, door)
    if foreground:
        if listen:
            tell("tidewatt: `tidewatt token create NAME` makes tokens for TCP")
        process.replace(place, wanted.arguments())
    running = process.status_of(Client(place.socket))
    token = ""
    if running is None:
        tell("tidewatt: starting the daemon ...")
        status = process.start(place, wanted.arguments())
        token = first_token(Client(place.socket)) if listen and not system else ""
    else:
        status = running
        differing = list(wanted.differences(running))
        if differing:
            there = " and ".join(differing)
            raise Refused(f"a daemon runs here already, but {there}: `tidewatt down` ends it first")
    if as_json:
        say_json(status if running or not token else status | {"token": token})
        return
    for line in up_lines(status, str(place.log), already=running is not None):
        say(line)
    if token and running is None:
        say(f"  token    {token}  (shown this once; send it as `Authorization: Bearer TOKEN`)")


def first_token(client: Client) -> str:
    """A token for whoever has none yet; "" where there are some."""
    if any(each["holds"] for each in client.tokens()):
        return ""
    return str(client.make_token({"name": "up", "scope": "operate", "lasting_s": None})["token"])


@dataclass(frozen=True, slots=True)
class Tcp:
    """What was said of TCP, as it was typed."""

    listen: str | None = None
    cert: str | None = None
    key: str | None = None
    proxies: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """What the daemon is started with.

        Raises:
            BadInput: for what only makes sense with --listen.
        """
        if self.listen is None:
            if self.cert or self.key or self.proxies:
                raise BadInput("--tls-cert, --tls-key and --behind-proxy are about TCP: add --listen")
            return []
        files = {"--tls-cert": self.cert, "--tls-key": self.key}
        flags = ["--listen", self.listen]
        flags += [part for flag, file in files.items() if file for part in (flag, str(Path(file).absolute()))]
        return [*flags, *(part for proxy in self.proxies for part in ("--behind-proxy", proxy))]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The daemon that was asked for; None where anything will do."""

    zone: str | None
    config: str | None
    listen: str | None
    hindsight: bool
    replay_from: str | None
    replay_factor: float | None
    group: str | None = None
    door: Tcp = Tcp()

    def arguments(self) -> list[str]:
        """What it is started with; never a token, which others could read there."""
        if self.config is not None and not Path(self.config).is_file():
            raise BadInput(f"the configuration file {self.config} does not exist")
        values = {
            "--zone": self.zone,
            "--config": None if self.config is None else str(Path(self.config).absolute()),
            "--replay-from": self.replay_from,
            "--group": self.group,
            "--replay-factor": None if self.replay_factor is None else f"{self.replay_factor:.12g}",
        }
        flags = [part for flag, value in values.items() if value is not None for part in (flag, value)]
        return [*flags, *self.door.arguments(), *(["--hindsight"] if self.hindsight else [])]

    def differences(self, status: Json) -> Iterator[str]:
        """How a running daemon differs from it, as far as its status tells."""
        if self.zone is not None or self.config is not None:
            yield from self._other_settings(status)
        if self.listen is not None and self.listen != status["listen"]:
            yield f"it listens on {status['listen'] or 'no TCP port'}"
        if self.hindsight and not status["hindsight"]:
            yield "it does not plan in hindsight"
        if self.replay_from is not None and not status["replaying"]:
            yield "it keeps real time"
        if self.group is not None and self.group != status["group"]:
            yield f"it serves the group {status['group']}"
        if self.replay_factor is not None and self.replay_factor != status["replay_factor"]:
            yield f"its replay factor is {status['replay_factor']:g}"

    def _other_settings(self, status: Json) -> Iterator[str]:
        from tidewatt.scheduler.config import load

        path = None if self.config is None else Path(self.config)
        settings = load(path, os.environ, {"zone": self.zone}).settings
        if settings.zone != status["zone"]:
            yield f"its zone is {status['zone'] or 'not set'}"
        if settings.signal != status["signal"]:
            decides = "both signals" if status["signal"] == "both" else f"the {status['signal']} signal"
            yield f"it decides by {decides}"
        names = [region.name for region in settings.regions] or ["local"]
        found = [region["name"] for region in status["regions"]]
        if path is not None and names != found:
            yield f"its regions are {', '.join(found)}"


def _place(system: bool, group: str | None) -> Paths:
    """The folders of the daemon to start.

    Raises:
        BadInput: where only one of flags that belong together was given.
    """
    system = system or os.environ.get("TIDEWATT_SYSTEM") == "1"
    if group is not None and not system:
        raise BadInput("--group names the group that a shared daemon serves: add --system")
    if not system:
        return own_paths()
    if os.geteuid() != 0:
        raise BadInput("only root can run jobs as the users who submit them: use sudo")
    return system_paths(os.environ)


def up_lines(status: Json, log: str, *, already: bool) -> Iterator[str]:
    """Where the daemon listens and what it has."""
    now = now_of(status)
    stands = "was running already" if already else "is up"
    yield f"{painted('tidewatt', 'bold')} {stands} (pid {status['pid']})"
    yield f"  listens  {status['socket']}" + (f" and http://{status['listen']}" if status["listen"] else "")
    yield f"  keeps    {status['home']}"
    if status["group"]:
        yield f"  serves   the members of the group {status['group']}; jobs run as those who submit them"
    yield f"  log      {log}"
    yield from _clock_lines(status, now)
    for region in status["regions"]:
        yield f"  region   {_region_text(region)}"
    shut = [region["shut"] for region in status["regions"] if region["shut"]]
    for warning in (*shut, *status["warnings"]):
        yield painted(f"  warning  {warning}", "yellow")


def _clock_lines(status: Json, now: datetime) -> Iterator[str]:
    if status["replaying"]:
        factor = f"{status['replay_factor']:g}"
        yield f"  replays  recorded time, {factor} times as fast; it is {local(now, None)} there"
    if status["hindsight"]:
        yield "  plans    in hindsight: on what was observed later"


def _region_text(region: Json) -> str:
    home = ", home" if region["home"] else ""
    known = region["gco2_per_kwh"] is not None
    grid = f"zone {region['zone']}" if region["zone"] else "no zone"
    number = (
        f", now {intensity(region['gco2_per_kwh'])} {region['signal']} ({region['intensity_source']})"
        if known
        else ""
    )
    return (
        f"{region['name']}{home}: {region['gpus']} GPUs, {region['cpus']} cores, "
        f"PUE {region['pue']:g} ({region['pue_source']}); {grid}{number}"
    )


def down(as_json: given.AsJson = False) -> None:
    """Stop the daemon. Running jobs go on, and are taken over again by the next `up`."""
    from tidewatt.scheduler.cli import process

    client = daemon()
    status = process.status_of(client)
    if status is None:
        raise NoDaemon
    if not process.end(client, status):
        raise Refused(
            f"the daemon (pid {status['pid']}) was asked to end and has not yet: look again in a while"
        )
    if as_json:
        say_json({"stopped": status["pid"], "running": [job["id"] for job in status["running"]]})
        return
    say(f"the daemon (pid {status['pid']}) has ended")
    for job in status["running"]:
        say(f"  {title(job)} goes on running: {command_of(job)}")
    waiting = status["jobs"].get("waiting", 0)
    if waiting:
        say(painted(f"  {waiting} waiting: they start only while a daemon runs (`tidewatt up`)", "yellow"))


def status(as_json: given.AsJson = False) -> None:
    """Show what the daemon does now: regions, intensity, running jobs, the next one, what is at risk."""
    found = daemon().status()
    if as_json:
        say_json(found)
        return
    for line in status_lines(found):
        say(line)


def status_lines(status: Json) -> Iterator[str]:
    """The daemon now, for people."""
    now = now_of(status)
    yield f"tidewatt {status['version']}, pid {status['pid']}, {local(now, None)}, state in {status['home']}"
    if status["group"]:
        yield f"shared: this host's daemon, serving the group {status['group']}; you are {status['you']}"
    yield from _clock_lines(status, now)
    yield from table(
        ("REGION", "ZONE", "INTENSITY", "SIGNAL", "GPUS FREE", "CORES FREE", "SOURCE"),
        (_region_row(region) for region in status["regions"]),
        right=(2, 4, 5),
    )
    yield from operator_lines(status, now)
    counts = [f"{count} {name}" for name, count in status["jobs"].items() if count]
    yield "jobs: " + (", ".join(counts) or "none") + _others(status)
    if status.get("certificate"):
        yield certificate_line(status["certificate"])
    for job in status["running"]:
        yield f"  {title(job)} {job['state']}{_since(job, now)}: {command_of(job)}"
    if status["next"]:
        start = local(status["next"]["plan"]["start"], now)
        yield f"next: {title(status['next'])} {start}: {command_of(status['next'])}"
    for job in status["at_risk"]:
        for line in warning_lines(job):
            yield f"{title(job)}{line}"
    for use in status["foreign"]:
        yield painted(
            f"foreign: GPU {use['gpu_uuid']} is used by pid {use['pid']} {use['command']} of {use['user']}"
            f" since {local(use['since'], now)}",
            "yellow",
        )
    for warning in status["warnings"]:
        yield painted(f"warning: {warning}", "yellow")


def _others(status: Json) -> str:
    """What other people's jobs do, without saying whose they are."""
    counts = [f"{count} {name}" for name, count in status["others"].items() if count]
    if not counts:
        return ""
    gpus = status["others_gpus"]
    return f"; others' jobs: {', '.join(counts)}, using {gpus} GPU{'s' * (gpus != 1)}"


def certificate_line(certificate: Json) -> str:
    """How good the plan of the queue is, proved."""
    jobs = certificate["jobs"]
    text = f"plan: {jobs} job{'s' * (jobs != 1)} by the {certificate['planner']}"
    if certificate["gap"] is not None:
        text += f", at most {percent(certificate['gap'])} above the best possible"
    if certificate["captured"] is not None:
        text += f", {percent(certificate['captured'])} of the possible saving, proved"
    return text


def _region_row(region: Json) -> tuple[str, ...]:
    return (
        region["name"] + (" (home)" if region["home"] else ""),
        region["zone"] or "none",
        intensity(region["gco2_per_kwh"]),
        region["signal"],
        f"{region['gpus_free']}/{region['gpus']}",
        f"{region['cpus_free']}/{region['cpus']}",
        region["intensity_source"],
    )


def _since(job: Json, now: datetime) -> str:
    started = parsed(job["attempts"][-1]["started"]) if job["attempts"] else None
    return "" if started is None else f" for {lasting((now - started).total_seconds())}"
