"""How a screen is asked for and refused: in HTML, with the sentence that the API would give."""

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute

from tidewatt.backends.backend import BackendError
from tidewatt.forecasting.errors import ForecastError
from tidewatt.scheduler.errors import BadInput, SchedulerError
from tidewatt.scheduler.page.desk import Visitor
from tidewatt.scheduler.page.templating import screen

VisitorOf = Callable[[Request], Visitor]
MOST_FIELDS = 200
MOST_FORM_BYTES = 1_000_000


class PageRoute(APIRoute):
    """A route whose refusals are screens: people get a sentence and a way back."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's own handler, and what is shown where it refuses."""
        asked = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await asked(request)
            except (SchedulerError, BackendError, ForecastError) as error:
                status = 422 if getattr(error, "exit_code", 1) == 2 else 409
                return refused(request, str(error), status)

        return handled


def refused(request: Request, sentence: str, status: int) -> Response:
    """The sentence, as a whole screen or as the piece of one that was asked for."""
    whole = "hx-request" not in request.headers
    template = "refused.html" if whole else "refused_piece.html"
    missing = status == 404
    return screen(template, Visitor(), status if whole else 200, sentence=sentence, here="", missing=missing)


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form; of fields with one name the last.

    Raises:
        BadInput: It is too long, no form, or not text.
    """
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_FORM_BYTES:
            raise BadInput("the form is too long: shorten what is in it")
    try:
        fields = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
        )
    except ValueError:
        raise BadInput("the form cannot be read: go back, open the page anew and try again") from None
    return {name: value.replace("\r\n", "\n") for name, value in fields}


def back(to: str) -> RedirectResponse:
    """Sends a browser on after something was changed, so that a reload does not do it again."""
    return RedirectResponse(to, 303)
