"""A configuration that was sent as text, read as if it stood in a file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tidewatt.scheduler import config
from tidewatt.scheduler.errors import BadInput


@contextmanager
def standing(text: str, name: str) -> Iterator[tuple[config.Loaded, Path]]:
    """What the text says, and the folder against which it has its relative paths, while it is looked at.

    Raises:
        BadInput: where it cannot be taken; it is called `name`.
    """
    with TemporaryDirectory(prefix="tidewatt-") as folder:
        file = Path(folder) / "config.toml"
        file.write_text(text, encoding="utf-8")
        try:
            loaded = config.load(file, os.environ, {})
        except BadInput as error:
            raise BadInput(str(error).replace(str(file), name)) from None
        yield loaded, Path(folder)
