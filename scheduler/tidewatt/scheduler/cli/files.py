"""Files that a command writes: whole or not at all, and checked before the work that they are the end of."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tidewatt.scheduler.cli.text import tell, write
from tidewatt.scheduler.errors import BadInput, SchedulerError

STDOUT = Path("-")


def refuse_file(path: Path | None, endings: Sequence[str] = ()) -> None:
    """Refuses a file that could not be written in the end; `endings` are those that it may have.

    Raises:
        BadInput: where its folder is not there, it is a folder itself, or it ends otherwise.
    """
    if path is None or path == STDOUT:
        return
    if endings and path.suffix not in endings:
        raise BadInput(f"{path.name} has to end in {' or '.join(endings)}")
    if path.is_dir():
        raise BadInput(f"{path} is a folder: name a file in it")
    if not path.absolute().parent.is_dir():
        raise BadInput(f"the folder of {path} does not exist")


def put(path: Path, content: str | bytes) -> None:
    """Writes a file, in place of one of that name, or to stdout for `-`; says on stderr what it wrote.

    Raises:
        SchedulerError: where it cannot be written; what was there before still is.
    """
    raw = content.encode() if isinstance(content, str) else content
    if path == STDOUT:
        _to_stdout(content)
        return
    put_by(path, lambda target: _fill(target, raw))


def put_by(path: Path, fill: Callable[[Path], object]) -> None:
    """Lets `fill` write a file beside the wanted one, then puts it in its place; as `put` otherwise."""
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():  # a pipe or a device is not replaced
            fill(target)
        else:
            beside = target.with_name(f".{target.name}.{os.getpid()}")
            try:
                fill(beside)
                beside.replace(target)
            finally:
                beside.unlink(missing_ok=True)
    except OSError as error:
        raise SchedulerError(f"{path} cannot be written: {error.strerror or error}") from None
    tell(f"wrote {path}")


def _fill(target: Path, raw: bytes) -> None:
    with target.open("wb") as file:
        file.write(raw)


def _to_stdout(content: str | bytes) -> None:
    if isinstance(content, str):
        write(content)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
