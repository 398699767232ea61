"""What a job made: files whose digests its bundle binds, compared with those that the reader holds."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.proof.bundle import OUTPUT
from tidewatt.scheduler.proof.outcome import Outcome

LARGEST = 1 << 40  # bytes; what is larger is not read for its digest


@dataclass(frozen=True, slots=True)
class Output:
    """A file by its name, without folders, and its SHA-256 in hexadecimal digits."""

    name: str
    sha256: str


def read(path: Path) -> Output:
    """The output in a file.

    Raises:
        BadInput: where it is no file, or cannot be read.
    """
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            path.stat()  # what is not there is told as that
            raise BadInput(f"the output {path} is no file that could be read whole")
        with path.open("rb") as file:
            return Output(path.name, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise BadInput(f"the output {path} cannot be read: {error.strerror}") from None


def check(subjects: Mapping[str, str], given: Sequence[Output], outcome: Outcome) -> None:
    """Adds every output that is bound, and whether the files given are those: by name, else by digest."""
    bound = {name.removeprefix(OUTPUT): each for name, each in subjects.items() if name.startswith(OUTPUT)}
    outcome.outputs.update(bound)
    names = {each: name for name, each in sorted(bound.items())}
    compared = set()
    for file in given:
        name = file.name if file.name in bound else names.get(file.sha256)
        if name is None:
            others = f"the outputs bound are {', '.join(sorted(bound))}" if bound else "no output is bound"
            outcome.broken("output", f"{file.name} is not bound, nor is its sha256 {file.sha256}: {others}")
            continue
        compared.add(name)
        outcome.told(
            "output",
            bound[name] == file.sha256,
            (name if name == file.name else f"{file.name} is {name}, which")
            + f" is bound, and the file given is it: sha256 {file.sha256}",
            f"{name} is bound with sha256 {bound[name]}, and the file given has {file.sha256}",
        )
    for name in sorted(bound.keys() - compared):
        outcome.open("output", f"{name} is bound, no file was given to compare: sha256 {bound[name]}")
