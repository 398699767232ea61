"""`#TIDEWATT --finish-by 18h` lines at the head of a script: flags that travel with it."""

import os
import shlex
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import typer

from tidewatt.scheduler.cli.flags import Order, flagged
from tidewatt.scheduler.cli.wish import Wish
from tidewatt.scheduler.errors import BadInput

MARK = "#TIDEWATT"
LONGEST = 65_536  # bytes of a script that are looked at
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "fish")


@dataclass(frozen=True, slots=True)
class Told:
    """What a script's head asks for."""

    wish: Wish = field(default_factory=Wish)
    order: Order = field(default_factory=Order)

    def under(self, order: Order) -> Order:
        """The flags of one job, with what the script says where they say nothing."""
        own = {each.name: getattr(order, each.name) for each in fields(Order)}
        said = {name: value for name, value in own.items() if value not in (None, False)}
        return replace(self.order, **said)


def told(command: list[str], folder: Path, only: Collection[str] | None = None) -> Told:
    """What the command's script asks for in its leading comments; `only` are the flags that may stand there.

    A later line wins over an earlier one; what may be repeated adds up.

    Raises:
        BadInput: a line cannot be understood, with the script and the line's number.
    """
    script = _script(command, folder)
    found = Told()
    for number, words in () if script is None else _lines(script):
        found = _joined(found, _parsed(words, f"{script}:{number}", only))
    return found


def runnable(command: list[str], folder: Path, path: str) -> list[str]:
    """The command, so that `submit script.sh` runs a script of the folder, executable or not."""
    name = command[0]
    file = folder / name
    if not file.is_file() or ("/" not in name and shutil.which(name, path=path) is not None):
        return command
    if os.access(file, os.X_OK):
        return command if "/" in name else [f"./{name}", *command[1:]]
    first = _head(file).partition("\n")[0]
    return [*shlex.split(first[2:]), *command] if first.startswith("#!") else command


def _script(command: list[str], folder: Path) -> Path | None:
    """The script that is run: the first word, or that after a shell's or Python's name."""
    words = command[1:2] if _interprets(Path(command[0]).name) else command[:1]
    file = folder / words[0] if words else None
    return file if file is not None and file.is_file() else None


def _interprets(name: str) -> bool:
    return name in _SHELLS or name.startswith("python")


def _lines(script: Path) -> Iterator[tuple[int, list[str]]]:
    """The marked lines of the leading comments, by number; code ends them."""
    for number, line in enumerate(_head(script).splitlines(), 1):
        if not line.startswith("#") and line.strip():
            return
        mark, _, rest = line.partition(" ")
        if mark.rstrip() != MARK:
            continue
        try:
            yield number, shlex.split(rest, comments=True)
        except ValueError as error:
            raise BadInput(f"{script}:{number}: {MARK} line cannot be read: {error}") from None


def _head(script: Path) -> str:
    """The beginning of a script; "" of what is no text."""
    try:
        with script.open("rb") as file:
            raw = file.read(LONGEST)
    except OSError:
        return ""
    return "" if b"\0" in raw else raw.decode(errors="replace")


def _parsed(words: list[str], where: str, only: Collection[str] | None) -> Told:
    @flagged(only)
    def said(wish: Wish, order: Order) -> Told:
        return Told(wish, order)

    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(context_settings={"help_option_names": []})(said)
    try:
        found: Any = typer.main.get_command(app)(args=words, prog_name=MARK, standalone_mode=False)
    except typer.TyperException as error:
        raise BadInput(f"{where}: {error.format_message().rstrip('.')}") from None
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None
    return found if isinstance(found, Told) else Told()


def _joined(earlier: Told, later: Told) -> Told:
    wish = later.wish.over(earlier.wish)
    lists: dict[str, Any] = {
        each.name: [*before, *after]
        for each in fields(Wish)
        for before, after in ((getattr(earlier.wish, each.name), getattr(later.wish, each.name)),)
        if isinstance(before, list) and isinstance(after, list)
    }
    return Told(replace(wish, **lists), earlier.under(later.order))
