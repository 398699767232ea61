"""Signing in at the page with a token or a code, and out again; a GET changes nothing."""

from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from tidewatt.scheduler.daemon.access import DOOR, MOST_FORM_BYTES, Access, Refusal, refused
from tidewatt.scheduler.daemon.asgi import refusal
from tidewatt.scheduler.daemon.asked import Asked
from tidewatt.scheduler.daemon.sessions import ASKED, COOKIE, LASTING_MS, SECURE_COOKIE, Session
from tidewatt.scheduler.daemon.tokens import TokenRecord
from tidewatt.scheduler.schemas import Problem

NO_DOOR = Problem(title="not here", status=409, detail="sessions are for the page over TCP: `tidewatt open`")


def routes(api: FastAPI) -> None:
    """Adds `POST /login` and `POST /logout`; the form itself belongs to the page."""

    @api.post("/login", include_in_schema=False)
    async def login(request: Request) -> Response:
        door: tuple[Access, Asked] | None = request.scope.get(DOOR)
        if door is None:
            return refusal(NO_DOOR)
        access, asked = door
        fields = await _form(request)
        try:
            token = _token(access, asked, fields)
        except Refusal as found:
            access.keys.audit.note("POST", "/login", found.answer.status_code, user="")
            why = {429: "throttled"}.get(found.answer.status_code, "wrong")
            return RedirectResponse(f"/login?why={why}", 303) if asked.page else found.answer
        _session, cookie = await run_in_threadpool(access.keys.sessions.begin, token)
        answer = RedirectResponse(_inside(fields.get("next", "")), 303)
        answer.set_cookie(
            SECURE_COOKIE if asked.secure else COOKIE,
            cookie,
            max_age=LASTING_MS // 1000,
            httponly=True,
            samesite="strict",
            secure=asked.secure,
        )
        access.keys.audit.note("POST", "/login", 303, user=token.user)
        return answer

    @api.post("/logout", include_in_schema=False)
    def logout(request: Request) -> Response:
        session: Session | None = request.scope.get(ASKED)
        keys = getattr(request.app.state, "keys", None)
        if session is None or keys is None:
            return refusal(NO_DOOR)
        keys.sessions.end(session)
        answer = RedirectResponse("/login", 303)
        for name, secure in ((COOKIE, False), (SECURE_COOKIE, True)):
            answer.delete_cookie(name, httponly=True, samesite="strict", secure=secure)
        return answer


def _token(access: Access, asked: Asked, fields: dict[str, str]) -> TokenRecord:
    if code := fields.get("code", ""):
        name = asked.network
        found = None if access.keys.throttle.wait_s(name) else access.keys.sessions.redeemed(code)
        if found is None:
            access.keys.throttle.fail(name)
            raise refused(401, "this link was used already, or is over: `tidewatt open` makes another")
        return found
    return access.token_of(fields.get("token", "").strip(), asked)


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form; of several with one name the first."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_FORM_BYTES:
            return {}
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


def _inside(path: str) -> str:
    """A path of this page to go on to; anything that may lead elsewhere becomes the first page."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if plain and "\\" not in path else "/"
