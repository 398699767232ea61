"""The services that faults happen to: the stand-in of each, and how a configuration names it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.grid.eia_server import EiaServer
from tests.grid.electricitymaps_server import KEY, ElectricityMapsServer
from tests.grid.entsoe_server import EntsoeServer
from tests.grid.great_britain_server import GreatBritainServer
from tests.grid.open_meteo_server import OpenMeteoServer
from tests.grid.own_signal_server import OwnSignalServer
from tests.grid.server import GridServer, Request, Response
from tests.grid.watttime_server import PASSWORD, USER, WattTimeServer
from tidewatt.forecasting.kind import Signal
from tidewatt.forecasting.series import Rung

Table = dict[str, Any]


class SignalOfOnesOwn(OwnSignalServer):
    """Tells its unit in both bodies, so that both can be checked."""

    def answer(self, request: Request) -> Response:
        """The answer to this request."""
        response = super().answer(request)
        if isinstance(response.body, dict) and "hours" in response.body:
            return Response(200, {"meta": {"unit": "g/kWh"}, **response.body})
        return response


class RememberingEntsoe(EntsoeServer):
    """Answers the same question of the same moment from memory, as making so much XML takes long."""

    answers: dict[tuple[object, ...], Response] = {}  # noqa: RUF012  # of all of them together

    def answer(self, request: Request) -> Response:
        """The answer of the real platform to this request."""
        key = (request.path, request.query, self.now, frozenset(self.gaps), self.repeating)
        if key not in self.answers:
            self.answers[key] = super().answer(request)
        return self.answers[key]


@dataclass(frozen=True)
class Service:
    """A service under test. `best`: where an outlook begins when all is well with it."""

    name: str  # as `type` of a [[source]]
    title: str
    zone: str
    signal: Signal
    best: Rung
    serve: Callable[[datetime], GridServer]
    credentials: Mapping[str, str] = field(default_factory=dict)  # environment variables
    path: str = ""  # after the host, in base_url

    def source(self, url: str) -> Table:
        """Its `[[source]]` table, asking the stand-in at this address."""
        if self.name == "http":
            return own_signal(url)
        return {"type": self.name, "base_url": url + self.path}


def own_signal(url: str) -> Table:
    """A signal of one's own, described as the example in `configs` does it."""
    unit = {"unit": "g/kWh", "unit_at": "meta.unit", "unit_is": "g/kWh", "step_s": 3600}
    return {
        "type": "http",
        "name": "in-house",
        "zones": {"DE": "region-north"},
        "basis": "lifecycle",
        "boundary": "consumption",
        "span_h": 168,
        "headers": {"Authorization": {"secret": "token", "prefix": "Bearer "}},
        "observations": {
            **unit,
            "url": url + "/v1/{zone}/past?from={start:%Y-%m-%dT%H:%MZ}&to={end:%Y-%m-%dT%H:%MZ}",
            "time": "data[*].point_time",
            "value": "data[*].intensity.actual",
            "every_min": 60,
        },
        "forecast": {
            **unit,
            "url": url + "/v1/{zone}/ahead",
            "time": "hours.time[*]",
            "time_format": "unix_s",
            "time_is": "end",
            "value": "hours.mean[*]",
            "p10": "hours.low[*]",
            "p90": "hours.high[*]",
            "issued_at": "issued",
            "every_min": 30,
        },
    }


SERVICES = {
    each.name: each
    for each in (
        Service(
            "watttime",
            "WattTime",
            "US-CAL-CISO",
            Signal.MARGINAL,
            Rung.LIVE,
            WattTimeServer,
            {"WATTTIME_USER": USER, "WATTTIME_PASSWORD": PASSWORD},
        ),
        Service(
            "electricitymaps",
            "Electricity Maps",
            "DE",
            Signal.AVERAGE,
            Rung.LIVE,
            ElectricityMapsServer,
            {"ELECTRICITYMAPS_API_KEY": KEY},
            "/v3",
        ),
        Service("great_britain", "Great Britain", "GB", Signal.AVERAGE, Rung.LIVE, GreatBritainServer),
        Service(
            "eia",
            "EIA",
            "US-CAL-CISO",
            Signal.AVERAGE,
            Rung.OWN,
            EiaServer,
            {"EIA_API_KEY": EiaServer.key},
        ),
        Service(
            "entsoe",
            "ENTSO-E",
            "DE",
            Signal.AVERAGE,
            Rung.LIVE,
            RememberingEntsoe,
            {"ENTSOE_API_KEY": EntsoeServer.token},
            "/api",
        ),
        Service("open_meteo", "Open-Meteo", "DE", Signal.AVERAGE, Rung.PROFILE, OpenMeteoServer),
        Service(
            "http",
            "own signal",
            "DE",
            Signal.AVERAGE,
            Rung.LIVE,
            SignalOfOnesOwn,
            {"IN_HOUSE_TOKEN": OwnSignalServer.token},
        ),
    )
}
