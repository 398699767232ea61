"""XML as a plain tree, read without anything that XML can do to its reader."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat  # document types, and with them all entities, are refused below

from tidewatt.forecasting.feeds.feed import FeedError

DEEPEST = 32
MOST = 500_000  # elements: 16 MiB of points, with their values and closing tags, hold fewer


@dataclass(slots=True)
class Node:
    """An element by its local name; `text` is what stands directly in it, without space around it."""

    name: str
    text: str = ""
    children: list["Node"] = field(default_factory=list)

    def every(self, name: str) -> Iterator["Node"]:
        """The children of this name."""
        return (child for child in self.children if child.name == name)

    def find(self, *path: str) -> "Node | None":
        """The first element at the end of a path of names."""
        here: Node | None = self
        for name in path:
            here = next(here.every(name), None) if here else None
        return here

    def said(self, *path: str) -> str:
        """The text of the first element at the end of a path of names; "" where there is none."""
        found = self.find(*path)
        return found.text if found else ""


def parsed(body: bytes, what: str) -> Node:
    """The root of a document.

    Raises:
        FeedError: it is not XML, has far too many elements, or declares a document type: entities could make
            a small document huge or name files of this machine, and no service here needs them.
    """
    reader = _Reader(what)
    parser = expat.ParserCreate(namespace_separator="|")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.words
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise FeedError(f"{what} is not XML (line {error.lineno})", transient=True) from None
    return reader.root.children[0]


class _Reader:
    """Builds the tree from the parser's events."""

    def __init__(self, what: str) -> None:
        self.root = Node("")
        self._what = what
        self._open = [self.root]
        self._count = 0

    def refuse(self, *declared: object) -> None:
        raise FeedError(f"{self._what} declares a document type: refused")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) > DEEPEST:
            raise FeedError(f"{self._what} is nested too deeply: refused")
        self._count += 1
        if self._count > MOST:
            raise FeedError(f"{self._what} has more than {MOST} elements: refused")
        node = Node(name.rpartition("|")[2])
        self._open[-1].children.append(node)
        self._open.append(node)

    def end(self, name: str) -> None:
        node = self._open.pop()
        node.text = node.text.strip()

    def words(self, text: str) -> None:
        self._open[-1].text += text
