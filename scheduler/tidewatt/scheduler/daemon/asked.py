"""A request as far as access goes: its method, path and headers, and whose address it came from."""

import contextlib
import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from tidewatt.scheduler.daemon.asgi import Scope
from tidewatt.scheduler.daemon.scopes import SAFE


@dataclass(frozen=True, slots=True)
class Door:
    """What a TCP door goes by: the names it answers to, whose X-Forwarded-* it believes, TLS."""

    hosts: frozenset[str]
    proxies: frozenset[str] = frozenset()
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as far as access goes."""

    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]
    address: str
    host: str
    secure: bool

    def header(self, name: bytes) -> str:
        """A header's text, "" where it was not sent."""
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def foreign(self) -> bool:
        """Whether a browser says that a page of another site asks; such a page may be a link to ours."""
        if b"origin" in self.headers and not self._own(self.header(b"origin")):
            return True
        if self.header(b"sec-fetch-site") not in ("cross-site", "same-site"):
            return False
        return self.method not in SAFE or self.header(b"sec-fetch-mode") != "navigate"

    def _own(self, origin: str) -> bool:
        scheme = "https" if self.secure else "http"
        try:
            parts = urlsplit(origin)
        except ValueError:  # no address at all
            return False
        return (parts.scheme, _named(parts.netloc, scheme)) == (scheme, self.host)

    @property
    def network(self) -> str:
        """Whose wrong guesses are counted together: of IPv6, all addresses that one site has."""
        return f"address {network(self.address)}"

    @property
    def page(self) -> bool:
        """Whether a browser looks at the page, to whom a way to sign in helps more than a problem."""
        wants = "text/html" in self.header(b"accept") and not self.headers.get(b"hx-request")
        return wants and not self.path.startswith("/api/")


def asked_of(scope: Scope, door: Door) -> Asked:
    """What a request says, and who sent it: of what a proxy that we believe adds, only its own word."""
    headers = dict(scope["headers"])
    address = (scope.get("client") or ("",))[0]
    host, secure = headers.get(b"host", b"").decode("latin-1"), door.tls
    if address in door.proxies:
        secure = secure or headers.get(b"x-forwarded-proto", b"") == b"https"
        # the last one is what the proxy itself saw; those before it are what clients say
        host = _last(headers, b"x-forwarded-host") or host
        address = seen(_last(headers, b"x-forwarded-for")) or address
    scheme = "https" if secure else "http"
    query = scope.get("query_string", b"").decode("latin-1")
    return Asked(scope["method"], scope["path"], query, headers, address, _named(host, scheme), secure)


def _last(headers: dict[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1").rpartition(",")[2].strip()


def seen(text: str) -> str:
    """The address that a proxy tells, which may come with a port; "" for what is none."""
    host = text[1:].partition("]")[0] if text.startswith("[") else text
    for each in (host, host.rpartition(":")[0]):
        with contextlib.suppress(ValueError):
            return str(ipaddress.ip_address(each))
    return ""


def network(address: str) -> str:
    """An address of IPv4, the /64 of one of IPv6."""
    with contextlib.suppress(ValueError):
        found = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(found, ipaddress.IPv6Address):
            mapped = found.ipv4_mapped
            return str(mapped or ipaddress.IPv6Network((found, 64), strict=False))
    return address


def _named(host: str, scheme: str) -> str:
    """A host in one spelling: lower case, with its port."""
    host = host.lower()
    if host.rpartition("]")[2].count(":"):
        return host
    return f"{host}:{443 if scheme == 'https' else 80}" if host else ""
