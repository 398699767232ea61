"""The disk as a power cut may leave it, made from the log of all that was written (see disk.c).

What a sync that returned covers is there. Of what was written since, any part may be: it was cut off
somewhere, or sectors went to the disk in another order. Names are durable when their folder was synced; later
changes of one folder come in their order, as far as they came at all.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
Kept = Callable[[list["Change"]], list["Change"]]


@dataclass(frozen=True, slots=True)
class Change:
    """Bytes at an offset; without data the file's new length."""

    at: int
    data: bytes | None = None


@dataclass(slots=True, eq=False)
class File:
    """`durable` is on the disk whatever happens, `pending` only perhaps."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)

    def synced(self, count: int) -> None:
        """The first so many changes are on the disk now."""
        for change in self.pending[:count]:
            apply(self.durable, change)
        del self.pending[:count]


@dataclass(slots=True, eq=False)
class Folder:
    """`names` are on the disk whatever happens; a pending move has a name to take away, and one to give."""

    names: dict[str, "File | Folder"] = field(default_factory=dict)
    pending: list[tuple[str, str, "File | Folder | None"]] = field(default_factory=list)

    def synced(self, count: int) -> None:
        """The first so many moves are on the disk now."""
        for old, new, target in self.pending[:count]:
            _move(self.names, old, new, target)
        del self.pending[:count]

    def now(self) -> dict[str, "File | Folder"]:
        """The names that processes see."""
        names = dict(self.names)
        for old, new, target in self.pending:
            _move(names, old, new, target)
        return names


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log."""

    what: str
    words: tuple[str, ...]
    data: bytes = b""


def entries(log: bytes) -> Iterator[Entry]:
    """The log's lines, with the data that follow some of them."""
    at = 0
    while at < len(log):
        end = log.index(b"\n", at)
        what, *words = log[at:end].decode().split(" ")
        at = end + 1
        size = int(words[2]) if what == "W" else 0
        yield Entry(what, tuple(words), log[at : at + size])
        at += size


class Disk:
    """What was written up to some entry of the log; `heeds` whether syncs are to mean anything."""

    def __init__(self, root: int, *, heeds: bool = True) -> None:
        self.root = Folder()
        self._nodes: dict[int, File | Folder] = {root: self.root}
        self._begun: dict[tuple[int, int], int] = {}  # thread, inode -> changes when its sync began
        self._heeds = heeds

    def took(self, entry: Entry) -> None:
        """One more entry."""
        words = entry.words
        match entry.what:
            case "W":
                self._file(int(words[0])).pending.append(Change(int(words[1]), entry.data))
            case "T":
                self._file(int(words[0])).pending.append(Change(int(words[1])))
            case "B":
                node = self._nodes.get(int(words[0]))
                self._begun[int(words[1]), int(words[0])] = len(node.pending) if node else 0
            case "S" if self._heeds:
                node, begun = self._nodes.get(int(words[0])), (int(words[1]), int(words[0]))
                if node is not None:
                    node.synced(self._begun.pop(begun))
            case "C" | "M":
                node = self._nodes[int(words[1])] = File() if entry.what == "C" else Folder()
                self._folder(int(words[0])).pending.append(("", words[2], node))
            case "L":
                self._folder(int(words[0])).pending.append(("", words[2], self._nodes[int(words[1])]))
            case "U":
                self._folder(int(words[0])).pending.append((words[1], "", None))
            case "R":
                self._renamed(*" ".join(words).split("/", 1))

    def _renamed(self, source: str, target: str) -> None:
        folder, name = source.split(" ", 1)
        there, new = target.split(" ", 1)
        here = self._folder(int(folder))
        node = here.now().get(name)
        if folder == there:
            here.pending.append((name, new, node))
            return
        self._folder(int(there)).pending.append(("", new, node))
        here.pending.append((name, "", None))

    def _file(self, inode: int) -> File:
        node = self._nodes.setdefault(inode, File())
        assert isinstance(node, File)
        return node

    def _folder(self, inode: int) -> Folder:
        node = self._nodes[inode]
        assert isinstance(node, Folder)
        return node

    def save(self, target: Path, chance: random.Random, kept: Kept) -> None:
        """Writes the disk of this instant: of what was not synced as much as chance and `kept` say."""
        _save(self.root, target, chance, kept)


def apply(content: bytearray, change: Change) -> None:
    """Makes a change; what lies between the old end and it is zeros, as in any file."""
    if change.data is None:
        if change.at < len(content):
            del content[change.at :]
        content.extend(bytes(change.at - len(content)))
        return
    content.extend(bytes(max(0, change.at - len(content))))
    content[change.at : change.at + len(change.data)] = change.data


def cut(chance: random.Random, step: int) -> Kept:
    """All up to some byte, a multiple of `step`, in the order in which it was written."""

    def keep(pending: list[Change]) -> list[Change]:
        room = chance.randint(0, sum(len(change.data or b"?") for change in pending))
        kept: list[Change] = []
        for change in pending:
            size = len(change.data or b"?")
            if size > room:
                to = (change.at + room) // step * step - change.at
                return [*kept, Change(change.at, change.data[:to])] if change.data and to > 0 else kept
            kept.append(change)
            room -= size
        return kept

    return keep


def scattered(chance: random.Random) -> Kept:
    """Each sector or not, in any order that the disk liked: a later one may be there without an earlier."""

    def keep(pending: list[Change]) -> list[Change]:
        share = chance.random()
        return [part for change in pending for part in _sectors(change) if chance.random() < share]

    return keep


def nothing(_: list[Change]) -> list[Change]:
    """Only what was synced."""
    return []


def everything(pending: list[Change]) -> list[Change]:
    """What processes see while the machine runs."""
    return pending


def _sectors(change: Change) -> Iterator[Change]:
    if change.data is None:
        yield change
        return
    at, end = change.at, change.at + len(change.data)
    while at < end:
        to = min(end, at - at % SECTOR + SECTOR)
        yield Change(at, change.data[at - change.at : to - change.at])
        at = to


def _move(names: dict[str, File | Folder], old: str, new: str, target: File | Folder | None) -> None:
    if old:
        names.pop(old, None)
    if new and target is not None:
        names[new] = target


def _save(folder: Folder, target: Path, chance: random.Random, kept: Kept) -> None:
    target.mkdir()
    names = dict(folder.names)
    moves = len(folder.pending)
    came = {nothing: 0, everything: moves}.get(kept, chance.randint(0, moves))
    for old, new, node in folder.pending[:came]:
        _move(names, old, new, node)
    for name, node in names.items():
        if isinstance(node, Folder):
            _save(node, target / name, chance, kept)
        elif not name.endswith("-shm"):  # shared memory, which no power cut leaves
            content = bytearray(node.durable)
            for change in kept(node.pending):
                apply(content, change)
            (target / name).write_bytes(content)
