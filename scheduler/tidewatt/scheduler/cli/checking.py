"""`doctor` and `config`: what works here, and what is set."""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.session import clock, daemon_paths, listens, own_paths, state_paths
from tidewatt.scheduler.cli.text import painted, say, say_json, table, tell

_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(config: given.Config = None, as_json: given.AsJson = False) -> int:
    """Try what Tidewatt needs here, and say what to do about the rest; exit 1 if something needed fails."""
    from dataclasses import asdict

    from tidewatt.scheduler.cli.checks import Finding, Verdict

    findings: list[Finding] = []
    for finding in _findings(config):
        findings.append(finding)
        if not as_json:
            say(
                f"{painted(f'{finding.verdict:<4}', _STYLES[finding.verdict])}"
                f"  {finding.subject}: {finding.found}"
            )
            if finding.advice:
                say(f"      {finding.advice}")
    if as_json:
        say_json({"findings": [asdict(finding) for finding in findings]})
    return 1 if any(finding.verdict is Verdict.FAIL for finding in findings) else 0


def _findings(config: str | None) -> "Iterator[Any]":
    from tidewatt.backends.host import inventory
    from tidewatt.scheduler.cli import checks, engine_checks, grid_checks, site_checks
    from tidewatt.scheduler.config import regions
    from tidewatt.scheduler.errors import BadInput

    # Only root may look into the shared daemon's folder: others' doctor is about what is theirs.
    place, spoken_to = state_paths() if os.geteuid() == 0 else own_paths(), daemon_paths()
    yield from checks.state(place)
    yield checks.door(spoken_to if listens(spoken_to.socket) else place)
    yield from checks.ledger(place)
    theirs = site_checks.daemons(place)
    wanted = Path(config) if config is not None else site_checks.usual(place) if theirs is None else None
    try:
        loaded = site_checks.settings(wanted, theirs)
    except BadInput as error:
        yield checks.Finding(checks.Verdict.FAIL, "configuration", str(error))
        loaded = None
    if loaded is not None and loaded.settings.tdp_w is not None:
        os.environ["TIDEWATT_TDP_W"] = str(loaded.settings.tdp_w)  # read by the inventory and the meters
    tell("tidewatt: running a command, reading meters ...")
    yield checks.backend()
    host = inventory()
    yield from checks.gpus(host)
    yield from checks.meters(host.gpu_note)
    if loaded is None:
        return
    yield from site_checks.node(loaded.settings.node.source() if loaded.settings.node else None)
    try:
        names = ", ".join(region.name for region in regions(loaded.settings, host))
    except BadInput as error:
        yield checks.Finding(checks.Verdict.FAIL, "configuration", str(error))
        return
    yield site_checks.configuration(loaded, names, wanted, theirs)
    yield from engine_checks.engines(loaded.settings.regions, place)
    yield from site_checks.notices(config)
    if loaded.settings.sources:
        tell("tidewatt: asking sources ...")
    yield from grid_checks.findings(loaded.settings, place, clock())


def configuration(
    check: Annotated[
        Path | None,
        typer.Option("--check", metavar="FILE", help="Check this file, its zones and its sources."),
    ] = None,
    config: given.Config = None,
    as_json: given.AsJson = False,
) -> None:
    """Show each setting and where its value comes from."""
    from tidewatt.scheduler.config import grid, load

    path = check or (None if config is None else Path(config))
    loaded = load(path, os.environ if check is None else {}, {})
    if check is not None:
        grid(loaded.settings, own_paths())
        say_json({"ok": True, "file": str(check)}) if as_json else say(f"{check}: good")
        return
    values = {key: _written(value) for key, value in loaded.settings.model_dump(by_alias=True).items()}
    if as_json:
        say_json({key: {"value": value, "from": loaded.origins[key]} for key, value in values.items()})
        return
    say(f"# {loaded.path or 'no configuration file: ' + str(_user_file())}")
    rows = ((key, _shown(value), loaded.origins[key]) for key, value in values.items())
    for line in table(("SETTING", "VALUE", "FROM"), rows):
        say(line)


def _user_file() -> Path:
    from tidewatt.scheduler.paths import user_config

    return user_config(os.environ)


def _written(value: Any) -> Any:
    """A value as it is written in the file."""
    from pydantic import SecretStr

    from tidewatt.scheduler.when import short

    if isinstance(value, timedelta):
        return short(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, SecretStr):
        return "(hidden)"
    if isinstance(value, dict):
        return {key: _written(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_written(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def _shown(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return ", ".join(_called(inner) for inner in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} = {inner}" for key, inner in value.items() if inner != "") or "none"
    if value is None or value == "" or value == []:
        return "none"
    return str(value)


def _called(table: dict[str, Any]) -> str:
    """What a table of a list is called; a budget by whose it is, how much and what then."""
    if "credit" in table:
        whose = table.get("user") or table.get("project") or "no project"
        amount = f"{table['kg']:g} kg" if "kg" in table else f"{table['kwh']:g} kWh"
        return f"{whose} {amount} a {table['per']} ({table['when']})"
    return str(table.get("name") or table.get("path") or table.get("type"))
