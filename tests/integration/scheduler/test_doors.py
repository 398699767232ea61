"""The Unix socket: how much of a request is taken before it is known what it asks."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidewatt.scheduler.daemon.asgi import Receive, Scope, Send
from tidewatt.scheduler.daemon.doors import MOST_HEAD, Doors


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers how long what was sent is."""
    size, more = 0, True
    while more:
        part = await receive()
        size, more = size + len(part.get("body", b"")), part.get("more_body", False)
    told = f"{scope['path']} {size}".encode()
    length = (b"content-length", str(len(told)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": told})


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Path]:
    doors, path = Doors(echo, tmp_path / "run" / "socket"), tmp_path / "run" / "socket"
    doors.open_unix()
    yield path
    doors.close()


def answer(door: Path, *parts: bytes) -> bytes:
    """What comes until the connection is closed."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(20)
        line.connect(str(door))
        try:
            for part in parts:
                line.sendall(part)
            found = b""
            while more := line.recv(65_536):
                found += more
        except ConnectionError:  # hung up on while it was still sending
            return b""
        return found


def test_a_long_body_comes_whole_however_it_is_cut(door: Path) -> None:
    head = b"POST /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 300000\r\n\r\n"
    assert answer(door, head + b"x" * 300_000).endswith(b"/x 300000")
    assert answer(door, head[:20], head[20:], b"x" * 100_000, b"x" * 200_000).endswith(b"/x 300000")


def test_two_requests_on_one_connection_are_both_answered(door: Path) -> None:
    one = b"POST /one HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\n" + b"x" * 90_000
    two = b"GET /two HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    found = answer(door, one, two)
    assert b"/one 90000" in found
    assert found.endswith(b"/two 0")


@pytest.mark.parametrize("begin", [b"GET /x", b"GET /x HTTP/1.1\r\nHost: localhost\r\nX-Long: "])
def test_a_head_without_end_is_hung_up_on(door: Path, begin: bytes) -> None:
    assert answer(door, begin, *[b"x" * 16_384] * (4 * MOST_HEAD // 16_384)) == b""


def test_what_is_no_http_is_refused(door: Path) -> None:
    assert answer(door, b"hello there\r\n\r\n").startswith(b"HTTP/1.1 400 ")
