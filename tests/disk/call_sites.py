"""Which calls write to a disk, as DISK_SITES records them, and orders that have one of them fail (disk.c)."""

import errno
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

_ALIKE = (  # names that differ from run to run
    (re.compile(r"\.new-\w+"), ".new-*"),
    (re.compile(r"\.[0-9]+\.[0-9a-f]{8}$"), ".*"),
    (re.compile(r"^readings/[0-9]{4}-.*\.jsonl$"), "readings/*.jsonl"),
    (re.compile(r"[0-9]+"), "[0-9]*"),
)
_NEED_ROOM = ("write", "allocate", "create", "mkdir", "link", "rename", "sync")
_OFTEN = {  # of these the first is not all: commits of submission, plan, launch, start, end, account
    ("daemon", "write", "tidewatt.db-wal"): (1, 2, 5, 9, 14, 20, 30, 45, 60),
    ("daemon", "sync", "tidewatt.db-wal"): (1, 2, 3, 4, 5),
    ("supervisor", "sync", "jobs/[0-9]*/[0-9]*"): (1, 2),
}


@dataclass(frozen=True, slots=True)
class CallSite:
    """One call of one kind of process on one kind of file."""

    process: str
    call: str
    pattern: str
    skip: int = 0

    def order(self, number: int, times: str = "once") -> str:
        """What the control file says to have it fail."""
        return f"{number} {times} {self.process} {self.call} {self.skip} {self.pattern}"


def recorded(lines: Iterable[str]) -> list[CallSite]:
    """Each call site once, in the order of their first calls."""
    return list(dict.fromkeys(_site(line) for line in lines))


def faults(sites: Iterable[CallSite]) -> list[tuple[CallSite, int]]:
    """Each with each error that it may meet; calls that come again and again also at later times."""
    more = [replace(each, skip=skip) for each in sites for skip in (0, *_OFTEN.get(_key(each), ()))]
    return [
        (each, number)
        for each in more
        for number in (errno.ENOSPC, errno.EIO)
        if number == errno.EIO or each.call in _NEED_ROOM
    ]


def ordered(control: Path, order: str) -> None:
    """Has a fault come from now on."""
    draft = control.with_name(f"{control.name}.draft")
    draft.write_text(order)
    draft.rename(control)


def came(control: Path) -> bool:
    """Whether the fault that was ordered came; none is left in order."""
    control.unlink(missing_ok=True)
    hit = control.with_name(f"{control.name}.hit")
    there = hit.exists()
    hit.unlink(missing_ok=True)
    return there


def told(site: CallSite, number: int) -> str:
    """For people."""
    after = f" after {site.skip}" if site.skip else ""
    return f"{errno.errorcode[number]} {site.process} {site.call} {site.pattern}{after}"


def _site(line: str) -> CallSite:
    process, call, path = line.split(" ", 2)
    for pattern, name in _ALIKE:
        path = pattern.sub(name, path)
    return CallSite(process, call, path)


def _key(site: CallSite) -> tuple[str, str, str]:
    return site.process, site.call, site.pattern
