"""The form for a new job; the plan preview follows as one types."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from tidewatt.forecasting.errors import ForecastError
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.page.desk import Desk, Visitor
from tidewatt.scheduler.page.forms import FIELDS, Filled, read
from tidewatt.scheduler.page.routing import VisitorOf, back, form_of
from tidewatt.scheduler.page.templating import screen

PLAIN = {"cpus": "1", "gpus": "0", "duration": "1h", "finish_by": "12h"}


def routes(pages: APIRouter, desk: Desk, visitor_of: VisitorOf) -> None:
    """Adds the form, the preview and the submission."""

    @pages.get("/submit")
    def form(request: Request) -> HTMLResponse:
        typed = {name: request.query_params.get(name, PLAIN.get(name, "")) for name in FIELDS}
        return _form(desk, visitor_of(request), Filled(typed))

    @pages.post("/plan-preview")
    async def preview(request: Request) -> Response:
        typed = await form_of(request)
        visitor = visitor_of(request)

        def answered() -> Response:
            filled = read(typed, desk.now())
            values = _planned(desk, filled)
            if "hx-request" in request.headers:
                return screen("preview.html", visitor, filled=filled, oob=True, **values)
            return _form(desk, visitor, filled, **values)

        return await run_in_threadpool(answered)

    @pages.post("/submit")
    async def submit(request: Request) -> Response:
        typed = await form_of(request)
        visitor = visitor_of(request)

        def answered() -> Response:
            filled = read(typed, desk.now())
            wanted = filled.submit()
            if wanted is None:
                return _form(desk, visitor, filled, 422)
            try:
                reply = desk.submit(wanted)
            except (SchedulerError, ForecastError) as error:
                filled.wrong[_field_of(str(error))] = str(error)
                return _form(desk, visitor, filled, 422)
            return back(f"/jobs/{reply.job.key}")

        return await run_in_threadpool(answered)


def _planned(desk: Desk, filled: Filled) -> dict[str, Any]:
    """The plan as things stand, or why there is none."""
    wanted = filled.plan()
    if wanted is None:
        return {"reply": None, "trouble": "The plan follows when the marked fields are mended."}
    try:
        return {"reply": desk.plan(wanted), "trouble": ""}
    except (SchedulerError, ForecastError) as error:
        return {"reply": None, "trouble": str(error)}


def _field_of(sentence: str) -> str:
    """The field that a refusal speaks of; "" for the whole form."""
    return "folder" if sentence.startswith("the folder ") else ""


def _form(desk: Desk, visitor: Visitor, filled: Filled, status: int = 200, **values: Any) -> HTMLResponse:
    shown = {"reply": None, "trouble": "", "oob": False} | values
    regions = [region.name for region in desk.status().regions]
    return screen("submit.html", visitor, status, here="submit", filled=filled, regions=regions, **shown)
