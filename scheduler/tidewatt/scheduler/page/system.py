"""What the daemon runs on: sources, meters, engines, ledger, and what it warns of."""

from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from tidewatt.scheduler.errors import BadInput, SchedulerError
from tidewatt.scheduler.page.desk import Desk
from tidewatt.scheduler.page.routing import VisitorOf, back, form_of
from tidewatt.scheduler.page.templating import screen

LONGEST_NUMBER = 15


def routes(pages: APIRouter, desk: Desk, visitor_of: VisitorOf) -> None:
    """Adds the screen."""

    @pages.get("/system")
    def system(request: Request) -> HTMLResponse:
        visitor = visitor_of(request)
        values: dict[str, Any] = {"status": desk.status(), "places": desk.regions(), "health": desk.health()}
        values |= {"decisions": None, "backup": None}
        if visitor.operator:
            with suppress(SchedulerError):  # on a shared server not everybody with such a token may
                values |= {"decisions": desk.decisions(), "backup": desk.backups()}
        return screen("system.html", visitor, 200, here="system", **values)

    @pages.post("/system/undo")
    async def undo(request: Request) -> Response:
        typed = await form_of(request)
        number = typed.get("number", "")
        if not number.isdecimal() or len(number) > LONGEST_NUMBER:
            raise BadInput(f"{number[:40]!r} is no number of a decision: open the page anew and try again")
        await run_in_threadpool(desk.undo, int(number))
        return back("/system#decisions-title")
