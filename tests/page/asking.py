"""Asks an application as a browser would, without a socket."""

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI

from tidewatt.scheduler.page import views
from tidewatt.scheduler.page.desk import Desk, Visitor


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str


def app(desk: Desk, visitor: Visitor | None = None) -> FastAPI:
    """The page over a desk."""
    made = FastAPI()
    views.routes(made, desk, lambda _request: visitor or Visitor("ada", csrf="secret"))
    return made


def ask(page: FastAPI, address: str, form: dict[str, str] | None = None, **headers: str) -> Answer:
    """The answer to a GET, or to a POST where there is a form."""
    path, _, query = address.partition("?")
    body = b"" if form is None else urlencode(form).encode()
    sent: list[MutableMapping[str, Any]] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "path": path,
        "method": "GET" if form is None else "POST",
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "root_path": "",
    }

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(page(scope, receive, send))
    start = sent[0]
    text = b"".join(each.get("body", b"") for each in sent[1:]).decode()
    return Answer(start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, text)
