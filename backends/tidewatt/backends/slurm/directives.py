"""The `#SBATCH` lines of a user's own script, which are kept."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SHORT = {
    "A": "account", "a": "array", "b": "begin", "C": "constraint", "c": "cpus-per-task", "d": "dependency",
    "D": "chdir", "e": "error", "F": "nodefile", "G": "gpus", "H": "hold", "i": "input", "J": "job-name",
    "k": "no-kill", "L": "licenses", "M": "clusters", "m": "distribution", "N": "nodes", "n": "ntasks",
    "O": "overcommit", "o": "output", "p": "partition", "q": "qos", "s": "oversubscribe", "S": "core-spec",
    "t": "time", "w": "nodelist", "W": "wait", "x": "exclude",
}  # fmt: skip
_BARE = frozenset({"hold", "no-kill", "overcommit", "oversubscribe", "wait", "exclusive", "requeue",
                   "no-requeue", "contiguous", "spread-job", "use-min-nodes", "reboot", "ignore-pbs",
                   "parsable", "quiet", "verbose", "kill-on-invalid-dep", "test-only"})  # fmt: skip
_OURS = frozenset({
    "begin", "comment", "hold", "clusters", "chdir", "output", "error", "input", "open-mode", "requeue",
    "no-requeue", "export", "export-file", "get-user-env", "parsable", "signal", "wait", "wrap", "deadline",
    "test-only", "quiet", "verbose", "delay-boot", "propagate",
})  # fmt: skip
_NEVER = frozenset({"array", "wrap"})
_LONGEST = 1_000_000  # bytes of a script that are looked at


@dataclass(frozen=True, slots=True)
class Directives:
    """What a script asks for: `options` by long name, in order; `dropped` are sentences on the rest."""

    options: tuple[tuple[str, str], ...] = ()
    dropped: tuple[str, ...] = ()

    def value(self, name: str) -> str | None:
        """The last value of an option, "" for one without; None where it is not there."""
        found = [value for key, value in self.options if key == name]
        return found[-1] if found else None


def directives(
    argv: Sequence[str],
    cwd: Path,
    settled: frozenset[str] = frozenset(),
    allowed: Sequence[str] | None = None,
) -> Directives:
    """What the `#SBATCH` lines of a script that is the command ask for; none where it is no script.

    Args:
        argv: The command; its first word, or that after a shell's name, may be a script.
        cwd: Where it is looked for.
        settled: Long names of options that the region decides.
        allowed: The only other names that scripts may use; None for all.
    """
    lines = _lines(argv, cwd)
    kept: list[tuple[str, str]] = []
    dropped: list[str] = []
    for name, value in (pair for line in lines for pair in _parsed(line)):
        shown = f"#SBATCH --{name}" + (f"={value}" if value else "")
        name = _whole(name, _NEVER | _OURS | settled)
        if name in _NEVER:
            dropped.append(f"{shown} is left out: submit an array with Tidewatt's own --array")
        elif name in _OURS:
            dropped.append(f"{shown} is left out: Tidewatt sets this itself")
        elif name in settled:
            dropped.append(f"{shown} is left out: the region decides this")
        elif allowed is not None and name not in allowed:
            dropped.append(f"{shown} is left out: the operator does not allow it here")
        else:
            kept.append((name, value))
    return Directives(tuple(kept), tuple(dropped))


def _whole(name: str, known: frozenset[str]) -> str:
    """The known name that this abbreviates, as sbatch takes `--arr` for `--array`; else the name itself."""
    if not name or name in known or name in _BARE or name in _SHORT.values():
        return name
    return next((each for each in sorted(known) if each.startswith(name)), name)


def _lines(argv: Sequence[str], cwd: Path) -> list[str]:
    """The arguments of its `#SBATCH` lines up to the first command, as sbatch reads them."""
    words = list(argv)
    if words and os.path.basename(words[0]) in ("sh", "bash", "dash", "zsh", "ksh"):
        words = words[1:]
    if not words or words[0].startswith("-"):
        return []
    try:
        with open(cwd / words[0], "rb") as file:
            text = file.read(_LONGEST)
    except (OSError, ValueError):
        return []
    if not text.startswith(b"#!"):
        return []
    found = []
    for line in text.decode(errors="replace").splitlines():
        if line.startswith("#SBATCH"):
            found.append(line.removeprefix("#SBATCH").strip())
        elif line.strip() and not line.startswith("#"):
            break
    return found


def _parsed(line: str) -> list[tuple[str, str]]:
    """The options of one line, by long name."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return []
    found, place = [], 0
    while place < len(words):
        word, place = words[place], place + 1
        name, equals, value = _named(word)
        if not name:
            continue
        if not equals and name not in _BARE and place < len(words) and not words[place].startswith("-"):
            value, place = words[place], place + 1
        found.append((name, value))
    return found


def _named(word: str) -> tuple[str, bool, str]:
    """An option's long name, whether its value is in the same word, and that value."""
    if word.startswith("--"):
        name, equals, value = word[2:].partition("=")
        return name, bool(equals), value
    if word.startswith("-") and len(word) > 1 and word[1] in _SHORT:
        return _SHORT[word[1]], len(word) > 2, word[2:].removeprefix("=")
    return "", False, ""
