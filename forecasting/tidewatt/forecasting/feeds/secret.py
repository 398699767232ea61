"""Credentials: where they may stand, and how they stay out of everything that is shown or kept."""

import json
import os
import re
import stat
import tomllib
from base64 import b64encode
from collections.abc import Iterable, Mapping
from hmac import compare_digest
from html import escape
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote, quote_plus

from tidewatt.forecasting.errors import ForecastError

NAMES: dict[tuple[str, str], tuple[str, ...]] = {
    ("watttime", "user"): ("WATTTIME_USER",),
    ("watttime", "password"): ("WATTTIME_PASSWORD",),
    ("electricitymaps", "key"): ("ELECTRICITYMAPS_API_KEY", "ELECTRICITYMAPS_TOKEN"),
    ("eia", "key"): ("EIA_API_KEY",),
    ("entsoe", "key"): ("ENTSOE_API_KEY",),
}
"""Environment variables of a feed's credential: the names that the services' own clients use."""

HIDDEN = "(hidden)"
LARGEST_BYTES = 65_536
GROUP_OR_OTHERS = 0o077


class Secret:
    """A credential that shows itself only through `reveal`, and travels neither by pickle nor as JSON."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The credential itself, for the request that carries it."""
        return self._value

    def __str__(self) -> str:
        return HIDDEN

    def __repr__(self) -> str:
        return f"Secret{HIDDEN}"

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a credential is not pickled: pass where it stands instead")


def variables(feed: str, name: str) -> tuple[str, ...]:
    """The environment variables that may hold a feed's credential, the preferred one first.

    A feed outside the table has `FEED_NAME` in upper case: `("in-house", "token")` is `IN_HOUSE_TOKEN`.
    """
    known = NAMES.get((feed, name))
    return known or (re.sub(r"[^A-Z0-9]", "_", f"{feed}_{name}".upper()),)


def credential(feed: str, name: str, environ: Mapping[str, str], file: Path | None) -> Secret | None:
    """A feed's credential: from the environment, else from a file; None where neither has it.

    The file is TOML with one table a feed (`[watttime]`, `user = "…"`, `password = "…"`).

    Raises:
        ForecastError: the file is not a regular file of this user with mode 0600 or stricter, or is not
            valid. The text names file and place, never content.
    """
    for variable in variables(feed, name):
        text = environ.get(variable, "").strip()
        if text:
            return _checked(text, f"the environment variable {variable}")
    table = _tables(file).get(feed) if file is not None else None
    if table is None:
        return None
    where = f"{name} of [{feed}] in {file}"
    if not isinstance(table, dict):
        raise ForecastError(f"{feed} in {file} must be a table: begin it with the line [{feed}]")
    value = table.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ForecastError(f"{where} must be a text in quotes")
    return _checked(value.strip(), where) if value.strip() else None


def scrub(text: str, secrets: Iterable[Secret]) -> str:
    """The text without these credentials, also encoded for a URL, in base 64, or quoted in JSON or a page."""
    values = sorted({s.reveal() for s in secrets if s}, key=len, reverse=True)
    for value in values:
        plain, quoted = b64encode(value.encode()).decode(), json.dumps(value)[1:-1]
        urls = (quote(value, safe=""), quote(value), quote_plus(value))
        texts = (quoted, quoted.replace("/", "\\/"), escape(value))
        for shape in dict.fromkeys((value, *urls, *texts, plain)):
            text = text.replace(shape, HIDDEN)
    return text


def _checked(value: str, where: str) -> Secret:
    """The secret, refused where it could not be sent as it is."""
    if not value.isascii() or not value.isprintable():
        raise ForecastError(f"{where} holds characters that no credential has: set it again, on one line")
    return Secret(value)


def _tables(file: Path) -> dict[str, object]:
    """The tables of a credentials file; nothing where there is no such file."""
    try:
        # not blocking: what stands there may be a pipe
        opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ForecastError(f"the credentials in {file} cannot be read: {error.strerror}") from None
    try:
        _check_owner(file, os.fstat(opened))
        with open(opened, "rb", closefd=False) as stream:
            content = stream.read(LARGEST_BYTES + 1)
    finally:
        os.close(opened)
    if len(content) > LARGEST_BYTES:
        raise ForecastError(f"{file} is too large for a file of credentials")
    line = ""
    try:
        return tomllib.loads(content.decode())
    except tomllib.TOMLDecodeError as error:
        line = "".join(re.findall(r"at line \d+", str(error))[:1])
    except UnicodeDecodeError:
        pass
    # raised out here, so that nothing of the content travels with it
    raise ForecastError(
        f'{file} is not valid TOML{f" ({line})" if line else ""}: write [watttime], then user = "…"'
    )


def _check_owner(file: Path, status: os.stat_result) -> None:
    """Refuses a file that others could have written or can read."""
    if not stat.S_ISREG(status.st_mode):
        raise ForecastError(f"the credentials in {file} are not used: it is not a regular file")
    if status.st_uid != os.geteuid():
        raise ForecastError(f"the credentials in {file} are not used: the file belongs to another user")
    if status.st_mode & GROUP_OR_OTHERS:
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        raise ForecastError(
            f"the credentials in {file} are not used, as others may read it (mode {mode}): chmod 600 {file}"
        )
