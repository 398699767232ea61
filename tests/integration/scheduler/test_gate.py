"""The gate before the TCP door: nobody can take up all of its room, however little they ask."""

import select
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tidewatt.scheduler.daemon import gate
from tidewatt.scheduler.daemon.doors import Doors

PATIENCE_S = 20.0
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Opened = Callable[..., int]


class Answers:
    """Routes that say yes at once, or more than anybody reads."""

    proxies = frozenset({"127.0.0.9"})

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        length = 50_000_000 if scope["path"] == "/long" else 2
        headers = [(b"content-length", str(length).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for part in [b"x" * 1_000_000] * 50 if length > 2 else [b"ok"]:
            await send({"type": "http.response.body", "body": part, "more_body": length > 2})


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """Opens a door with so many places, and a patience of half a second; returns its port."""
    for name in ("SILENT_S", "STUCK_S", "HANDSHAKE_S"):
        monkeypatch.setattr(gate, name, 0.5)
    monkeypatch.setattr(gate, "LOOK_S", 0.05)
    doors = Doors(None, tmp_path / "socket")

    def open_it(places: int = 100, tls: tuple[Path, Path] | None = None) -> int:
        monkeypatch.setattr(gate, "places", lambda: places)
        listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        port: int = listening.getsockname()[1]
        doors.open_tcp(listening, Answers(), tls)  # type: ignore[arg-type]
        return port

    yield open_it
    doors.close()


def guest(port: int, address: str = "127.0.0.1") -> socket.socket:
    """A connection from one of loopback's addresses."""
    return socket.create_connection(("127.0.0.1", port), PATIENCE_S, (address, 0))


def answered(connection: socket.socket) -> bool:
    """Whether a request is answered; False where the other side hangs up."""
    try:
        connection.sendall(GET)
        return connection.recv(4096).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False


def hung_up(connection: socket.socket) -> bool:
    """Whether the other side hangs up, waiting for it."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("first", [b"", GET], ids=["at once", "after a request"])
@pytest.mark.parametrize("words", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "], ids=["silent", "slow"])
def test_who_never_finishes_a_request_is_hung_up_on(opened: Opened, first: bytes, words: bytes) -> None:
    with guest(opened()) as connection:
        connection.sendall(first)
        started = time.monotonic()
        try:
            connection.sendall(words)
            for _ in range(100):  # byte by byte, so that it is never still
                connection.sendall(b"x" if words else b"")
                connection.settimeout(0.05)
                try:
                    if connection.recv(4096) == b"":
                        break
                except TimeoutError:
                    continue
        except ConnectionError:
            pass
        else:
            assert hung_up(connection)
        assert time.monotonic() - started < PATIENCE_S / 2


def test_who_does_not_take_an_answer_is_hung_up_on(opened: Opened) -> None:
    port = opened()
    with guest(port) as connection:
        connection.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
        poll = select.poll()  # nothing of it is read
        poll.register(connection, select.POLLERR)
        assert poll.poll(PATIENCE_S * 1000)
        assert hung_up(connection)
    with guest(port) as other:
        assert answered(other)


def test_one_address_takes_half_of_the_room_at_most(opened: Opened) -> None:
    port = opened(places=8)
    inside = [guest(port) for _ in range(4)]
    assert all(map(answered, inside))
    with guest(port) as fifth:
        assert hung_up(fifth)
    with guest(port, "127.0.0.2") as other:
        assert answered(other)
    inside.pop().close()
    deadline = time.monotonic() + PATIENCE_S
    while True:  # there is room again as soon as the door has noticed
        with guest(port) as again:
            if answered(again):
                break
        assert time.monotonic() < deadline
    for each in inside:
        each.close()


def test_proxy_may_come_as_often_as_there_is_room(opened: Opened) -> None:
    port = opened(places=8)
    inside = [guest(port, "127.0.0.9") for _ in range(8)]
    assert all(map(answered, inside))
    with guest(port, "127.0.0.2") as ninth:
        assert hung_up(ninth)
    for each in inside:
        each.close()


def test_who_never_begins_tls_is_counted_and_hung_up_on(opened: Opened, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    port = opened(places=4, tls=(cert, key))
    silent = [guest(port) for _ in range(2)]
    with guest(port) as third:
        assert hung_up(third)
    assert all(map(hung_up, silent))
    for each in silent:
        each.close()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(guest(port)) as inside:
        assert answered(inside)


def test_descriptors_are_kept_back_for_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, places in ((1024, 768), (100_000, gate.MOST), (100, 32)):
        monkeypatch.setattr("resource.getrlimit", lambda _what, soft=soft: (soft, soft))
        assert gate.places() == places
