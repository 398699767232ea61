"""A carbon signal of one's own, as `configs/examples/own_signal.toml` describes it."""

from datetime import datetime, timedelta

from tests.grid.server import BadRequest, GridServer, Request, Response, aware

HOUR = timedelta(hours=1)


class OwnSignalServer(GridServer):
    """Values are whole grams per kWh."""

    token = "a-token-of-ones-own"

    def answer(self, request: Request) -> Response:
        """The answer to this request."""
        if request.headers.get("authorization") != f"Bearer {self.token}":
            raise BadRequest(Response(401, {"error": "no such token"}))
        match request.path.split("/")[1:]:
            case ["v1", "region-north", "past"]:
                return Response(200, self._past(request))
            case ["v1", "region-north", "ahead"]:
                return Response(200, self._ahead())
        raise BadRequest(Response(404, {"error": "no such region"}))

    def grams(self, at: datetime) -> int:
        """The intensity of the hour that begins then."""
        return 300 + at.hour * 5

    def _past(self, request: Request) -> object:
        if {name for name, _ in request.query} != {"from", "to"}:
            raise BadRequest(Response(400, {"error": "from and to are needed, and nothing else"}))
        start, end = (aware(request.value(name)) for name in ("from", "to"))
        if start is None or end is None:
            raise BadRequest(Response(400, {"error": "times need a zone"}))
        hours = [start + i * HOUR for i in range(int((end - start) / HOUR))]
        data = [
            {"point_time": f"{at:%Y-%m-%dT%H:%M:%SZ}", "intensity": {"actual": self.grams(at)}}
            for at in hours
        ]
        return {"meta": {"unit": "g/kWh"}, "data": data}

    def _ahead(self) -> object:
        hours = [self.now + i * HOUR for i in range(48)]
        grams = [self.grams(at) for at in hours]
        return {
            "issued": int((self.now - timedelta(minutes=5)).timestamp()),
            "hours": {
                "time": [int((at + HOUR).timestamp()) for at in hours],
                "mean": grams,
                "low": [value - 20 for value in grams],
                "high": [value + 30 for value in grams],
            },
        }
