"""Lists in pages: each page names the number that the next one goes on from, and its address."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query

MOST = 1_000
Number = Annotated[int, Query(ge=0, le=2**53, description="A number of the list; the page lies before it.")]
Limit = Annotated[int, Query(ge=1, le=MOST, description="Lines of a page, at most.")]


def link(path: str, asked: Mapping[str, object], before: int | None, cursor: str = "before") -> str | None:
    """The address of the next page, None after the last one; parameters that are empty are left out."""
    if before is None:
        return None
    query = {name: value for name, value in asked.items() if value not in (None, "")}
    return f"/api/v1/{path}?{urlencode(query | {cursor: before})}"
