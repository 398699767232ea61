"""Tokens: what programs send over TCP. Only their hashes are kept; each belongs to one user, and ends."""

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from tidewatt.scheduler.daemon.scopes import Scope
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.store import Store, schema

PREFIX = "tw_"
LONGEST_NAME = 60
_SECRET = re.compile(rf"({PREFIX}[0-9a-f]{{8}})_[\w-]{{8,}}")
MOST = 1_000  # that hold, of one user
USED_EVERY_MS = 60_000


def real_ms() -> int:
    """Real time: a replay makes no token older."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token without itself. `uid` is None for the daemon's own user; times are real."""

    id: str
    sha256: str
    name: str
    scope: str
    user: str
    uid: int | None
    created_ms: int
    expires_ms: int | None
    used_ms: int | None
    revoked_ms: int | None

    def holds(self, now_ms: int) -> bool:
        """Whether it is neither revoked nor over."""
        return self.revoked_ms is None and (self.expires_ms is None or now_ms < self.expires_ms)


class Tokens:
    """All tokens of a store; this process is the only one that changes them."""

    def __init__(self, store: Store, now_ms: Callable[[], int] = real_ms) -> None:
        self._store, self.now_ms = store, now_ms
        self._lock = threading.Lock()
        self._known = {row.id: TokenRecord(**row._mapping) for row in store.rows(sa.select(schema.token))}

    def create(
        self, name: str, scope: Scope, lasting_ms: int | None, user: str, uid: int | None
    ) -> tuple[TokenRecord, str]:
        """A new token: what is kept, and the token itself, which nobody can show again.

        Raises:
            BadInput: A token of that name and user holds already, or the user has too many.
        """
        with self._lock:
            now = self.now_ms()
            holding = [each for each in self._known.values() if each.uid == uid and each.holds(now)]
            if any(each.name == name for each in holding):
                raise BadInput(f"a token {name!r} is there already: revoke it first, or choose another name")
            if len(holding) >= MOST:
                raise BadInput(f"{user} has {MOST} tokens already: revoke some (`tidewatt token revoke`)")
            number = secrets.token_hex(4)
            while number in self._known:
                number = secrets.token_hex(4)
            text = f"{PREFIX}{number}_{secrets.token_urlsafe(24)}"
            over = None if lasting_ms is None else now + lasting_ms
            made = TokenRecord(number, digest(text), name, scope, user, uid, now, over, None, None)
            row = {each: getattr(made, each) for each in TokenRecord.__slots__}
            with self._store.transaction() as transaction:
                transaction.execute(schema.token.insert(), row)
            self._known[number] = made
        return made, text

    def found(self, text: str) -> TokenRecord | None:
        """The token that this is, also where it does not hold any more."""
        known = self._known.get(public_part(text))
        right = hmac.compare_digest(digest(text), "" if known is None else known.sha256)
        return known if right else None

    def of(self, token_id: str) -> TokenRecord | None:
        """The token with that public part, where it holds."""
        known = self._known.get(token_id)
        return known if known is not None and known.holds(self.now_ms()) else None

    def listed(self, uid: int | None, *, everybodys: bool) -> list[TokenRecord]:
        """One user's tokens, or all, newest first; revoked and ended ones too."""
        found = [each for each in self._known.values() if everybodys or each.uid == uid]
        return sorted(found, key=lambda each: (-each.created_ms, each.id))

    def any_holds(self) -> bool:
        """Whether anybody has a token."""
        now = self.now_ms()
        return any(each.holds(now) for each in list(self._known.values()))

    def revoke(self, key: str, uid: int | None, *, everybodys: bool) -> TokenRecord:
        """Ends a token, by name or public part, at once.

        Raises:
            BadInput: There is none, or several users have one of that name.
        """
        with self._lock:
            now = self.now_ms()
            mine = [each for each in self.listed(uid, everybodys=everybodys) if each.holds(now)]
            meant = [each for each in mine if each.id == key] or [each for each in mine if each.name == key]
            if len(meant) != 1:
                few = "there is no such token" if not meant else "several users have one of that name"
                raise BadInput(f"token {key!r}: {few}: `tidewatt token list` shows them with their ids")
            return self._changed(meant[0], revoked_ms=now)

    def used(self, token: TokenRecord) -> bool:
        """Whether it is time to note that it was used, which costs a write."""
        return self.now_ms() - (token.used_ms or 0) >= USED_EVERY_MS

    def note_used(self, token_id: str, at_ms: int) -> None:
        """Notes when it was used last."""
        with self._lock:
            if token_id in self._known:
                self._changed(self._known[token_id], used_ms=at_ms)

    def _changed(self, token: TokenRecord, **values: int) -> TokenRecord:
        with self._store.transaction() as transaction:
            where = schema.token.c.id == token.id
            transaction.execute(schema.token.update().where(where).values(**values))
        made = TokenRecord(**{each: getattr(token, each) for each in TokenRecord.__slots__} | values)
        self._known[token.id] = made
        return made


def digest(text: str) -> str:
    """What is kept of a secret. It holds 192 random bits, which no search finds: no salt, no slow hash."""
    return hashlib.sha256(text.encode()).hexdigest()


def public_part(text: str) -> str:
    """The id within a token, "" where it has none."""
    return text.removeprefix(PREFIX).partition("_")[0][:8] if text.startswith(PREFIX) else ""


def hidden(text: str) -> str:
    """A text without the secret part of any token that somebody may have put there."""
    return _SECRET.sub(r"\1_...", text)
