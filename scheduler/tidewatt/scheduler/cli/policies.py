"""`policy`: which rule lets a job go where, whether a file's rules are right, trying and reading them."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidewatt.scheduler.accounting.quantity import counted
from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.session import daemon
from tidewatt.scheduler.cli.text import painted, say, say_json, shown, table
from tidewatt.scheduler.cli.wording import data_of, gpus_of, labels_of, memory_of
from tidewatt.scheduler.client import Json
from tidewatt.scheduler.errors import BadInput

if TYPE_CHECKING:
    from tidewatt.scheduler.policies.rule import Rule

VERBS = ("explain", "check", "try", "reload", "history", "undo")
_WORDS = {"allow": "allowed", "prefer": "preferred", "forbid": "forbidden"}


def policy(
    verb: Annotated[str, typer.Argument(metavar="|".join(VERBS), help="What is asked.")],
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[JOB|FILE|N]",
            help="The job to explain, the file to check or try, the decision to show or undo.",
            show_default=False,
        ),
    ] = None,
    as_if: Annotated[bool, typer.Option("--as-if", help="Explain for a job that nobody submitted.")] = False,
    user: Annotated[str, typer.Option(metavar="NAME", help="--as-if: its user.  [you]")] = "",
    group: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="--as-if: in this group; may be repeated.")
    ] = None,
    project: Annotated[str, typer.Option(metavar="NAME", help="--as-if: its project.")] = "",
    label: given.Labels = None,
    gpus: given.Gpus = None,
    cpus: given.Cpus = None,
    mem: given.Memory = None,
    data: given.Data = None,
    evict: Annotated[
        bool, typer.Option("--evict", help="reload: jobs leave regions that are forbidden to them now.")
    ] = False,
    since: Annotated[
        str, typer.Option(metavar="30d", help="try: what was submitted within this time.")
    ] = "30d",
    as_json: given.AsJson = False,
) -> None:
    """Explain which rule decides; check a file's rules, try them on what was submitted, put them in force.

    What was decided is shown by history, and undone by undo.
    """
    if verb not in VERBS:
        raise BadInput(f"policy cannot {verb!r}: choose from {', '.join(VERBS)}")
    if verb == "check":
        _check(what, as_json)
    elif verb == "try":
        from tidewatt.scheduler.cli import trying

        trying.tried(what, since, as_json)
    elif verb == "reload":
        _reload(evict, as_json)
    elif verb in ("history", "undo"):
        from tidewatt.scheduler.cli import decisions

        {"history": decisions.history, "undo": decisions.undo}[verb](what, as_json)
    elif as_if == (what is not None):
        raise BadInput("name one: a JOB, or --as-if with --user, --project, --label, --gpus ...")
    else:
        asked = _asked(user, group, project, label, gpus, cpus, mem, data)
        _show(daemon().explain(what) if what is not None else daemon().explain_as_if(asked), as_json)


def _asked(
    user: str,
    group: list[str] | None,
    project: str,
    label: list[str] | None,
    gpus: str | None,
    cpus: int | None,
    mem: str | None,
    data: str | None,
) -> Json:
    asked: Json = {"user": user, "groups": group, "project": project, "labels": labels_of(label)}
    if gpus is not None:
        asked["gpus"], asked["gpu_kind"] = gpus_of(gpus)
    if cpus is not None:
        asked["cpus"] = cpus
    if mem is not None:
        asked["mem_mb"] = memory_of(mem)
    if data is not None:
        asked["data_gb"] = data_of(data)
    return asked


def _show(found: Json, as_json: bool) -> None:
    if as_json:
        say_json(found)
        return
    for line in explained(found):
        say(line)


def explained(found: Json) -> Iterator[str]:
    """Whose job it is, and for each region the verdict with the rule, where that stands, and why."""
    labels = ", ".join(f"{key}={value}" for key, value in found["labels"].items())
    about = [f"user {found['user']}"]
    about += [f"groups {', '.join(found['groups'])}"] if found["groups"] else []
    about += [f"project {found['project']}"] if found["project"] else []
    about += [f"labels {labels}"] if labels else []
    yield shown(f"{found['job']}: {'; '.join(about)}")
    rows = [
        (
            each["region"],
            _WORDS[each["word"]],
            shown(each["rule"]) or "no rule",
            each["place"],
            shown(each["because"]),
        )
        for each in found["verdicts"]
    ]
    yield from table(("REGION", "VERDICT", "RULE", "WHERE", "BECAUSE"), rows)
    for sentence in found["planned"]:
        yield shown(f"planned: {sentence}")
    for each in found["verdicts"]:
        for said in (each["shut"], each["lacks"]):
            if said:
                yield painted(f"besides: {shown(said)}", "yellow")


def _check(what: str | None, as_json: bool) -> None:
    """Says that the file is right, or what is wrong with it, by line; asks no daemon."""
    if what is None:
        raise BadInput("name the file to check: tidewatt policy check FILE")
    from tidewatt.scheduler.config import load
    from tidewatt.scheduler.policies.verdicts import unreached
    from tidewatt.scheduler.prices import tariffs

    loaded = load(Path(what), {}, {})
    tariffs.check(loaded.settings)
    rules = loaded.rules
    never = [{"rule": later.name, "place": later.place, "behind": f"{first.name} ({first.place})"}
             for later, first in unreached(rules.rules)]  # fmt: skip
    if as_json:
        names = [{"name": rule.name, "place": rule.place, "verdict": _word(rule)} for rule in rules.rules]
        say_json({"path": what, "rules": names, "projects": sorted(rules.projects), "unreached": never})
        return
    projects = counted(len(rules.projects), "project")
    say(f"{what} is right: {counted(len(rules.rules), 'rule')}, {projects} with defaults")
    for rule in rules.rules:
        say(
            f"  {rule.place}: {rule.name}: {_word(rule) or 'plans'} {', '.join(rule.regions) or 'everywhere'}"
        )
    for each in never:
        say(
            painted(
                f"{each['place']}: {each['rule']} never decides: {each['behind']} fits all it fits", "yellow"
            )
        )


def _word(rule: "Rule") -> str:
    """Its verdict; "" for a rule that only says how jobs are planned."""
    return "" if rule.word is None else str(rule.word)


def _reload(evict: bool, as_json: bool) -> None:
    reply = daemon().reload({"evict": evict})
    if as_json:
        say_json(reply)
        return
    changed = ", ".join(reply["changed"]) or "nothing"
    say(f"read {reply['path'] or 'no file'} again: {counted(reply['rules'], 'rule')}; changed: {changed}")
    if reply["later"]:
        say(
            painted(f"holds from the next `tidewatt down` and `up` on: {', '.join(reply['later'])}", "yellow")
        )
    for job in reply["running"]:
        say(f"  job {job['job']}: {shown(job['sentence'])}")
