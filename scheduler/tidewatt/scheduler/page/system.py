"""What the daemon runs on: sources, meters, engines, ledger, and what it warns of."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from tidewatt.scheduler.page.desk import Desk
from tidewatt.scheduler.page.routing import VisitorOf
from tidewatt.scheduler.page.templating import screen


def routes(pages: APIRouter, desk: Desk, visitor_of: VisitorOf) -> None:
    """Adds the screen."""

    @pages.get("/system")
    def system(request: Request) -> HTMLResponse:
        values: dict[str, Any] = {"status": desk.status(), "places": desk.regions(), "health": desk.health()}
        return screen("system.html", visitor_of(request), 200, here="system", **values)
