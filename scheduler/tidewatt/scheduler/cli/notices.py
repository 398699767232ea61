"""`notify`: what one is told, by which targets, and a trial of them."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.text import say, say_json
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.place import near

if TYPE_CHECKING:
    from tidewatt.scheduler.notices.table import NotifyTable

KINDS = ("started", "finished", "failed", "missed", "at-risk", "budget", "source", "region")


def notify(
    action: Annotated[
        str | None, typer.Argument(metavar="[test]", help="Send a trial to every target.", show_default=False)
    ] = None,
    config: given.Config = None,
    as_json: given.AsJson = False,
) -> int:
    """Show what you are told of your jobs and by which targets; `notify test` tries each of them.

    Targets stand under [notify] in your configuration, on a shared server in ~/.config/tidewatt/notify.toml.
    """
    from tidewatt.scheduler.notices.sending import sent

    if action not in (None, "test"):
        raise BadInput(f"notify knows only test, not {action!r}: `tidewatt notify` or `tidewatt notify test`")
    table, origin = own_wishes(config)
    targets = table.targets()
    schemes = [scheme_of(each) for each in targets]
    if action == "test" and not targets:
        raise BadInput(f"there is nobody to notify: write urls = [...] under [notify] in {origin}")
    failed: Sequence[int] = ()
    if action == "test":
        message = {"title": "Tidewatt can reach you", "body": "This is what `tidewatt notify test` sends."}
        (failed,) = sent(targets, [message])
    states = ["not reached" if number in failed else "reached" for number in range(len(targets))]
    if as_json:
        tried = [
            {"target": scheme, "reached": None if action is None else state == "reached"}
            for scheme, state in zip(schemes, states, strict=True)
        ]
        say_json({"from": origin, "events": table.events, "digest": table.digest, "targets": tried})
        return 1 if failed else 0
    say(f"from     {origin}")
    say(f"events   {', '.join(table.events) if targets else 'none: there is no target'}")
    if table.digest:
        say(f"digest   at {table.digest}")
    for number, (scheme, state) in enumerate(zip(schemes, states, strict=True), 1):
        say(f"target   {number}: {scheme}{f', {state}' if action else ''}")
    return 1 if failed else 0


def own_wishes(config: str | None) -> "tuple[NotifyTable, str]":
    """What this user wants to be told, and where that is written."""
    from pathlib import Path

    from tidewatt.scheduler.config import load
    from tidewatt.scheduler.notices.table import FILE, own_table
    from tidewatt.scheduler.paths import user_config

    file = user_config(os.environ)
    own = file.with_name(FILE)
    if config is None and own.exists():
        return own_table(own), str(own)
    loaded = load(None if config is None else Path(config), os.environ, {})
    return loaded.settings.notify, str(loaded.path or file)


def kinds_of(text: str) -> tuple[str, ...]:
    """The events of `--notify finished,failed`; none of `none`.

    Raises:
        BadInput: one of them does not exist.
    """
    named = tuple(dict.fromkeys(each.strip() for each in text.split(",") if each.strip()))
    if named == ("none",):
        return ()
    for each in named:
        if each not in KINDS:
            raise BadInput(
                f"--notify {each} is no event{near(each, KINDS)}: there are {', '.join(KINDS)}, or none alone"
            )
    if not named:
        raise BadInput(f"--notify names no event: there are {', '.join(KINDS)}, or none")
    return named


def scheme_of(target: str) -> str:
    """What kind of target it is; the rest of it is a secret."""
    scheme, colon, _rest = target.partition("://")
    return scheme if colon and scheme.isalnum() else "not a URL"
