"""`token` and `audit`: who may ask the daemon over TCP, and who asked for what."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.session import daemon
from tidewatt.scheduler.cli.text import local, parsed, say, say_json, table, tell
from tidewatt.scheduler.client import Json
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.when import parse_duration

FOREVER = "ever"


def token(
    verb: Annotated[str, typer.Argument(metavar="create|list|revoke", help="What to do.")] = "list",
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The token's name, or its id.")] = None,
    scope: Annotated[str, typer.Option(metavar="read|submit|operate", help="How much it may do.")] = "submit",
    lasting: Annotated[
        str, typer.Option("--for", metavar="DURATION|ever", help="How long it holds.")
    ] = "30d",
    user: Annotated[str, typer.Option(metavar="NAME", help="As root of a shared server: whose it is.")] = "",
    as_json: given.AsJson = False,
) -> None:
    """Make a token for programs that ask over TCP (it is shown once), list tokens, or end one."""
    match verb:
        case "list":
            _listed(daemon().tokens(), as_json)
        case "create":
            request = {"name": _named(name), "scope": scope, "lasting_s": _lasting_s(lasting), "user": user}
            made = daemon().make_token(request)
            if as_json:
                say_json(made)
                return
            say(made["token"])
            tell(f"{_sentence(made['view'])}; it is shown this once, and sent as `Authorization: Bearer`")
        case "revoke":
            ended = daemon().revoke_token(_public(_named(name)))
            if as_json:
                say_json(ended)
            else:
                say(f"the token {ended['name']} ({ended['id']}) of {ended['user']} holds no more")
        case _:
            raise BadInput(f"{verb!r} is not create, list or revoke")


def audit(
    limit: Annotated[int, typer.Option(metavar="N", help="So many lines.")] = 50,
    user: Annotated[str, typer.Option(metavar="NAME", help="Of one user.")] = "",
    as_json: given.AsJson = False,
) -> None:
    """Show who asked for what that changes something, and what was refused; for operators."""
    if not 1 <= limit <= 1000:
        raise BadInput(f"--limit {limit}: choose 1 to 1000")
    found = daemon().audit(limit, user=user)
    if as_json:
        say_json(found)
        return
    rows = (_audit_row(line) for line in reversed(found["lines"]))
    for line in table(("TIME", "WHO", "WAY", "FROM", "ASKED", "JOB", "ANSWER"), rows, right=(6,)):
        say(line)


def _audit_row(line: Json) -> tuple[str, ...]:
    when = parsed(line["time"])
    return (
        "" if when is None else local(when, datetime.now(UTC)),
        line["user"] or "nobody known",
        line["way"],
        line["address"],
        f"{line['method']} {line['path'].removeprefix('/api/v1/')}",
        line["subject"].removeprefix("jobs/"),
        str(line["status"]),
    )


def _listed(tokens: list[Json], as_json: bool) -> None:
    if as_json:
        say_json({"tokens": tokens})
        return
    if not tokens:
        say("there are no tokens: `tidewatt token create NAME` makes one")
        return
    for line in table(("ID", "NAME", "SCOPE", "USER", "HOLDS", "LAST USED"), map(_row, tokens)):
        say(line)


def _row(each: Json) -> tuple[str, ...]:
    now, used = datetime.now(UTC), parsed(each["used"])
    last = "never" if used is None else local(used, now)
    return each["id"], each["name"], each["scope"], each["user"], "".join(_holds(each, now)), last


def _holds(each: Json, now: datetime) -> Iterator[str]:
    over = parsed(each["expires"])
    if each["revoked"]:
        yield "revoked"
    elif not each["holds"]:
        yield "over"
    else:
        yield "until it is revoked" if over is None else f"until {local(over, now)}"


def _sentence(view: Json) -> str:
    holds = "".join(_holds(view, datetime.now(UTC)))
    return f"token {view['name']} ({view['id']}) of {view['user']}, scope {view['scope']}, holds {holds}"


def _named(name: str | None) -> str:
    if not name:
        raise BadInput("name the token, for example `tidewatt token create laptop`")
    return name


def _public(name: str) -> str:
    """A name or id; of a whole token its id alone, so that the rest is sent and written nowhere."""
    return name.split("_")[1] if name.startswith("tw_") and name.count("_") > 1 else name


def _lasting_s(text: str) -> float | None:
    return None if text == FOREVER else parse_duration(text, "--for").total_seconds()
