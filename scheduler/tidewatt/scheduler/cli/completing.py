"""`completion`: what shells complete, as a script for bash, zsh or fish.

Commands, flags and zones stand in the script itself, so that completing them starts no program; jobs and
regions are asked of the daemon, where one answers.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any

import typer

from tidewatt.scheduler.cli.session import daemon
from tidewatt.scheduler.cli.text import say, write
from tidewatt.scheduler.errors import BadInput, SchedulerError

SHELLS = ("bash", "zsh", "fish")
OF_JOBS = (
    "show", "logs", "wait", "update", "cancel", "hold", "release", "start", "pause", "resume", "signal",
    "rerun", "receipt", "sci",
)  # fmt: skip
OF_ZONES = ("forecast", "zones")
OF_REGIONS = ("drain", "undrain")
REGION_FLAGS = ("--region", "--exclude-region")

_BASH = """\
_tidewatt() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]} words=
  if [ "$COMP_CWORD" -eq 1 ]; then
    words='%(commands)s'
  else
    case $prev in
      --zone) words='%(zones)s' ;;
      %(region_flags)s) words=$(tidewatt completion regions 2>/dev/null) ;;
      *)
        case $cur in
          -*)
            case $verb in
%(flags)s
            esac ;;
          *)
            case $verb in
              %(of_jobs)s) words=$(tidewatt completion jobs 2>/dev/null) ;;
              %(of_zones)s) words='%(zones)s' ;;
              %(of_regions)s) words=$(tidewatt completion regions 2>/dev/null) ;;
            esac ;;
        esac ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _tidewatt tidewatt
"""


def completion(
    what: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.", show_default=False)] = "",
) -> None:
    """Print what makes a shell complete commands, flags, jobs, zones and regions.

    bash and zsh: `source <(tidewatt completion bash)` in ~/.bashrc, or zsh in ~/.zshrc; fish: `tidewatt
    completion fish > ~/.config/fish/completions/tidewatt.fish`.
    """
    match what:
        case "bash":
            write(_bash())
        case "zsh":
            write("autoload -U +X compinit bashcompinit && compinit && bashcompinit\n" + _bash())
        case "fish":
            for line in _fish():
                say(line)
        case "jobs" | "regions":
            for each in _asked(what):
                say(each)
        case _:
            raise BadInput(f"completion is for {', '.join(SHELLS)}: write `tidewatt completion bash`")


def _asked(what: str) -> Iterator[str]:
    """Jobs that have not ended, or regions; nothing where no daemon answers soon."""
    with suppress(SchedulerError, OSError):
        client = daemon()
        if what == "jobs":
            yield from (str(job.get("key") or job["id"]) for job in client.jobs())
        else:
            yield from (region["name"] for region in client.status()["regions"])


def _flags() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Each command's flags with their help."""
    from tidewatt.scheduler.cli.app import COMMANDS, command

    for name in COMMANDS:
        group: Any = command([name])
        params = group.commands[name].params if hasattr(group, "commands") else group.params
        yield name, [
            (flag, _brief(param)) for param in params if not getattr(param, "hidden", False)
            for flag in (*param.opts, *param.secondary_opts) if flag.startswith("--")
        ]  # fmt: skip


def _brief(param: Any) -> str:
    return " ".join((getattr(param, "help", None) or "").replace("'", "").split())


def _bash() -> str:
    flags = "\n".join(
        f"              {name}) words='{' '.join(flag for flag, _help in found)} --help' ;;"
        for name, found in _flags()
    )
    return _BASH % {
        "commands": " ".join(_commands()),
        "zones": " ".join(_zones()),
        "flags": flags,
        "region_flags": "|".join(REGION_FLAGS),
        "of_jobs": "|".join(OF_JOBS),
        "of_zones": "|".join(OF_ZONES),
        "of_regions": "|".join(OF_REGIONS),
    }


def _fish() -> Iterator[str]:
    for name, short in _commands().items():
        yield f"complete -c tidewatt -n __fish_use_subcommand -f -a {name} -d '{short}'"
    for name, found in _flags():
        for flag, short in found:
            seen = f"-n '__fish_seen_subcommand_from {name}'"
            yield f"complete -c tidewatt {seen} -l {flag[2:]} -d '{short}'{_values(flag)}"
    for names, values in (
        (OF_JOBS, "(tidewatt completion jobs)"),
        (OF_REGIONS, "(tidewatt completion regions)"),
    ):
        yield f"complete -c tidewatt -n '__fish_seen_subcommand_from {' '.join(names)}' -f -a '{values}'"
    zones = " ".join(_zones())
    yield f"complete -c tidewatt -n '__fish_seen_subcommand_from {' '.join(OF_ZONES)}' -f -a '{zones}'"


def _values(flag: str) -> str:
    if flag == "--zone":
        return f" -x -a '{' '.join(_zones())}'"
    return " -x -a '(tidewatt completion regions)'" if flag in REGION_FLAGS else ""


def _commands() -> dict[str, str]:
    from tidewatt.scheduler.cli.app import COMMANDS

    return {name: short.replace("'", "") for name, (_module, _function, short) in COMMANDS.items()}


def _zones() -> tuple[str, ...]:
    from tidewatt.forecasting.zones import every

    return tuple(each.key for each in every() if ":" not in each.key)
