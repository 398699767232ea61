"""Requests are taken as the description says, by the letter: `false` is no number, `"1"` none in JSON."""

import re
from collections.abc import Callable, Collection, Coroutine, MutableMapping, Sequence
from typing import Any, get_args, get_origin

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.routing import Match

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")  # as JSON writes it: no spaces, no NaN


class StrictRoute(APIRoute):
    """A route that reads JSON in pydantic's strict mode, before it is read for good.

    FastAPI turns the text into Python first, where strict mode would refuse times and lists. Of a parameter
    that is given twice it takes the last one, and of numbers more spellings than the description has.
    """

    def get_route_handler(self) -> Handler:
        """FastAPI's own, behind that look at the query and the body."""
        handler = super().get_route_handler()
        body_type = None if self.body_field is None else self.body_field.field_info.annotation
        wanted: TypeAdapter[Any] | None = None if body_type is None else TypeAdapter(body_type)
        kinds = {each.alias: each.field_info.annotation for each in self.dependant.query_params}
        numbers = {name for name, kind in kinds.items() if {int, float} & {kind, *get_args(kind)}}
        once = {name for name, kind in kinds.items() if not _is_list(kind)}

        async def strict(request: Request) -> Response:
            _check_query(request.query_params.multi_items(), once, numbers)
            if wanted is not None:
                _check_body(await request.body(), wanted)
            return await handler(request)

        return strict


def _is_list(kind: Any) -> bool:
    return any(get_origin(each) is list for each in (kind, *get_args(kind)))


def _check_query(given: Sequence[tuple[str, str]], once: Collection[str], numbers: Collection[str]) -> None:
    """Raises RequestValidationError where a parameter is there twice, or is no number and should be one."""
    seen: set[str] = set()
    for name, value in given:
        why = ""
        if name in seen and name in once:
            why = "it is given more than once"
        elif name in numbers and not _NUMBER.fullmatch(value):
            why = "it is no number"
        if why:
            raise RequestValidationError([{"loc": ("query", name), "msg": why, "type": "value_error"}])
        seen.add(name)


def _check_body(body: bytes, wanted: TypeAdapter[Any]) -> None:
    """Raises RequestValidationError where it is not what the description says, by the letter."""
    try:
        wanted.validate_json(body, strict=True)
    except ValidationError as error:
        found = error.errors(include_context=False, include_url=False, include_input=False)
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in found]) from None


def allowed(api: FastAPI, scope: MutableMapping[str, Any]) -> list[str]:
    """The methods of all routes that a path has; of those that spell it out, where there are any."""
    routes = [route for route in api.routes if route.matches(scope)[0] is not Match.NONE]
    spelt = [route for route in routes if getattr(route, "path", "") == scope["path"]]
    return sorted({method for route in spelt or routes for method in getattr(route, "methods", None) or ()})
