"""What each user of a shared daemon may take of it."""

import asyncio
import json
import time
from collections.abc import Iterable
from typing import Any

import pytest

from tidewatt.scheduler.daemon.portions import (
    ALL_CONNECTIONS,
    AT_ONCE,
    CONNECTIONS,
    MOST_BYTES,
    MOST_PARTS,
    Portioned,
    Portions,
    excess,
)

ALICE, BOB = 61001, 61002


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"argv":["true"],"cwd":"/"}',
        json.dumps({"array": list(range(10_000)), "env": {f"N{n}": "a,b[{" for n in range(4000)}}).encode(),
        json.dumps({"source": {"diff": '+1,2,"3",[4],{\n\\' * 300_000}}).encode(),
        json.dumps({"argv": ["x"] * 90_000}).encode(),
    ],
)
def test_what_people_send_is_let_through(body: bytes) -> None:
    assert excess(body) == ""


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"[]," * MOST_PARTS,
        b"{" * (MOST_PARTS + 1),
        b'"",' * MOST_PARTS,
        b'{"a":{},' * MOST_PARTS,
        b"x" * (MOST_BYTES + 1),
    ],
)
def test_what_nobody_needs_is_refused_before_it_is_read(body: bytes) -> None:
    assert "at most" in excess(body)


@pytest.mark.parametrize(
    "body", [b'"' + b'\\"' * 5_000_000, b'"' + b'\\"' * 5_000_000 + b"\\", b"\\" * 10_000_000, b'"' * 399_999]
)
def test_no_text_takes_long_to_look_through(body: bytes) -> None:
    began = time.thread_time()
    excess(body)
    assert time.thread_time() - began < 2


def test_a_user_has_so_many_connections_and_the_others_still_come_in() -> None:
    portions = Portions()
    assert [portions.come(ALICE) for _ in range(CONNECTIONS + 1)] == [True] * CONNECTIONS + [False]
    assert portions.come(BOB)
    portions.gone(ALICE)
    assert portions.come(ALICE)
    assert not portions.come(ALICE)


def test_root_comes_in_whoever_is_there() -> None:
    portions = Portions()
    came = [portions.come(uid) for uid in range(1, 100) for _ in range(CONNECTIONS)]
    assert sum(came) == ALL_CONNECTIONS
    assert portions.come(0)


def asked(portioned: Portioned, messages: Iterable[dict[str, Any]] = ()) -> Any:
    """The answer to a request that comes in these pieces."""
    coming, answers = iter(messages), list[Any]()

    async def receive() -> Any:
        return next(coming, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        answers.append(message)

    async def ask() -> Any:
        await portioned({"type": "http", "method": "POST"}, receive, send)
        return answers

    return ask()


def test_the_routes_get_what_was_sent_in_one_piece() -> None:
    got = []

    async def routes(_scope: Any, receive: Any, send: Any) -> None:
        got.append(await receive())
        await send({"type": "http.response.start", "status": 200})

    pieces: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"ab", "more_body": True},
        {"type": "http.request", "body": b"c"},
    ]
    asyncio.run(asked(Portioned(routes, asyncio.Semaphore(1)), pieces))
    assert got == [{"type": "http.request", "body": b"abc", "more_body": False}]


def test_too_much_is_answered_413_and_the_routes_never_see_it() -> None:
    async def routes(*_: Any) -> None:
        raise AssertionError

    pieces = ({"type": "http.request", "body": b"x" * 10_000_000, "more_body": True} for _ in range(100))
    answers = asyncio.run(asked(Portioned(routes, asyncio.Semaphore(1)), pieces))
    assert answers[0]["status"] == 413
    assert next(pieces, None) is not None  # the rest was not even taken


def test_a_user_has_so_many_requests_worked_on_and_each_answer_lets_the_next_one_on() -> None:
    async def story() -> None:
        here, most, go_on = 0, 0, asyncio.Event()

        async def routes(_scope: Any, _receive: Any, send: Any) -> None:
            nonlocal here, most
            here += 1
            most = max(most, here)
            await go_on.wait()
            here -= 1
            await send({"type": "http.response.start", "status": 200})

        portions, body = Portions(), [{"type": "http.request", "body": b""}]
        asks = [asked(Portioned(routes, portions.turn(ALICE)), body) for _ in range(3 * AT_ONCE)]
        tasks = [asyncio.create_task(each) for each in asks]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert here == AT_ONCE
        other = asyncio.create_task(asked(Portioned(routes, portions.turn(BOB)), body))
        await asyncio.sleep(0)
        assert here == AT_ONCE + 1
        go_on.set()
        await asyncio.gather(*tasks, other)
        assert most == AT_ONCE + 1

    asyncio.run(story())


def test_a_stream_that_has_begun_holds_no_turn() -> None:
    async def story() -> None:
        turn, end = asyncio.Semaphore(1), asyncio.Event()

        async def stream(_scope: Any, _receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200})
            await end.wait()

        body = [{"type": "http.request", "body": b""}]
        first, second = (asyncio.create_task(asked(Portioned(stream, turn), body)) for _ in range(2))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not turn.locked()
        end.set()
        await asyncio.gather(first, second)
        assert not turn.locked()

    asyncio.run(story())
