"""Requests with an end: a connection is cut when the reply as a whole has taken too long.

A socket's own time-out counts from one byte to the next, so that a server that drips could hold us for hours.
"""

import socket
from contextlib import suppress
from contextvars import ContextVar
from threading import Event, Thread
from types import TracebackType
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

AGAIN_S = 0.1


class Deadline:
    """Cuts every connection used in its `with` after `limit_s`; `expired` tells that it had to.

    What is read after that may look complete and is not: ask `expired` before using it.
    """

    def __init__(self, limit_s: float) -> None:
        self.expired = False
        self._limit_s = max(0.0, limit_s)
        self._sockets: list[socket.socket] = []
        self._left = Event()

    def __enter__(self) -> "Deadline":
        self._token = _CURRENT.set(self)
        Thread(target=self._watch, name="deadline", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        _CURRENT.reset(self._token)

    def guard(self, connected: socket.socket) -> None:
        """Takes a connected socket into its care."""
        self._sockets.append(connected)

    def _watch(self) -> None:
        if self._left.wait(self._limit_s):
            return
        self.expired = True
        while True:  # also those that come to be connected only now
            for each in self._sockets:
                with suppress(OSError):
                    socket.socket.shutdown(each, socket.SHUT_RDWR)  # wakes whoever reads
            if self._left.wait(AGAIN_S):
                return


_CURRENT: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def _guarded(connected: object) -> None:
    deadline = _CURRENT.get()
    if deadline is not None and isinstance(connected, socket.socket):
        deadline.guard(connected)


class _Connection(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3 itself does
        _guarded(self.sock)
        return super().getresponse()


class _SecureConnection(HTTPSConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3 itself does
        _guarded(self.sock)
        return super().getresponse()


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class DeadlineAdapter(HTTPAdapter):
    """The adapter of requests whose connections a `Deadline` can cut."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Makes the pools, of our connections."""
        super().init_poolmanager(*args, **options)
        _ours(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """The pools towards a proxy, of our connections."""
        manager = super().proxy_manager_for(*args, **options)
        _ours(manager)
        return manager


def _ours(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
