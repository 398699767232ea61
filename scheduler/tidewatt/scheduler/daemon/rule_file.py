"""What operators decide in the configuration file, as text: read, and put back with nothing else changed."""

import hashlib
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidewatt.scheduler.errors import BadInput, Refused

_HEADER = re.compile(r"\s*\[{1,2}\s*([A-Za-z0-9_\"'.-]+)")


EDITED = ("policy", "project", "limits", "shares", "budget", "freeze")


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A configuration file, and the rules in it: its tables of `names`, with what is `before` and `after`."""

    path: Path
    whole: str
    rules: str
    before: str
    after: str
    names: tuple[str, ...] = EDITED

    @property
    def digest(self) -> str:
        """Of the whole file."""
        return hashlib.sha256(self.whole.encode()).hexdigest()

    def with_rules(self, text: str) -> str:
        """The file with other rules in their place, and nothing else changed.

        Raises:
            BadInput: for what is no TOML, or says anything but rules.
        """
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadInput("the rules are not text in UTF-8") from None
        values = _parsed(text, "the rules are")
        other = sorted(set(values) - set(self.names))
        if other:
            raise BadInput(
                f"only tables of {', '.join(self.names)} can be edited here, {other[0]!r} is none: change it"
                f" in {self.path}"
            )
        between = text.strip("\n")
        made = "\n\n".join(filter(None, (self.before.rstrip("\n"), between, self.after.strip("\n")))) + "\n"
        old, new = _parsed(self.whole, f"{self.path} is"), _parsed(made, "the rules are")
        if self._rest(new) != self._rest(old) or self._own(new) != values:
            raise BadInput(f"these rules would change other parts of {self.path}: close what they leave open")
        return made

    def _own(self, values: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if name in self.names}

    def _rest(self, values: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if name not in self.names}


def read(path: Path) -> RuleFile:
    """The file, parted.

    Raises:
        BadInput: It cannot be read.
        Refused: Its rules cannot be told from the rest by their lines.
    """
    try:
        whole = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"the configuration file {path} cannot be read: {error}") from None
    inside: list[str] = []
    before: list[str] = []
    after: list[str] = []
    ruling = False
    for line in whole.splitlines(keepends=True):
        header = _HEADER.match(line)
        if header is not None:
            ruling = header[1].strip("\"'").partition(".")[0] in EDITED
        (inside if ruling else after if inside else before).append(line)
    rules, values = "".join(inside).strip("\n"), _parsed(whole, f"{path} is")
    try:
        own, rest = _parsed(rules, ""), _parsed("".join((*before, *after)), "")
    except BadInput:
        own, rest = {}, values
    names = tuple(name for name in EDITED if name not in rest)  # one in a line of its own is left alone
    if own | rest != values or set(own) - set(names) or "policy" not in names:
        raise Refused(f"the rules in {path} do not stand apart from the rest: edit that file itself")
    return RuleFile(path, whole, rules, "".join(before), "".join(after), names)


def put(file: RuleFile, whole: str) -> None:
    """Replaces the file in one step, with the rights that it had; what was there stays as `NAME.before`.

    Raises:
        Refused: It may not be written.
    """
    target = file.path.resolve()
    beside = target.with_name(f".{target.name}.new")
    try:
        mode = target.stat()
        _written(beside, whole, mode)
        _written(target.with_name(f"{target.name}.before"), file.whole, mode)
        beside.replace(target)
    except OSError as error:
        raise Refused(f"the configuration file {target} cannot be written: {error.strerror}") from None


def _written(path: Path, text: str, like: os.stat_result) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fchmod(descriptor, like.st_mode & 0o777)
        if os.getuid() == 0:
            os.fchown(descriptor, like.st_uid, like.st_gid)
        os.fsync(descriptor)


def _parsed(text: str, what: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{what} not TOML: {error}") from None
