"""Which configuration holds here, the running daemon's where there is one, and what it says of the node."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tidewatt.scheduler.cli.checks import Finding, Verdict
from tidewatt.scheduler.cli.process import given_to
from tidewatt.scheduler.client import Client
from tidewatt.scheduler.config import Loaded, load
from tidewatt.scheduler.errors import BadInput, SchedulerError
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.prices import tariffs

if TYPE_CHECKING:
    from tidewatt.backends.meters.node_source import NodeSource


def daemons(place: Paths) -> dict[str, str] | None:
    """The flags that say which configuration the running daemon has; None where none runs."""
    try:
        flags = given_to(int(Client(place.socket, timeout_s=5).status()["pid"]))
    except SchedulerError:
        return None
    shared = usual(place)
    return flags if shared is None else {"--config": str(shared)} | flags


def usual(place: Paths) -> Path | None:
    """The file that a shared daemon is started with unless another is named; None for a user's own daemon."""
    from tidewatt.scheduler.daemon.serving import config_of

    return config_of(None, place)


def settings(wanted: Path | None, theirs: Mapping[str, str] | None) -> Loaded:
    """The configuration to check: the one wanted, else the daemon's, else the usual one.

    Raises:
        BadInput: where it cannot be read.
    """
    if wanted is not None or theirs is None:
        loaded = load(wanted, os.environ, {})
    else:
        path = Path(theirs["--config"]) if "--config" in theirs else None
        loaded = load(path, os.environ, {"zone": theirs.get("--zone")})
    tariffs.check(loaded.settings)
    return loaded


def configuration(
    loaded: Loaded, names: str, wanted: Path | None, theirs: Mapping[str, str] | None
) -> Finding:
    """Which configuration is checked here, and whether it is what the daemon runs with."""
    of_daemon = "" if theirs is None else theirs.get("--config", "")
    if wanted is not None and theirs is not None and Path(of_daemon).absolute() != wanted.absolute():
        return Finding(
            Verdict.WARN,
            "configuration",
            f"{wanted}; regions {names}; but the daemon runs with {of_daemon or 'the usual configuration'}",
            "what follows is of the file given: leave out --config to check what the daemon runs with",
        )
    zone = "" if wanted is not None or theirs is None else theirs.get("--zone", "")
    whose = "" if theirs is None else " (the running daemon's)"
    flag = f" with --zone {zone}" if zone else ""
    return Finding(Verdict.OK, "configuration", f"{loaded.path or 'defaults'}{flag}{whose}; regions {names}")


def node(source: "NodeSource | None") -> Iterator[Finding]:
    """The meter of the whole node, asked once; nothing where none is configured."""
    if source is None:
        return
    from tidewatt.backends.meters.node import answer
    from tidewatt.backends.meters.node_source import NoAnswerError

    subject = f"node meter ({source.name})"
    try:
        value = answer(source)
    except NoAnswerError as error:
        advice = "without it the node's overhead is not measured: correct [node], or take it out"
        yield Finding(Verdict.WARN, subject, str(error), advice)
        return
    now = f"its counter stands at {value / 1e6:,.0f} J" if source.counts else f"{value / 1000:.1f} W now"
    yield Finding(Verdict.OK, subject, f"measured, {now}")


def notices(config: str | None) -> Iterator[Finding]:
    """Whether those who want to be told anything can be; nothing where nobody does."""
    from importlib.util import find_spec

    from tidewatt.scheduler.cli.notices import own_wishes, scheme_of

    try:
        table, origin = own_wishes(config)
        targets = table.targets()
    except BadInput as error:
        yield Finding(Verdict.WARN, "notify", str(error), "you are told nothing meanwhile")
        return
    if not targets:
        return
    found = f"{', '.join(map(scheme_of, targets))} of {', '.join(table.events)} ({origin})"
    if find_spec("apprise") is None:
        yield Finding(Verdict.WARN, "notify", found, "install apprise: pip install 'tidewatt[notify]'")
    elif table.urls and Path(origin).stat().st_mode & 0o077:
        yield Finding(Verdict.WARN, "notify", found, f"others can read its targets: chmod 600 {origin}")
    else:
        yield Finding(Verdict.OK, "notify", found, "`tidewatt notify test` tries each target")
