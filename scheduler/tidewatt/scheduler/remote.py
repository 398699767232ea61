"""A daemon on another machine: where it is, the token for it, and how it is known.

Named by TIDEWATT_URL and TIDEWATT_TOKEN (or TIDEWATT_TOKEN_FILE), or by a profile in `profiles.toml` beside
the user's configuration:

    [lab]
    url = "https://gpu1.example.org:8421"
    token_file = "lab.token"      # 0600, beside this file unless it is absolute
    ca_file = "lab-ca.pem"        # where its certificate is none of the public kind
"""

import http.client
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.paths import user_config

_KEYS = {"url", "token_file", "ca_file"}


@dataclass(frozen=True, slots=True)
class Remote:
    """A daemon by its URL; the token shows in no message of ours."""

    url: str
    token: str = field(repr=False)
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        """Raises BadInput for an address to which no token may be sent."""
        parts = urlsplit(self.url)
        try:
            port_is_fine = parts.port is None or parts.port > 0
        except ValueError:
            port_is_fine = False
        if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_fine or parts.query:
            raise BadInput(f"TIDEWATT_URL {self.url!r} is no address: write https://HOST:PORT")
        if parts.username or parts.password:
            raise BadInput("the daemon's URL must hold no password: put the token into TIDEWATT_TOKEN")
        if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise BadInput(f"{self.url} would send the token in the clear: use https")

    def exists(self) -> bool:
        """As of a socket: whether there is anything to ask."""
        return True

    def connection(self, timeout_s: float) -> http.client.HTTPConnection:
        """A connection that has not been opened yet."""
        parts = urlsplit(self.url)
        host = str(parts.hostname)
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
        import ssl  # only here: the way to a socket needs none of it

        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise BadInput(f"the certificates in {self.ca_file} cannot be read: {error}") from None
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=context)

    @property
    def prefix(self) -> str:
        """The path that a proxy may have put before ours."""
        return urlsplit(self.url).path.rstrip("/")


def remote_of(environ: Mapping[str, str]) -> Remote | None:
    """The daemon elsewhere that was named; None where none was.

    Raises:
        BadInput: A profile that does not exist, a file of secrets that others can read, no token.
    """
    url, name = environ.get("TIDEWATT_URL", ""), environ.get("TIDEWATT_PROFILE", "")
    if url:
        file = environ.get("TIDEWATT_TOKEN_FILE", "")
        token = environ.get("TIDEWATT_TOKEN", "") or (secret(Path(file)) if file else "")
        if not token:
            raise BadInput(f"TIDEWATT_URL is {url}: set TIDEWATT_TOKEN, or TIDEWATT_TOKEN_FILE, too")
        return Remote(url, token)
    return _profile(name, user_config(environ).with_name("profiles.toml")) if name else None


def secret(path: Path) -> str:
    """The one line of a file that only its owner can read.

    Raises:
        BadInput: It is not there, is empty, or others can read it.
    """
    try:
        found = path.expanduser().stat()
        text = path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"the token file {path} cannot be read: {error}") from None
    if stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid not in (os.getuid(), 0):
        raise BadInput(f"the token file {path} can be read by others: `chmod 600 {path}`")
    if not text or not text.isprintable():
        raise BadInput(f"the token file {path} holds no token")
    return text


def _profile(name: str, file: Path) -> Remote:
    try:
        profiles: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"there is no profile {name!r}: {file} does not exist") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"the profiles in {file} cannot be read: {error}") from None
    found = profiles.get(name)
    if not isinstance(found, dict):
        raise BadInput(f"there is no profile {name!r} in {file}: there are {', '.join(profiles) or 'none'}")
    if unknown := sorted(found.keys() - _KEYS):
        raise BadInput(
            f"{file}: [{name}] has an unknown key {unknown[0]}: known are {', '.join(sorted(_KEYS))}"
        )
    for key in ("url", "token_file"):
        if not isinstance(found.get(key), str):
            raise BadInput(f"{file}: [{name}] needs {key}, in quotes")
    authority = found.get("ca_file")
    return Remote(
        found["url"],
        secret(file.parent / Path(found["token_file"]).expanduser()),
        None if authority is None else file.parent / Path(str(authority)).expanduser(),
    )
