"""All screens below `/`, and the files that they load; none of it is part of the API."""

import mimetypes

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from tidewatt.scheduler.page import jobs, now, regions, savings, submitting, system
from tidewatt.scheduler.page.desk import Desk, Visitor
from tidewatt.scheduler.page.routing import PageRoute, VisitorOf, refused
from tidewatt.scheduler.page.templating import STATIC, screen

KEPT_S = 31_536_000  # the address of a file changes with what is in it


def routes(app: FastAPI, desk: Desk, visitor_of: VisitorOf) -> None:
    """Adds the page to the application."""
    pages = APIRouter(route_class=PageRoute, include_in_schema=False)
    for each in (now, jobs, submitting, savings, regions, system):
        each.routes(pages, desk, visitor_of)
    _door(pages)
    _files(pages)
    app.include_router(pages)


def _door(pages: APIRouter) -> None:
    @pages.get("/login")
    def login(why: str = "", next: str = "/") -> HTMLResponse:
        following = next if next.startswith("/") and not next.startswith("//") else "/"
        return screen("login.html", Visitor(operator=False), here="", why=why, next=following)


def _files(pages: APIRouter) -> None:
    contents = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.is_file()}
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

    @pages.get("/static/{version}/{name}")
    def file(request: Request, version: str, name: str) -> Response:
        if name not in contents:
            return refused(request, f"there is no file {name!r} here", 404)
        suffix = name[name.rfind(".") :]
        kind = kinds.get(suffix) or mimetypes.guess_type(name)[0] or "text/plain"
        kept = {"Cache-Control": f"public, max-age={KEPT_S}, immutable"}
        return Response(contents[name], media_type=kind, headers=kept)
