"""Bodies are taken as the description says, by the letter: `false` is no number, `"1"` none either."""

from collections.abc import Callable, Coroutine, MutableMapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.routing import Match

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class StrictRoute(APIRoute):
    """A route that reads JSON in pydantic's strict mode, before it is read for good.

    FastAPI turns the text into Python first, where strict mode would refuse times and lists.
    """

    def get_route_handler(self) -> Handler:
        """FastAPI's own, behind that look at the body."""
        handler = super().get_route_handler()
        body_type = None if self.body_field is None else self.body_field.field_info.annotation
        if body_type is None:
            return handler
        wanted: TypeAdapter[Any] = TypeAdapter(body_type)

        async def strict(request: Request) -> Response:
            body = await request.body()
            try:
                wanted.validate_json(body, strict=True)
            except ValidationError as error:
                found = error.errors(include_context=False, include_url=False, include_input=False)
                raise RequestValidationError(
                    [{**each, "loc": ("body", *each["loc"])} for each in found]
                ) from None
            return await handler(request)

        return strict


def allowed(api: FastAPI, scope: MutableMapping[str, Any]) -> list[str]:
    """The methods of all routes that a path has; of those that spell it out, where there are any."""
    routes = [route for route in api.routes if route.matches(scope)[0] is not Match.NONE]
    spelt = [route for route in routes if getattr(route, "path", "") == scope["path"]]
    return sorted({method for route in spelt or routes for method in getattr(route, "methods", None) or ()})
