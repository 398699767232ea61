"""How much of a shared daemon each of its users may take: connections, requests at a time, what one says.

Everything here belongs to the one event loop of its door.
"""

import asyncio
import re
from collections import Counter
from collections.abc import MutableMapping
from typing import Any

from tidewatt.scheduler.daemon.asgi import Asgi, Receive, Scope, Send, refusal
from tidewatt.scheduler.schemas import Problem

MOST_BYTES = 40_000_000  # of a request: a difference, written as JSON, an environment and an array fit in
# Each value that is no valid one costs a few hundred bytes until it is refused: of brackets alone, a request
# that is as long as may be would take gigabytes.
MOST_PARTS = 200_000  # strings, commas, brackets: 100,000 words
CONNECTIONS, ALL_CONNECTIONS = 64, 512
AT_ONCE = 8  # requests of one user that are worked on; the others wait for these
# Always matches where it begins, so that no text takes longer than its length.
_PART = re.compile(rb'"(?:[^"\\]|\\(?:.|\Z))*+(?:"|\Z)|[,\[{]', re.S)


class Portions:
    """What each user, by uid, has open now."""

    def __init__(self) -> None:
        self._open: Counter[int] = Counter()
        self._turns: dict[int, asyncio.Semaphore] = {}

    def come(self, uid: int) -> bool:
        """One more connection; False where it is one too many. Root always comes in."""
        if uid and (self._open[uid] >= CONNECTIONS or self._open.total() >= ALL_CONNECTIONS):
            return False
        self._open[uid] += 1
        return True

    def gone(self, uid: int) -> None:
        """One that had come is closed."""
        self._open[uid] -= 1
        if self._open[uid] <= 0:
            del self._open[uid]

    def turn(self, uid: int) -> asyncio.Semaphore:
        """What a request of the user's has to get before it is worked on."""
        return self._turns.setdefault(uid, asyncio.Semaphore(AT_ONCE))


class Portioned:
    """Routes as one user may ask them: so many at once, and nothing that is too large or has too many parts.

    The user's turn is over as soon as the answer begins: a stream of events takes none.
    """

    def __init__(self, inner: Asgi, turn: asyncio.Semaphore) -> None:
        self._inner, self._turn = inner, turn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 413 itself where the request is more than anybody needs."""
        await self._turn.acquire()
        held = True

        def let_go() -> None:
            nonlocal held
            if held:
                held = False
                self._turn.release()

        async def sending(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                let_go()
            await send(message)

        try:
            body = await _body(receive)
            if body is None:
                return
            if why := excess(body):
                await refusal(Problem(title="too much", status=413, detail=why))(scope, receive, sending)
                return
            await self._inner(scope, _again(body, receive), sending)
        finally:
            let_go()


def excess(body: bytes) -> str:
    """Why a request is more than anybody needs; "" where it is not."""
    if len(body) > MOST_BYTES:
        return f"a request may have {MOST_BYTES // 1_000_000} MB at most: put what is longer into a file"
    for number, _ in enumerate(_PART.finditer(body)):
        if number >= MOST_PARTS:
            return f"a request may have {MOST_PARTS:,} parts at most: put so many words into a file"
    return ""


async def _body(receive: Receive) -> bytes | None:
    """All that was sent, or a little more than may be; None where the other side has gone."""
    parts, size, more = [], 0, True
    while more and size <= MOST_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """The request as if it came now, at once."""
    told = False

    async def again() -> MutableMapping[str, Any]:
        nonlocal told
        if told:
            return await receive()  # that the other side has gone
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
