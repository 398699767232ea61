"""Who may ask over TCP: looked at before anything is routed, for every method and path alike."""

import asyncio
import contextlib
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, quote

from fastapi.responses import JSONResponse, RedirectResponse, Response

from tidewatt.scheduler.daemon.asgi import Asgi, Receive, Scope, Send, refusal
from tidewatt.scheduler.daemon.asked import Asked, Door, asked_of
from tidewatt.scheduler.daemon.auditing import Audit
from tidewatt.scheduler.daemon.callers import NOBODY, Caller, Through, asking
from tidewatt.scheduler.daemon.headers import stricter
from tidewatt.scheduler.daemon.portions import Portioned, Portions
from tidewatt.scheduler.daemon.scopes import SAFE, includes, is_open, needed
from tidewatt.scheduler.daemon.sessions import ASKED, Session, Sessions, cookie_of, same
from tidewatt.scheduler.daemon.throttling import Throttle
from tidewatt.scheduler.daemon.tokens import TokenRecord, Tokens, public_part
from tidewatt.scheduler.schemas import Problem

MOST_BYTES = 64_000_000  # of a request: a difference, an environment and an array fit in
MOST_FORM_BYTES = 1_000_000
WITHIN_S = 60.0  # a request has come as a whole
FORM = b"application/x-www-form-urlencoded"
DOOR = "tidewatt.door"  # in an ASGI scope: the door and what was asked there, for signing in
STILL = "tidewatt.still"  # in an ASGI scope: whether who asked may still be answered


@dataclass(slots=True)
class Keys:
    """What opens the doors: tokens and sessions, and how often somebody tried wrong ones."""

    tokens: Tokens
    sessions: Sessions
    audit: Audit
    throttle: Throttle = field(default_factory=Throttle)
    caller: Callable[[TokenRecord], Caller | None] = lambda token: None
    shared: bool = False


class Refusal(Exception):  # noqa: N818 - it is an answer
    """The request is answered here."""

    def __init__(self, answer: Response) -> None:
        self.answer = answer


class Access:
    """Routes behind a TCP door."""

    def __init__(self, inner: Asgi, keys: Keys, door: Door) -> None:
        self._inner, self._keys, self._door = inner, keys, door
        self._known_good: set[tuple[str, str]] = set()
        self._portions = Portions()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers itself where the request may not pass."""
        if scope["type"] != "http":
            return
        asked = asked_of(scope, self._door)

        async def strict(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                stricter(message, asked.path, secure=asked.secure)
            await send(message)

        try:
            await self._let_in(asked, scope, receive, strict)
        except Refusal as found:
            status = found.answer.status_code
            with asking(None, Through("", asked.address)):
                self._keys.audit.note(asked.method, asked.path, status, user="")
            await found.answer(scope, receive, strict)

    async def _let_in(self, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        self._check_host(asked)
        if not asked.path.isprintable():  # `$` in a route's pattern lets a line end pass
            raise refused(404, "there is no such path: control characters are in none")
        receive = _bounded(receive, asked)
        if is_open(asked.method, asked.path):
            scope[DOOR] = self, asked
            with asking(NOBODY if self._keys.shared else None, Through("", asked.address, "read")):
                await self._inner(scope, receive, send)
            return
        token, session, receive = await self._credential(asked, receive)
        wanted = needed(asked.method, asked.path)
        if not includes(token.scope, wanted):
            raise refused(403, f"this token may {_may(token.scope)}: this takes one of the scope {wanted}")
        caller = self._caller(token, asked)
        way = f"page {token.name}" if session else f"token {token.name}"
        scope[ASKED] = session
        scope[STILL] = partial(self._still, token, session, caller)
        if self._keys.tokens.used(token):
            self._keys.audit.used(token.id)
        inner = self._inner
        if caller is not None:
            inner = Portioned(inner, self._portions.turn(caller.uid))
        with asking(caller, Through(way, asked.address, token.scope, token.expires_ms)):
            await inner(scope, receive, send)

    def _still(self, token: TokenRecord, session: Session | None, caller: Caller | None) -> bool:
        """Whether somebody who was let in would be now, as the same."""
        held = self._keys.tokens.of(token.id) is not None
        if session is not None:
            held = held and self._keys.sessions.holds(session)
        return held and (caller is None or self._keys.caller(token) == caller)

    def _check_host(self, asked: Asked) -> None:
        if asked.host not in self._door.hosts:
            raise refused(421, "this daemon does not answer to that name: allowed_hosts in [server] adds it")
        if asked.foreign:
            raise refused(403, "requests from pages of other sites are refused")

    async def _credential(
        self, asked: Asked, receive: Receive
    ) -> tuple[TokenRecord, Session | None, Receive]:
        """Whose request it is, and what is left to read of it."""
        if b"authorization" in asked.headers:
            scheme, _, text = asked.header(b"authorization").partition(" ")
            if scheme.lower() != "bearer":
                raise _unknown(asked, "send the token as `Authorization: Bearer TOKEN`")
            return self.token_of(text.strip(), asked), None, receive
        found = self._keys.sessions.found(cookie_of(asked.headers, secure=asked.secure))
        if found is None:
            raise _unknown(asked, "send a token (`tidewatt token create` makes one), or sign in")
        session, token = found
        if asked.method not in SAFE:
            given, receive = await _csrf(asked, receive)
            if not same(given, session.csrf):
                raise refused(403, "the form is not of this session: load the page again")
        return token, session, receive

    def token_of(self, text: str, asked: Asked) -> TokenRecord:
        """The token that somebody sent; each that is a guess counts against address and token."""
        throttle, number = self._keys.throttle, public_part(text)
        names = (asked.network, f"token {number}" if number else "")
        token = self._keys.tokens.found(text)
        if token is not None and not token.holds(self._keys.tokens.now_ms()):
            raise _unknown(asked, f"the token {token.name} is revoked or over: `tidewatt token create`")
        if token is not None and (asked.address, token.id) in self._known_good:
            return token  # nobody's wrong guesses shut out whom we know
        # A token that is right is refused only while it is itself being guessed at: otherwise anybody could
        # shut out all others at the same address.
        if wait_s := throttle.wait_s(*filter(None, names if token is None else names[1:])):
            raise Refusal(
                refusal(_problem(429, f"too many wrong tokens: try again in {wait_s:.0f} s"),
                        Retry_After=str(int(wait_s) + 1))
            )  # fmt: skip
        if token is None:
            throttle.fail(*names)
            raise _unknown(asked, "this token is wrong: `tidewatt token create` makes one")
        if len(self._known_good) < 10_000:
            self._known_good.add((asked.address, token.id))
        return token

    def _caller(self, token: TokenRecord, asked: Asked) -> Caller | None:
        caller = self._keys.caller(token)
        if self._keys.shared and caller is None:
            raise refused(403, f"{token.user} is not served here any more")
        if caller is None or token.scope == "operate" or asked.method in SAFE:
            return caller
        return Caller(caller.uid, caller.gid, caller.groups, caller.name, operator=False)

    @property
    def keys(self) -> Keys:
        """What opens it."""
        return self._keys

    @property
    def proxies(self) -> frozenset[str]:
        """Addresses that stand for others."""
        return self._door.proxies


def _bounded(receive: Receive, asked: Asked) -> Receive:
    """A request that is too long, or takes too long to come, is taken for gone."""
    if b"transfer-encoding" in asked.headers and b"content-length" in asked.headers:
        # A proxy may go by the one and we by the other: what is left over would be somebody's next request.
        raise refused(400, "a request has a length or comes in chunks, not both", Connection="close")
    length = asked.header(b"content-length") or "0"
    if not length.isdecimal() or int(length) > MOST_BYTES:
        raise refused(413, f"a request may have {MOST_BYTES // 1_000_000} MB at most")
    loop = asyncio.get_running_loop()
    over_at, left, whole = loop.time() + WITHIN_S, MOST_BYTES, False

    async def bounded() -> MutableMapping[str, Any]:
        nonlocal left, whole
        if whole:  # what comes now is that the other side has gone
            return await receive()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(over_at):
                message = await receive()
            left -= len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if left >= 0:
                return message
        return {"type": "http.disconnect"}

    return bounded


async def _csrf(asked: Asked, receive: Receive) -> tuple[str, Receive]:
    """The secret that came with a change, from its header or its form, which can still be read after."""
    if b"x-csrf-token" in asked.headers:
        return asked.header(b"x-csrf-token"), receive
    if not asked.headers.get(b"content-type", b"").startswith(FORM):
        return "", receive
    body, more = b"", True
    while more and len(body) <= MOST_FORM_BYTES:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    fields = parse_qs(body.decode("utf-8", "replace"))
    told = False

    async def again() -> MutableMapping[str, Any]:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": more}

    return fields.get("csrf", [""])[0], again


def _may(scope: str) -> str:
    return {"read": "only look", "submit": "submit jobs and change its user's own"}.get(scope, scope)


def _problem(status: int, detail: str) -> Problem:
    titles = {401: "no access", 403: "not allowed", 421: "wrong host"}
    title = titles.get(status, HTTPStatus(status).phrase.lower())
    return Problem(title=title, status=status, detail=detail)


def refused(status: int, detail: str, **headers: str) -> Refusal:
    """The request is answered so."""
    return Refusal(refusal(_problem(status, detail), **headers))


def _unknown(asked: Asked, detail: str) -> Refusal:
    """Nobody known: a browser is shown where to sign in, everybody else is told what to send."""
    if asked.page and asked.method in SAFE:
        return Refusal(RedirectResponse(f"/login?next={quote(asked.path, safe='/')}", 303))
    answer: JSONResponse = refusal(_problem(401, detail), WWW_Authenticate='Bearer realm="tidewatt"')
    if asked.headers.get(b"hx-request"):
        answer.headers["HX-Redirect"] = "/login"
    return Refusal(answer)
