"""The table of faults: sixteen items of a checklist that programs like this one have stumbled over, and more.

`NUMBERED` rows are those of the checklist, some of them in several shapes; `BESIDES` are our own additions.
"""

import gzip
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.grid import bodies
from tests.grid.bodies import DIALECTS
from tests.grid.entsoe_server import acknowledged
from tests.grid.faults import (
    HOUR,
    Case,
    Effect,
    Row,
    altered,
    always,
    answered,
    doubted,
    everywhere,
    gap,
    harmless,
    hourly,
    keyed,
    nothing,
    page_after_expiry,
    refuses_parameters,
    rows,
    shifted,
    xml,
)
from tests.grid.server import NOON, Fault, Response
from tests.grid.services import SERVICES
from tests.grid.watttime_server import PAGE_403

PAGE = answered(403, PAGE_403.body, PAGE_403.headers)
OUT_OF_SCOPE = {"error": "Invalid query parameters", "message": "Invalid scope."}
NO_KEY = "needs no key"
NO_UNIT = "sends no unit"
NO_REGION = "is asked by latitude and longitude"
ANY = "power and weather may be so"
UNTOLD = "does not say when a forecast was made"
UNDATED = ("great_britain", "eia", "entsoe", "open_meteo")
SPRING, AUTUMN = datetime(2026, 3, 28, 20, tzinfo=UTC), datetime(2026, 10, 24, 20, tzinfo=UTC)
SPRING_US, AUTUMN_US = datetime(2026, 3, 8, 2, tzinfo=UTC), datetime(2026, 11, 1, 2, tzinfo=UTC)


def _on(europe: datetime, america: datetime) -> dict[str, Case | str]:
    return {
        name: Case(nothing, Effect.NONE, america if each.zone.startswith("US") else europe)
        for name, each in SERVICES.items()
    }


NUMBERED: tuple[Row, ...] = (
    Row(
        "parameter",
        1,
        "a parameter that we send is refused",
        {name: refuses_parameters(name) for name in SERVICES},
    ),
    Row(
        "naive",
        2,
        "times without a time zone",
        rows(bodies.without_zone, xml(r"(\d\d:\d\d)Z</(start|end)>", r"\1</\2>")),
    ),
    Row(
        "expired",
        3,
        "the token has expired (401)",
        dict.fromkeys(SERVICES, "has no token that expires")
        | {"watttime": Case(nothing, Effect.NONE, warm=True)},
    ),
    Row(
        "page",
        3,
        "a proxy's page with 403, once",
        harmless(everywhere(Case(page_after_expiry, warm=True)))
        | {name: "does not log in: see the next row" for name in SERVICES if name != "watttime"},
    ),
    Row("pages", 3, "a proxy's page with 403, again and again", everywhere(PAGE)),
    Row(
        "key",
        3,
        "the key is refused",
        everywhere(
            answered(401, {"error": "Invalid auth-token"}),
            eia=answered(403, {"error": {"code": "API_KEY_INVALID", "message": "An invalid api_key"}}),
            great_britain=NO_KEY,
            open_meteo=Case(keyed),
            entsoe=answered(401, b"<html><body>Unauthorized</body></html>", PAGE_403.headers),
        ),
    ),
    Row(
        "scope",
        4,
        "the key may not have this zone",
        everywhere(
            Case(always(Fault("/v3/", response=Response(403, OUT_OF_SCOPE)))),
            electricitymaps=answered(401, {"error": "Token unauthorized for zoneKey=DE"}),
            eia=answered(403, {"error": {"code": "API_KEY_UNAUTHORIZED", "message": "not for you"}}),
            great_britain=NO_KEY,
            open_meteo=NO_KEY,
            entsoe="a token may read everything",
            http=answered(403, {"error": "not in your plan"}),
        ),
    ),
    Row(
        "busy",
        5,
        "too many calls (429), with Retry-After",
        everywhere(answered(429, {"error": "slow down"}, {"Retry-After": "120"})),
    ),
    Row("busier", 5, "too many calls (429), without it", everywhere(answered(429, {"error": "slow down"}))),
    Row(
        "null",
        6,
        "null in the middle",
        harmless(rows(bodies.valued(lambda value: None, few=True), Case(gap))),
    ),
    Row(
        "empty",
        7,
        "an empty list",
        rows(bodies.none, Case(always(Fault(response=acknowledged("No matching data found"))))),
    ),
    Row("blank", 8, "an empty body", everywhere(answered(200))),
    Row("braces", 8, "{} and nothing in it", everywhere(answered(200, {}))),
    Row(
        "object",
        8,
        "an object where a list was, or the other way round",
        {name: Case(altered(bodies.wrapped(dialect))) for name, dialect in DIALECTS.items()}
        | {"entsoe": xml("GL_MarketDocument", "Publication_MarketDocument")},
    ),
    Row(
        "few",
        8,
        f"{bodies.FEW} points and no more",
        harmless(rows(bodies.shortened, Case(nothing, now=NOON.replace(hour=7))))
        | {"eia": "sends pages as long as they are asked for"},
    ),
    Row(
        "unknown",
        9,
        "the region is not known",
        everywhere(
            answered(404, {"error": "no such region"}),
            watttime=Case(always(Fault("/v3/", response=Response(404, {"error": "No coverage available"})))),
            great_britain=replace(answered(404, {"error": "no such region"}), options={"region_id": 13}),
            electricitymaps=answered(404, {"status": "error", "message": "Zone DE does not exist"}),
            eia=answered(400, {"error": "Invalid facet value", "code": 400}),
            entsoe=Case(always(Fault(response=acknowledged("Delivered in_Domain is not valid", 400)))),
            open_meteo=NO_REGION,
        ),
    ),
    Row(
        "elsewhere",
        9,
        "an answer for another region",
        dict.fromkeys(SERVICES, "does not name it in its answers")
        | {
            "watttime": Case(altered(bodies.fields(region="PJM"), "/v3/forecast")),
            "electricitymaps": Case(altered(bodies.fields(zone="FR"))),
            "great_britain": Case(altered(bodies.fields(regionid=3)), options={"region_id": 13}),
        },
    ),
    Row(
        "unordered",
        10,
        "points twice and in no order",
        harmless(rows(bodies.doubled, xml(r"(<TimeSeries>(?:(?!<TimeSeries>).)*)(</GL_)", r"\1\1\2")))
        | {"open_meteo": Case(altered(bodies.rows(DIALECTS["open_meteo"], bodies.doubled)))},
    ),
    Row(
        "begun",
        11,
        "a forecast that begins in the past",
        harmless(rows(bodies.moved(-2 * HOUR), "always does: it is asked for it")),
    ),
    Row(
        "stuck",
        11,
        "a forecast that is all in the past",
        rows(bodies.moved(timedelta(days=-8)), Case(shifted(timedelta(days=-8)))),
    ),
    Row("spring", 12, "the day on which clocks go forward", _on(SPRING, SPRING_US)),
    Row("autumn", 12, "the day on which clocks go back", _on(AUTUMN, AUTUMN_US)),
    Row(
        "steps",
        13,
        "steps of another length",
        rows(
            bodies.crowded,
            xml("PT15M", "PT30M"),
            watttime=Case(hourly, Effect.NONE),
            electricitymaps=Case(altered(bodies.fields(temporalGranularity="daily"))),
            eia=xml(r'("period": "[-0-9]*)T\d\d"', r'\1"'),
            great_britain=xml(r'("to": "[-0-9]*T\d\d:)\d\d', r"\g<1>15"),
            open_meteo=Case(altered(bodies.rows(DIALECTS["open_meteo"], bodies.thinned))),
        ),
    ),
    Row(
        "percentile",
        14,
        "percentiles, and the unit says so",
        {
            "watttime": Case(altered(bodies.fields(units="percentile"))),
            "electricitymaps": NO_UNIT,
            "great_britain": NO_UNIT,
            "eia": Case(altered(bodies.fields(**{"value-units": "percent"}))),
            "entsoe": xml(">MAW<", ">P1<"),
            "open_meteo": Case(altered(bodies.fields(wind_speed_10m="%", hourly_units={"time": "%"}))),
            "http": Case(altered(bodies.fields(unit="percentile"))),
        },
    ),
    Row(
        "slow",
        15,
        "no answer in time",
        everywhere(Case(always(Fault(hold=threading.Event())), hangs=True)),
    ),
    Row("dropped", 15, "the connection is dropped", everywhere(always(Fault(drop=True)))),
    Row(
        "cut",
        15,
        "the connection is dropped in the middle",
        everywhere(always(Fault(drop=True, after_bytes=40))),
    ),
    Row(
        "unit",
        16,
        "another unit",
        {
            "watttime": Case(altered(bodies.fields(units="kg_co2_per_mwh"))),
            "electricitymaps": Case(
                altered(bodies.rows(DIALECTS["electricitymaps"], bodies.valued(lambda g: 1000 * g)))
            ),
            "great_britain": Case(
                altered(bodies.rows(DIALECTS["great_britain"], bodies.valued(lambda g: 1000 * g)))
            ),
            "eia": Case(altered(bodies.fields(**{"value-units": "kilowatthours"}))),
            "entsoe": xml(">MAW<", ">KWT<"),
            "open_meteo": Case(
                altered(bodies.fields(hourly_units={"time": "unixtime", "temperature_2m": "°F"}))
            ),
            "http": Case(altered(bodies.fields(unit="kg/MWh"))),
        },
    ),
)

BESIDES: tuple[Row, ...] = (
    Row("dead", None, "nothing listens there", everywhere(Case(nothing, unheard=True))),
    Row("broken", None, "the service fails (500)", everywhere(answered(500, b"Internal Server Error"))),
    Row(
        "bomb",
        None,
        "a body that unpacks to far too much",
        everywhere(answered(200, gzip.compress(bytes(3 * 2**20)), {"Content-Encoding": "gzip"})),
    ),
    Row(
        "zeros",
        None,
        "nothing but zeros",
        rows(
            bodies.valued(lambda value: 0.0),
            xml("<quantity>[^<]*</quantity>", "<quantity>0</quantity>"),
            watttime=doubted("watttime", bodies.valued(lambda value: 0.0)),
            open_meteo=ANY,
        ),
    ),
    Row(
        "constant",
        None,
        "one value for days",
        {name: doubted(name, bodies.valued(lambda value: 300.0)) for name in DIALECTS}
        | dict.fromkeys(("eia", "entsoe", "open_meteo"), ANY),
    ),
    Row(
        "jump",
        None,
        "twelve times as much as ever",
        rows(
            bodies.valued(lambda value: 12 * value),
            ANY,
            great_britain=doubted("great_britain", bodies.valued(lambda value: 12 * value)),
            eia=ANY,
            open_meteo=ANY,
        ),
    ),
    Row(
        "ahead",
        None,
        "the service's clock is a day ahead",
        everywhere(shifted(timedelta(days=1))) | dict.fromkeys(UNDATED, UNTOLD),
    ),
    Row(
        "behind",
        None,
        "the service stands still for two days",
        everywhere(shifted(timedelta(days=-2)), great_britain=UNTOLD, open_meteo=UNTOLD),
    ),
)
TABLE = NUMBERED + BESIDES
