"""Where jobs may run: regions as they stand, drains, shifting, and the operator's rules."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from tidewatt.scheduler.errors import BadInput, SchedulerError
from tidewatt.scheduler.operator_schema import DrainRequest, ExplainRequest, ShiftingRequest
from tidewatt.scheduler.page.desk import Desk
from tidewatt.scheduler.page.routing import VisitorOf, back, form_of
from tidewatt.scheduler.page.templating import screen
from tidewatt.scheduler.when import parse_moment

MOST_REASON = 300


def routes(pages: APIRouter, desk: Desk, visitor_of: VisitorOf) -> None:
    """Adds the screen and what operators may change there."""
    _looking(pages, desk, visitor_of)
    _changing(pages, desk)
    _ruling(pages, desk, visitor_of)


def _looking(pages: APIRouter, desk: Desk, visitor_of: VisitorOf) -> None:
    @pages.get("/regions")
    def regions(
        request: Request, user: str = "", project: str = "", labels: str = "", gpus: str = ""
    ) -> HTMLResponse:
        asked = {"user": user, "project": project, "labels": labels, "gpus": gpus}
        answer, trouble = None, ""
        if "project" in request.query_params:
            try:
                answer = desk.explain(_asked(**asked))
            except SchedulerError as error:
                trouble = str(error)
        values: dict[str, Any] = {"asked": asked, "answer": answer, "trouble": trouble}
        status = desk.status()
        return screen(
            "regions.html", visitor_of(request), here="regions", places=desk.regions(), drains=status.drains,
            rules=desk.rules(), **values,
        )  # fmt: skip


def _asked(user: str, project: str, labels: str, gpus: str) -> ExplainRequest:
    if gpus and not gpus.isdecimal():
        raise BadInput(f"{gpus!r} is no number of GPUs: write a whole number")
    named = dict.fromkeys(labels.replace(",", " ").split(), "")
    pairs = {name: value for name, _, value in (each.partition("=") for each in named)}
    return ExplainRequest(user=user, project=project, labels=pairs, gpus=int(gpus or 0))


def _changing(pages: APIRouter, desk: Desk) -> None:
    @pages.post("/regions/drain")
    async def drain(request: Request) -> Response:
        typed = await form_of(request)
        wanted = DrainRequest(
            reason=typed.get("reason", "")[:MOST_REASON],
            until=_until(typed.get("until", ""), desk.now()),
            evict=typed.get("evict") == "yes",
        )
        await run_in_threadpool(desk.drain, typed.get("what", ""), wanted)
        return back("/regions")

    @pages.post("/regions/undrain")
    async def undrain(request: Request) -> Response:
        typed = await form_of(request)
        await run_in_threadpool(desk.undrain, typed.get("what", ""))
        return back("/regions")

    @pages.post("/regions/shifting")
    async def shifting(request: Request) -> Response:
        typed = await form_of(request)
        wanted = ShiftingRequest(on=typed.get("on") == "yes", reason=typed.get("reason", "")[:MOST_REASON])
        await run_in_threadpool(desk.shift, wanted)
        return back("/regions")


def _until(text: str, now: datetime) -> datetime | None:
    return parse_moment(text, now, None, "the end of the drain") if text.strip() else None


def _ruling(pages: APIRouter, desk: Desk, visitor_of: VisitorOf) -> None:
    @pages.get("/rules")
    def rules(request: Request) -> HTMLResponse:
        found = desk.rules()
        return _editor(request, found.text, found.digest)

    @pages.post("/rules/check")
    async def check(request: Request) -> Response:
        typed = await form_of(request)
        return await run_in_threadpool(
            _editor, request, typed.get("text", ""), typed.get("digest", ""), checks=True
        )

    @pages.post("/rules/try")
    async def tried(request: Request) -> Response:
        typed = await form_of(request)
        return await run_in_threadpool(
            _editor, request, typed.get("text", ""), typed.get("digest", ""), tries=True
        )

    @pages.post("/rules")
    async def put(request: Request) -> Response:
        typed = await form_of(request)
        text, digest = typed.get("text", ""), typed.get("digest", "")

        def answered() -> Response:
            try:
                desk.put_rules(text, digest)
            except BadInput as error:
                return _editor(request, text, digest, trouble=str(error))
            return back("/regions")

        return await run_in_threadpool(answered)

    def _editor(
        request: Request,
        text: str,
        digest: str,
        *,
        checks: bool = False,
        tries: bool = False,
        trouble: str = "",
    ) -> HTMLResponse:
        found, checked, tried = desk.rules(), None, None
        try:
            checked = desk.check_rules(text) if checks or tries else None
            tried = desk.try_rules(text) if tries else None
        except BadInput as error:
            trouble = str(error)
        values: dict[str, Any] = {"text": text, "digest": digest, "checked": checked, "trouble": trouble}
        status = 422 if trouble else 200
        return screen(
            "rules.html", visitor_of(request), status, here="regions", rules=found, tried=tried, **values
        )
