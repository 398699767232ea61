"""Sessions of the page: a cookie that stands for a token, and a second secret for every change.

For the page: `signed_in(request)` says who looks; its `csrf` goes into each form as the field `csrf`, or
into the header `X-CSRF-Token` (htmx: hx-headers).
"""

import hmac
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

import sqlalchemy as sa
from starlette.requests import Request

from tidewatt.scheduler.daemon.callers import through, user_name
from tidewatt.scheduler.daemon.scopes import Scope, includes
from tidewatt.scheduler.daemon.tokens import TokenRecord, Tokens, digest
from tidewatt.scheduler.store import Store, schema

COOKIE = "tidewatt_session"
SECURE_COOKIE = "__Host-tidewatt_session"  # browsers take it over TLS only, for this host alone
LASTING_MS = 12 * 3_600_000
CODE_MS = 60_000
MOST_CODES = 100
ASKED = "tidewatt.session"  # its place in an ASGI scope


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody's session at the page."""

    sha256: str
    token_id: str
    csrf: str
    created_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Looker:
    """Who looks at the page: their name, how much they may, and the secret of their forms."""

    name: str
    scope: str
    csrf: str
    session: bool

    def may(self, scope: Scope) -> bool:
        """Whether it makes sense to show them a button for something of that scope."""
        return includes(self.scope, scope)


class Sessions:
    """All sessions of a store, and the codes that begin one."""

    def __init__(self, store: Store, tokens: Tokens) -> None:
        self._store, self._tokens = store, tokens
        self._lock = threading.Lock()
        rows = store.rows(sa.select(schema.session))
        self._known = {row.sha256: Session(**row._mapping) for row in rows}
        self._codes: dict[str, tuple[int, str]] = {}

    def begin(self, token: TokenRecord) -> tuple[Session, str]:
        """A new session of a token's user, and its cookie."""
        cookie = secrets.token_urlsafe(32)
        now = self._tokens.now_ms()
        over = min(now + LASTING_MS, token.expires_ms or now + LASTING_MS)
        made = Session(digest(cookie), token.id, secrets.token_urlsafe(32), now, over)
        row = {each: getattr(made, each) for each in Session.__slots__}
        with self._lock, self._store.transaction() as transaction:
            transaction.execute(schema.session.delete().where(schema.session.c.expires_ms <= now))
            transaction.execute(schema.session.insert(), row)
            self._known = {key: each for key, each in self._known.items() if each.expires_ms > now}
            self._known[made.sha256] = made
        return made, cookie

    def found(self, cookie: str) -> tuple[Session, TokenRecord] | None:
        """The session of a cookie and the token behind it, where both hold."""
        session = self._known.get(digest(cookie))
        if session is None or self._tokens.now_ms() >= session.expires_ms:
            return None
        token = self._tokens.of(session.token_id)
        return None if token is None else (session, token)

    def holds(self, session: Session) -> bool:
        """Whether nobody has ended it, and it is not over."""
        return session.sha256 in self._known and self._tokens.now_ms() < session.expires_ms

    def end(self, session: Session) -> None:
        """Ends it at once."""
        with self._lock, self._store.transaction() as transaction:
            where = schema.session.c.sha256 == session.sha256
            transaction.execute(schema.session.delete().where(where))
            self._known.pop(session.sha256, None)

    def code(self, scope: Scope, user: str, uid: int | None, until_ms: int | None = None) -> str:
        """A code that begins one session within a minute, for `tidewatt open`; it ends by `until_ms`."""
        name = f"page {secrets.token_hex(3)}"
        left = LASTING_MS if until_ms is None else min(LASTING_MS, until_ms - self._tokens.now_ms())
        token, _never_shown = self._tokens.create(name, scope, left, user, uid)
        code = secrets.token_urlsafe(24)
        with self._lock:
            now = self._tokens.now_ms()
            self._codes = {key: each for key, each in self._codes.items() if each[0] > now}
            if len(self._codes) >= MOST_CODES:
                self._codes.pop(next(iter(self._codes)))
            self._codes[digest(code)] = (now + CODE_MS, token.id)
        return code

    def redeemed(self, code: str) -> TokenRecord | None:
        """The token behind a code, once."""
        with self._lock:
            over, token_id = self._codes.pop(digest(code), (0, ""))
        return self._tokens.of(token_id) if self._tokens.now_ms() < over else None


def cookie_of(headers: Mapping[bytes, bytes], *, secure: bool) -> str:
    """The session's cookie among a request's headers, "" where there is none."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(headers.get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return ""
    found = jar.get(SECURE_COOKIE if secure else COOKIE)
    return "" if found is None else found.value


def same(given: str, wanted: str) -> bool:
    """Compares secrets in constant time."""
    return hmac.compare_digest(given.encode(), wanted.encode())


def signed_in(request: Request) -> Looker:
    """Who looks at the page. Routes are only reached by those who may, so there always is somebody."""
    session: Session | None = request.scope.get(ASKED)
    csrf = "" if session is None else session.csrf
    return Looker(user_name(), through().scope, csrf, session is not None)
