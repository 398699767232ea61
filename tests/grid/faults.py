"""What has gone wrong with services of this kind, and how each stand-in is brought into it.

A row is one thing that happens; a case is that thing at one service. `fault_rows.py` has them all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from tests.grid import bodies
from tests.grid.bodies import DIALECTS, Change
from tests.grid.entsoe_server import EntsoeServer, acknowledged
from tests.grid.open_meteo_server import OpenMeteoServer
from tests.grid.server import NOON, Alteration, Fault, GridServer, Response
from tests.grid.services import SERVICES
from tests.grid.watttime_server import PAGE_403, WattTimeServer

ALWAYS = 1_000_000
HOUR = timedelta(hours=1)
Bring = Callable[[GridServer], object]


class Effect(StrEnum):
    """What becomes of the service's part in the outlook."""

    NONE = "none"  # it is used as ever: there was nothing wrong with it, or it could be put right
    LOST = "lost"  # nothing of it is used, and the next source of the chain answers
    DOUBTED = "doubted"  # the same where its past is known; else it is believed


@dataclass(frozen=True)
class Case:
    """One fault at one service. `warm`: the same feed had been answered before, and was not started anew."""

    bring: Bring
    effect: Effect = Effect.LOST
    now: datetime = NOON
    options: Mapping[str, object] = field(default_factory=dict)
    warm: bool = False
    hangs: bool = False
    unheard: bool = False  # nothing listens there


@dataclass(frozen=True)
class Row:
    """One thing that happens, by service a case, or in words why it cannot happen there."""

    key: str
    item: int | None  # of the checklist
    title: str
    cases: Mapping[str, Case | str]


def always(fault: Fault) -> Bring:
    """A fault that befalls every request."""
    return lambda server: server.fail(replace(fault, times=ALWAYS))


def answered(status: int, body: object = b"", headers: Mapping[str, str] | None = None) -> Case:
    """Every request is answered like this."""
    return Case(always(Fault(response=Response(status, body, headers or {}))))


def altered(alter: Alteration, path: str = "") -> Bring:
    """Every good answer is changed; refusals and logins are not."""

    def bring(server: GridServer) -> None:
        unharmed = server.answer

        def answer(request: object) -> Response:
            response = unharmed(request)  # type: ignore[arg-type]  # it is what it was given
            touched = path in request.path and "/login" not in request.path  # type: ignore[attr-defined]
            return alter(response) if touched and response.status == 200 else response

        server.answer = answer  # type: ignore[method-assign]

    return bring


def everywhere(bring: Bring | Case, **others: Case | str) -> dict[str, Case | str]:
    """The same at every service but `others`."""
    case = bring if isinstance(bring, Case) else Case(bring)
    return {name: others.get(name, case) for name in SERVICES}


def rows(change: Change, xml: Case | str, **others: Case | str) -> dict[str, Case | str]:
    """The same change of rows at every service that speaks JSON, and `xml` at ENTSO-E."""
    cases: dict[str, Case | str] = {
        name: Case(altered(bodies.rows(dialect, change))) for name, dialect in DIALECTS.items()
    }
    return {name: ({"entsoe": xml} | cases | others)[name] for name in SERVICES}


def xml(pattern: str, text: str, effect: Effect = Effect.LOST) -> Case:
    """ENTSO-E's documents with another text in them."""
    return Case(altered(bodies.replaced(pattern, text)), effect)


def harmless(cases: Mapping[str, Case | str]) -> dict[str, Case | str]:
    """The same cases, of which none does harm."""
    return {
        name: replace(case, effect=Effect.NONE) if isinstance(case, Case) else case
        for name, case in cases.items()
    }


def refuses_parameters(name: str) -> Case:
    """The service no longer knows a parameter that we send, and says so as it does."""
    words = "unknown or repeated parameters"
    said: Mapping[str, object] = {
        "watttime": {"error": "INVALID_QUERY_PARAMS", "message": words},
        "electricitymaps": {"status": "error", "message": words},
        "great_britain": {"error": {"code": "400 Bad Request", "message": words}},
        "eia": {"error": f"Invalid parameter, {words}", "code": 400},
        "open_meteo": {"error": True, "reason": words},
        "http": {"error": words},
    }
    if name == "entsoe":
        return Case(always(Fault(response=acknowledged("Input parameter does not exist", 400))))
    path = "/v3/" if name == "watttime" else ""
    return Case(always(Fault(path, response=Response(400, said[name]))))


def shifted(by: timedelta) -> Bring:
    """The service's clock is off."""

    def bring(server: GridServer) -> None:
        server.now += by

    return bring


def doubted(name: str, change: Change) -> Case:
    return Case(altered(bodies.rows(DIALECTS[name], change)), Effect.DOUBTED)


def gap(server: GridServer) -> None:
    assert isinstance(server, EntsoeServer)
    server.gaps = {("B19", server.now + 6 * HOUR), ("B19", server.now - 6 * HOUR)}


def hourly(server: GridServer) -> None:
    assert isinstance(server, WattTimeServer)
    server.period_s = 3600


def keyed(server: GridServer) -> None:
    assert isinstance(server, OpenMeteoServer)
    server.key = "another"


def nothing(server: GridServer) -> None:
    """Nothing happens to the service."""


def page_after_expiry(server: GridServer) -> None:
    server.fail(Fault("/v3/", response=PAGE_403, times=1))
