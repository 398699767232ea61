"""All that stands between the outside and the routes: doors, tokens, sessions, the audit log, streams."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, replace

from tidewatt.scheduler.daemon import api
from tidewatt.scheduler.daemon.access import Access, Keys
from tidewatt.scheduler.daemon.auditing import Audit, Audited
from tidewatt.scheduler.daemon.callers import Caller, Served, caller_of
from tidewatt.scheduler.daemon.doors import Doors
from tidewatt.scheduler.daemon.listening import Listening
from tidewatt.scheduler.daemon.overview import Overview
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.sessions import Sessions
from tidewatt.scheduler.daemon.streaming import Streams
from tidewatt.scheduler.daemon.throttling import Throttle
from tidewatt.scheduler.daemon.tokens import TokenRecord, Tokens


@dataclass(frozen=True, slots=True)
class Entrance:
    """What is open."""

    doors: Doors
    audit: Audit
    streams: Streams

    def keep(self) -> None:
        """Keeps the Unix socket there."""
        self.doors.keep()

    def close(self) -> None:
        """Ends the streams, answers what was asked already, and closes."""
        self.streams.close()
        self.doors.close()
        self.audit.close()


def opened(
    listening: Listening | None,
    service: Service,
    overview: Callable[[str], Overview],
    turned_at: Callable[[], float],
    shutdown: Callable[[], None],
    served: Served | None,
) -> Entrance:
    """Opens the Unix socket, and TCP where that was asked for; `overview` takes the address of the latter.

    Raises:
        BadInput: for an address that cannot be had, or that would not be safe.
    """
    tcp, port, listen = None, 0, ""
    if listening is not None:
        listening = replace(listening, allowed_hosts=service.site.settings.server.allowed_hosts)
        listening.check()
        tcp = listening.socket()
        host, port = tcp.getsockname()[:2]
        listen = f"[{host}]:{port}" if tcp.family == socket.AF_INET6 else f"{host}:{port}"
    tokens = Tokens(service.store)
    audit, streams = Audit(service.store, tokens), Streams(service.store)
    keys = Keys(
        tokens,
        Sessions(service.store, tokens),
        audit,
        Throttle(service.site.settings.server.wrong_tokens),
        caller=_named(served),
        shared=served is not None,
    )
    routes = Audited(api.app(service, overview(listen), keys, streams, turned_at, shutdown), audit)
    doors = Doors(routes, service.site.paths.socket, served)
    doors.open_unix()
    if tcp is not None and listening is not None:
        pair = (listening.tls_cert, listening.tls_key)
        tls = (pair[0], pair[1]) if pair[0] is not None and pair[1] is not None else None
        doors.open_tcp(tcp, Access(routes, keys, listening.door(port)), tls)
    return Entrance(doors, audit, streams)


def _named(served: Served | None) -> Callable[[TokenRecord], Caller | None]:
    """Whose a token is, as the user database knows them now; None where the daemon serves its own user."""

    def named(token: TokenRecord) -> Caller | None:
        return None if served is None or token.uid is None else caller_of(token.uid, served)

    return named
