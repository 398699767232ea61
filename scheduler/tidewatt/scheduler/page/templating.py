"""Screens made from templates; whatever people have typed is escaped there."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi.responses import HTMLResponse

from tidewatt.scheduler.page.desk import Visitor
from tidewatt.scheduler.page.wording import FILTERS, shown

if TYPE_CHECKING:
    from jinja2 import Environment

ROOM = Path(__file__).parent
STATIC = ROOM / "static"
SCREENS = (
    ("now", "/", "Now"),
    ("jobs", "/jobs", "Jobs"),
    ("submit", "/submit", "Submit"),
    ("savings", "/savings", "Savings"),
    ("regions", "/regions", "Regions"),
    ("system", "/system", "System"),
)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(ROOM / "templates"),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    made.globals["screens"] = SCREENS
    made.globals["version"] = _version()
    return made


def text(template: str, visitor: Visitor, **values: Any) -> str:
    """A template, filled."""
    return _environment().get_template(template).render(visitor=visitor, **values)


def screen(template: str, visitor: Visitor, code: int = 200, **values: Any) -> HTMLResponse:
    """A template as an answer to a browser."""
    return HTMLResponse(text(template, visitor, **values), code)


@cache
def _version() -> str:
    """Of the static files: a browser may keep them until they change."""
    import hashlib

    digest = hashlib.sha256()
    for path in sorted(STATIC.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
