"""Tokens over HTTP: made, listed and revoked by those whom they stand for."""

import pwd

from fastapi import FastAPI, Response

from tidewatt.backends.clock import moment
from tidewatt.scheduler.access_schema import CodeReply, TokenReply, TokenRequest, TokensView, TokenView
from tidewatt.scheduler.daemon.callers import current, root_only, through, user_name
from tidewatt.scheduler.daemon.scopes import SCOPES, Scope
from tidewatt.scheduler.daemon.sessions import CODE_MS, Sessions
from tidewatt.scheduler.daemon.tokens import TokenRecord, Tokens, public_part
from tidewatt.scheduler.errors import BadInput, Refused


def routes(api: FastAPI, tokens: Tokens, sessions: Sessions) -> None:
    """Adds `tokens` and `login-codes` to the interface."""

    @api.get("/api/v1/tokens", tags=["access"])
    def listed() -> TokensView:
        """Your tokens, for root everybody's; never what they are."""
        found = tokens.listed(_uid(), everybodys=_all())
        return TokensView(tokens=tuple(_view(each, tokens) for each in found))

    @api.post("/api/v1/tokens", tags=["access"])
    def create(request: TokenRequest, response: Response) -> TokenReply:
        """A new token, shown in this answer alone; one made with a token ends with that at the latest."""
        user, uid = _whose(request.user)
        lasting = None if request.lasting_s is None else round(request.lasting_s * 1000)
        _check_lasting(lasting, tokens.now_ms())
        made, text = tokens.create(request.name, request.scope, lasting, user, uid)
        response.headers["Location"] = f"/api/v1/tokens/{made.id}"
        return TokenReply(token=text, view=_view(made, tokens))

    @api.delete("/api/v1/tokens/{key}", tags=["access"])
    def revoke(key: str) -> TokenView:
        """Ends a token at once, by its name or id."""
        return _view(tokens.revoke(public_part(key) or key, _uid(), everybodys=_all()), tokens)

    @api.post("/api/v1/login-codes", tags=["access"])
    def code() -> CodeReply:
        """A code that signs in at the page once, within a minute: `POST /login` takes it."""
        caller = current()
        held: Scope = next(each for each in SCOPES if each == through().scope)
        return CodeReply(
            code=sessions.code(
                held, user_name(), None if caller is None else caller.uid, through().expires_ms
            ),
            within_s=CODE_MS / 1000,
        )


def _check_lasting(lasting_ms: int | None, now_ms: int) -> None:
    """Raises BadInput where a token would outlast the one that it is asked for with."""
    over_ms = through().expires_ms
    if over_ms is not None and (lasting_ms is None or now_ms + lasting_ms > over_ms):
        left_min = max(0, over_ms - now_ms) // 60_000
        raise BadInput(
            f"this token holds for {left_min} min more, and makes none that outlast it: ask for a shorter"
            " time, or make the new one on the machine where the daemon runs"
        )


def _uid() -> int | None:
    caller = current()
    return None if caller is None else caller.uid


def _all() -> bool:
    caller = current()
    return caller is None or caller.uid == 0


def _whose(name: str) -> tuple[str, int | None]:
    """The user that a token is for, and their number where the daemon serves several."""
    caller = current()
    if not name or name == user_name():
        return user_name(), _uid()
    if caller is None:
        raise BadInput("this daemon serves its own user only: leave --user out")
    root_only("make tokens for others")
    try:
        return name, pwd.getpwnam(name).pw_uid
    except KeyError:
        raise Refused(f"there is no user {name!r} on this host") from None


def _view(token: TokenRecord, tokens: Tokens) -> TokenView:
    return TokenView(
        id=token.id,
        name=token.name,
        scope=token.scope,
        user=token.user,
        created=moment(token.created_ms),
        expires=None if token.expires_ms is None else moment(token.expires_ms),
        used=None if token.used_ms is None else moment(token.used_ms),
        revoked=None if token.revoked_ms is None else moment(token.revoked_ms),
        holds=token.holds(tokens.now_ms()),
    )
