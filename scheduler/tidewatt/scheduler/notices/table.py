"""What a person wants to be told, and where: `[notify]` of a configuration, or a file of its own."""

import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator

from tidewatt.scheduler.account_tables import Table
from tidewatt.scheduler.complaint import complaint
from tidewatt.scheduler.errors import BadInput

Kind = Literal["started", "finished", "failed", "missed", "at-risk", "budget", "source", "region"]
KINDS: tuple[Kind, ...] = (
    "started", "finished", "failed", "missed", "at-risk", "budget", "source", "region",
)  # fmt: skip
QUIET: tuple[Kind, ...] = ("failed", "missed", "at-risk", "budget", "source", "region")
FILE = "notify.toml"  # beside the user's configuration; on a shared server each user's own
LARGEST_BYTES = 65_536
OTHERS = 0o077


class NotifyTable(Table):
    """Whom to tell what, `[notify]`; without targets nobody is told anything.

    `urls` are targets as apprise takes them; `url_file` is a file of mode 0600 with one a line. `events` are
    the kinds that are told, `digest` a local time at which they are told together, once a day.
    """

    urls: Annotated[tuple[SecretStr, ...], Field(strict=False)] = ()
    url_file: Annotated[Path, Field(strict=False)] | None = None
    events: Annotated[tuple[Kind, ...], Field(strict=False)] = QUIET
    digest: str = ""

    @field_validator("urls", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        """Refuses what is no list of texts, without showing it: it may be a secret."""
        if not isinstance(value, list | tuple) or not all(
            isinstance(each, str | SecretStr) for each in value
        ):
            raise ValueError('write a list of texts: urls = ["mailto://..."]')
        return value

    @field_validator("digest")
    @classmethod
    def _time_of_day(cls, value: str) -> str:
        if value and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
            raise ValueError(f'a digest comes at a time of day, such as "08:00": not at {value!r}')
        return value

    def targets(self) -> tuple[str, ...]:
        """All targets, those of the file last.

        Raises:
            BadInput: the file cannot be read, or others can read it.
        """
        own = tuple(url.get_secret_value() for url in self.urls)
        return own if self.url_file is None else (*own, *_lines(self.url_file))


def own_table(path: Path) -> NotifyTable:
    """What a file of one's own says; nothing is told where there is no such file.

    Raises:
        BadInput: it cannot be understood, or others can read it.
    """
    text = _private(path)
    if text is None:
        return NotifyTable()
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise BadInput(f"{path} is not TOML") from None  # the parser's own words may show a secret
    if isinstance(values.get("url_file"), str):
        values["url_file"] = str(path.parent / Path(values["url_file"]).expanduser())
    try:
        return NotifyTable.model_validate(values)
    except ValidationError as error:
        raise BadInput(
            complaint(error, {}, (str(path), text), {"": tuple(NotifyTable.model_fields)})
        ) from None


def _lines(path: Path) -> tuple[str, ...]:
    text = _private(path)
    if text is None:
        raise BadInput(f"the file of targets {path} does not exist: make it, with one URL a line")
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def _private(path: Path) -> str | None:
    """The text of a file that nobody else can read; None where there is none.

    Raises:
        BadInput: it is no plain file, is too large, or others can read it.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_BYTES:
            raise BadInput(f"{path} is no plain file of at most {LARGEST_BYTES} bytes")
        if found.st_mode & OTHERS:
            raise BadInput(f"others can read {path}, which may hold passwords: chmod 600 {path}")
        try:
            return file.read(LARGEST_BYTES).decode()
        except UnicodeDecodeError:
            raise BadInput(f"{path} is not text in UTF-8") from None
