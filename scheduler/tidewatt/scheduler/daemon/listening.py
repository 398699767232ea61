"""Where the daemon may listen on TCP, and what that takes."""

import ipaddress
import socket
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path

from tidewatt.scheduler.daemon.asked import Door
from tidewatt.scheduler.errors import BadInput


@dataclass(frozen=True, slots=True)
class Listening:
    """What `up` says of TCP: `HOST:PORT`, files of TLS, addresses of proxies, further names of this host."""

    listen: str
    tls_cert: Path | None = None
    tls_key: Path | None = None
    proxies: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises BadInput for what would let others listen to or pretend to be somebody."""
        host, _port = self._parts()
        if (self.tls_cert is None) != (self.tls_key is None):
            raise BadInput("--tls-cert and --tls-key belong together: name both files")
        for proxy in self.proxies:
            try:
                ipaddress.ip_address(proxy)
            except ValueError:
                raise BadInput(f"--behind-proxy {proxy} is no address: write for example 10.0.0.5") from None
        if self.tls_cert is not None and self.tls_key is not None:
            _check_tls(self.tls_cert, self.tls_key)
        if is_loopback(host):
            return
        if self.tls_cert is None and not self.proxies:
            raise BadInput(
                f"--listen {self.listen} reaches beyond this host, where tokens could be read on their way:"
                " add --tls-cert and --tls-key, or --behind-proxy ADDRESS of the proxy that has TLS"
            )
        if host in ("0.0.0.0", "::") and not self.allowed_hosts:  # noqa: S104 - it is looked for
            raise BadInput(
                f"--listen {self.listen} needs the names that people reach this host by: set"
                ' allowed_hosts = ["gpu1.example.org"] in [server]'
            )

    def socket(self) -> socket.socket:
        """The socket; port 0 takes any that is free.

        Raises:
            BadInput: for an address that cannot be had.
        """
        host, port = self._parts()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            return socket.create_server((host, port), family=family, backlog=512)
        except (OSError, OverflowError) as error:
            raise BadInput(f"--listen {self.listen} cannot be used: {error}") from error

    def door(self, port: int) -> Door:
        """What is answered to there."""
        host, _port = self._parts()
        names = {host} if not is_loopback(host) else {"127.0.0.1", "localhost", "[::1]"}
        names |= {name for name in self.allowed_hosts if ":" not in name}
        whole = {
            f"[{name}]:{port}" if ":" in name and "[" not in name else f"{name}:{port}" for name in names
        }
        whole |= {name.lower() for name in self.allowed_hosts if ":" in name}
        if self.proxies:  # people reach those at the ports of HTTP
            whole |= {f"{name}:{usual}" for name in self.allowed_hosts for usual in (80, 443)}
        return Door(
            frozenset(each.lower() for each in whole), frozenset(self.proxies), self.tls_cert is not None
        )

    def _parts(self) -> tuple[str, int]:
        host, _, port = self.listen.rpartition(":")
        host = host.strip("[]")
        if not host or not port.isdecimal() or not (is_loopback(host) or _is_address(host)):
            raise BadInput(f"--listen {self.listen}: write an address and a port, such as 127.0.0.1:8421")
        return "127.0.0.1" if host == "localhost" else host, int(port)


def _check_tls(certificate: Path, key: Path) -> None:
    """Raises BadInput where they cannot be used, or others than their owner and a group can read the key."""
    try:
        mode = stat.S_IMODE(key.stat().st_mode)
        if mode & 0o027:
            raise BadInput(f"--tls-key {key} can be read or changed by others: `chmod 600 {key}`")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise BadInput(f"--tls-cert {certificate} cannot be used with its key {key}: {error}") from None


def _no_password() -> str:
    """Nobody sits there who could type one."""
    raise ValueError("it has a password, which the daemon cannot ask for: remove it from the file")


def is_loopback(host: str) -> bool:
    """Whether only this host reaches it."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
