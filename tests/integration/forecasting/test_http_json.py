"""A carbon signal of one's own, described in the configuration alone."""

import tomllib
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.grid.asking import busy, issued, observed, transport, width_s
from tests.grid.own_signal_server import OwnSignalServer
from tests.grid.server import NOON, Fault, Request, Response, altered
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.feed import FeedError
from tidewatt.forecasting.feeds.http_json import HttpJson, made
from tidewatt.forecasting.feeds.secret import Secret, credential
from tidewatt.forecasting.series import milliseconds

EXAMPLE = Path(__file__).resolve().parents[3] / "configs" / "examples" / "own_signal.toml"
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HOST = "https://grid.example"
QUANTITY = "average lifecycle CO2eq, consumption"
Table = dict[str, Any]


@pytest.fixture
def server() -> Iterator[OwnSignalServer]:
    with OwnSignalServer() as running:
        yield running


def described(host: str = HOST) -> Table:
    """The table of the example file, at another host."""
    (table,) = tomllib.loads(EXAMPLE.read_text("utf-8"))["source"]
    for name in ("observations", "forecast"):
        table[name]["url"] = table[name]["url"].replace(HOST, host)
    return dict(table)


def feed(
    server: OwnSignalServer, token: str = OwnSignalServer.token, change: Callable[[Table], object] = id
) -> HttpJson:
    table = described(server.url)
    change(table)
    secrets = {("in-house", "token"): Secret(token)} if token else {}
    return made(table, lambda source, name: secrets.get((source, name)), transport("in-house"))


def test_forecast_of_the_example_file_is_read(server: OwnSignalServer) -> None:
    (only,) = feed(server).fetch_forecast("DE", NOON).issued
    assert only.quantity == QUANTITY
    assert only.issued_at == NOON - timedelta(minutes=5)
    assert only.steps.start_ms[0] == milliseconds(NOON)  # times name ends
    assert len(only.steps.start_ms) == 48
    assert only.steps.gco2_per_kwh[0] == server.grams(NOON)
    assert only.p10 is not None
    assert only.p90 is not None
    assert (only.p10[0], only.p90[0]) == (server.grams(NOON) - 20, server.grams(NOON) + 30)
    assert server.requests[0].path == "/v1/region-north/ahead"


def test_past_of_the_example_file_is_read(server: OwnSignalServer) -> None:
    fetched = feed(server).fetch_observations("DE", NOON - DAY, NOON, NOON)
    assert [each.quantity for each in fetched.observed] == [QUANTITY]
    assert len(observed(fetched).start_ms) == 24
    assert width_s(observed(fetched)) == [3600]
    (asked,) = server.requests
    assert (asked.value("from"), asked.value("to")) == ("2026-02-28T12:00Z", "2026-03-01T12:00Z")


def test_only_steps_that_have_ended_are_observed(server: OwnSignalServer) -> None:
    fetched = feed(server).fetch_observations("DE", NOON - DAY, NOON + DAY, NOON)
    assert observed(fetched).end_ms[-1] == milliseconds(NOON)


def test_cadence_and_zones_are_those_of_the_file(server: OwnSignalServer) -> None:
    asking = feed(server)
    assert asking.quantities("DE") == (QUANTITY,)
    assert asking.quantities("FR") == ()
    assert asking.cadence.forecast_every == timedelta(minutes=30)
    assert asking.cadence.span == timedelta(hours=168)
    with pytest.raises(FeedError, match="is not configured for the zone FR"):
        asking.fetch_forecast("FR", NOON)


def test_signal_without_a_forecast_has_only_a_past(server: OwnSignalServer) -> None:
    asking = feed(server, change=lambda table: table.pop("forecast"))
    assert asking.cadence.forecast_every is None
    assert asking.fetch_forecast("DE", NOON).issued == ()
    assert asking.access("DE", NOON).may == ("history",)


def test_pounds_become_grams_and_the_kind_is_what_was_said(server: OwnSignalServer) -> None:
    def change(table: Table) -> None:
        table["forecast"]["unit"] = "lb/MWh"
        table.update(signal="marginal", basis="direct", gas="CO2")

    fetched = feed(server, change=change).fetch_forecast("DE", NOON)
    assert fetched.issued[0].quantity == "marginal direct CO2, consumption"
    assert issued(fetched).gco2_per_kwh[0] == pytest.approx(server.grams(NOON) * 0.45359237)


def test_credential_comes_from_the_environment_or_the_file_by_the_sources_name(
    server: OwnSignalServer, tmp_path: Path
) -> None:
    file = tmp_path / "credentials.toml"
    file.write_text(f'[in-house]\ntoken = "{server.token}"\n')
    file.chmod(0o600)
    for environ, path in (({"IN_HOUSE_TOKEN": server.token}, None), ({}, file)):

        def found(
            source: str, name: str, environ: dict[str, str] = environ, path: Path | None = path
        ) -> Secret | None:
            return credential(source, name, environ, path)

        assert made(described(server.url), found, transport("in-house")).fetch_forecast("DE", NOON).issued


def test_missing_credential_says_where_it_belongs(server: OwnSignalServer) -> None:
    with pytest.raises(
        FeedError, match=r"needs a credential: set IN_HOUSE_TOKEN, or token under \[in-house\]"
    ):
        feed(server, "").fetch_forecast("DE", NOON)
    assert not server.requests


def test_refused_credential_is_denied_and_never_shown(server: OwnSignalServer) -> None:
    with pytest.raises(
        FeedError, match=r"accepts no such credential \(401\): check IN_HOUSE_TOKEN"
    ) as refused:
        feed(server, "wrong-token-8").fetch_forecast("DE", NOON)
    assert refused.value.denied
    assert "wrong-token-8" not in str(refused.value) + repr(refused.value)


@pytest.mark.parametrize("status", [400, 500, 200])
def test_token_that_the_service_repeats_is_not_repeated_by_us(server: OwnSignalServer, status: int) -> None:
    server.fail(Fault(response=Response(status, f"no {server.token} here".encode()), times=3))
    with pytest.raises(FeedError, match=r"no \(hidden\) here") as refused:
        feed(server).fetch_forecast("DE", NOON)
    assert refused.value.__cause__ is None


def test_unit_that_changed_is_refused(server: OwnSignalServer) -> None:
    server.fail(Fault(alter=altered(lambda body: body.update(meta={"unit": "percentile"}))))
    with pytest.raises(FeedError, match=r"told 'percentile' where 'g/kWh' was, at meta.unit: refused"):
        feed(server).fetch_observations("DE", NOON - DAY, NOON, NOON)


def test_null_and_missing_values_are_holes(server: OwnSignalServer) -> None:
    def change(body: Table) -> None:
        body["data"][3]["intensity"]["actual"] = None
        del body["data"][5]["intensity"]

    server.fail(Fault(alter=altered(change)))
    fetched = feed(server).fetch_observations("DE", NOON - DAY, NOON, NOON)
    assert len(observed(fetched).start_ms) == 22
    assert fetched.notes == ("observations of in-house: 2 without a value, left open",)


def test_quantiles_that_are_not_whole_are_left_out_and_said(server: OwnSignalServer) -> None:
    def change(body: Table) -> None:
        body["hours"]["low"][7] = None

    server.fail(Fault(alter=altered(change)))
    fetched = feed(server).fetch_forecast("DE", NOON)
    assert fetched.issued[0].p10 is None
    assert "quantiles are not told for every value, and left out" in fetched.notes[0]


def test_empty_forecast_is_none(server: OwnSignalServer) -> None:
    def change(body: Table) -> None:
        body["hours"] = {name: [] for name in body["hours"]}

    server.fail(Fault(alter=altered(change)))
    fetched = feed(server).fetch_forecast("DE", NOON)
    assert (fetched.issued, fetched.notes) == ((), ("in-house: an empty forecast",))


def test_repeated_and_unordered_hours_are_put_right_and_said(server: OwnSignalServer) -> None:
    def change(body: Table) -> None:
        body["data"] = [*reversed(body["data"]), body["data"][0]]

    server.fail(Fault(alter=altered(change)))
    fetched = feed(server).fetch_observations("DE", NOON - DAY, NOON, NOON)
    assert len(observed(fetched).start_ms) == 24
    assert len(fetched.notes) == 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda body: body["hours"].update(mean=[1.0]), r"told 48 times and 1 values at hours.mean\[\*\]"),
        (lambda body: body["hours"].update(mean=["a"] * 48), "a value of in-house is not a number but 'a'"),
        (lambda body: body["hours"].pop("time") and None, "there is no 'time' on the way to hours.time"),
        (lambda body: body["hours"].update(time={}), r"there is no list on the way to hours.time\[\*\]"),
        (
            lambda body: body["hours"].update(time=["now"] * 48),
            "a time of in-house is not a number of unix_s",
        ),
        (
            lambda body: body["hours"].update(time=[1772323200000] * 48),
            "outside of all sense: is time_format",
        ),
        (lambda body: body.update(issued=None), "the time of issue of in-house is not a number"),
        (lambda body: body["hours"]["time"].__setitem__(1, body["hours"]["time"][0] + 60), "two values for"),
        (lambda body: [body], "there is no 'hours' on the way to hours.time"),
    ],
)
def test_reply_of_another_form_is_one_clear_sentence(
    server: OwnSignalServer, change: Callable[[Table], object], sentence: str
) -> None:
    server.fail(Fault(alter=altered(change)))
    with pytest.raises(FeedError, match=sentence):
        feed(server).fetch_forecast("DE", NOON)


def test_times_without_a_zone_are_refused(server: OwnSignalServer) -> None:
    def change(body: Table) -> None:
        body["data"][0]["point_time"] = "2026-03-01T00:00:00"

    server.fail(Fault(alter=altered(change)))
    with pytest.raises(FeedError, match="a time of in-house has no time zone"):
        feed(server).fetch_observations("DE", NOON - DAY, NOON, NOON)


def test_too_many_calls_are_tried_later(server: OwnSignalServer) -> None:
    server.fail(busy({"Retry-After": "90"}))
    with pytest.raises(FeedError, match="answered 429") as refused:
        feed(server).fetch_forecast("DE", NOON)
    assert refused.value.transient
    assert refused.value.retry_after_s == 90


def test_access_asks_both_tables(server: OwnSignalServer) -> None:
    access = feed(server).access("DE", NOON)
    assert access.may == ("history", "forecast")
    assert access.detail == "24 values of the last 24 h; 48 h ahead"


@pytest.mark.parametrize(
    ("where", "value", "sentence"),
    [
        ("name", None, "needs a name of letters"),
        ("name", "a/b", "needs a name of letters"),
        ("zones", [], "needs zones"),
        ("zones", ["nowhere"], "names a zone that does not exist: 'nowhere'"),
        ("basis", None, "must say its basis: lifecycle or direct"),
        ("boundary", "", "must say its boundary: production or consumption"),
        ("signal", "both", "must be average or marginal, not 'both'"),
        ("gas", "CH4", "must be CO2eq or CO2"),
        ("speed", 3, "has no option 'speed'"),
        ("headers", ["a"], "headers of the source in-house must be a table"),
        ("name", "WattTime", "must not be called WattTime"),
        ("headers", {"X": 3}, "the header 'X' of the source in-house must be a text on one line"),
        ("headers", {"X": "a\nb"}, "the header 'X' of the source in-house must be a text on one line"),
        ("headers", {"X\n": "a"}, "of the source in-house must be a text on one line"),
        ("headers", {"X Y": "a"}, "names a header as none can be named: 'X Y'"),
        ("headers", {"X": {"secret": "a", "value": "b"}}, "the header 'X' of the source in-house must be"),
        ("headers", {"X": {"secret": "a", "prefix": "b\r\n"}}, "must be a text on one line or a credential"),
        ("params", "key", "params of the source in-house must be a table"),
        ("params", {"limit": 3}, "the parameter 'limit' of the source in-house must be a text on one line"),
        ("forecast", "yes", r"must be a table \[source.forecast\]"),
        ("forecast.url", "http://grid.example/x", "must begin with https:// and name a host"),
        ("forecast.url", "https://{zone}.example/x", "must begin with https:// and name a host"),
        ("forecast.url", "https://me:pw@grid.example/x", "must hold no login"),
        ("forecast.url", "https://grid.example/x\n", "holds characters that no address has"),
        (
            "forecast.url",
            "https://grid.example/{start}",
            "has an unknown place {start}; known are: {zone}, {now}",
        ),
        ("forecast.url", "https://grid.example/{zone.__class__}", "has a brace that belongs to no place"),
        ("observations.url", "https://grid.example/{start:soon}", "is no form of a time"),
        ("forecast.time", "hours..time[*]", "must be a path such as"),
        ("forecast.time", "", "must be a path such as"),
        ("forecast.value", "hours.mean", "must both lead to lists, or neither"),
        ("forecast.p10", "", "needs both of p10 and p90, or none"),
        ("forecast.unit", "%", "must be g/kWh or kg/MWh or lb/MWh"),
        ("forecast.unit", None, "must say its unit"),
        (
            "forecast.step_s",
            None,
            "step_s of the source in-house: forecast must be a whole number from 60 to 86400",
        ),
        ("forecast.time_format", "excel", "must be iso8601 or unix_s or unix_ms"),
        ("forecast.eval", "1+1", "has no option 'eval'"),
        ("observations.p10", "data[*].low", "has no option 'p10'"),
    ],
)
def test_what_is_wrong_in_the_description_is_said_in_one_sentence(
    where: str, value: object, sentence: str
) -> None:
    table = deepcopy(described())
    *path, last = where.split(".")
    inner = table[path[0]] if path else table
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    with pytest.raises(ForecastError) as refused:
        made(table, lambda source, name: None)
    assert sentence.replace("\\", "") in str(refused.value)


def test_description_without_tables_is_refused() -> None:
    table = {key: value for key, value in described().items() if key not in ("observations", "forecast")}
    with pytest.raises(ForecastError, match=r"needs a table \[source.observations\] or \[source.forecast\]"):
        made(table, lambda source, name: None)


@pytest.mark.parametrize(
    "name",
    ["Authorization", "authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "auth-token", "apikey"],
)
@pytest.mark.parametrize("table", ["headers", "params"])
def test_credential_in_plain_sight_is_refused_and_not_repeated(table: str, name: str) -> None:
    told = described() | {table: {name: "s3cr3t-in-clear"}}
    with pytest.raises(ForecastError) as refused:
        made(told, lambda source, name: None)
    assert '{ secret = "token", prefix = "Bearer " }' in str(refused.value)
    assert "s3cr3t-in-clear" not in str(refused.value)


@pytest.mark.parametrize("query", ["api_key=s3cr3t", "n=2&Access%5FToken=s3cr3t", "password=s3cr3t{zone}"])
@pytest.mark.parametrize("scheme", ["https", "ftp"])
def test_credential_in_an_address_is_refused_and_not_repeated(scheme: str, query: str) -> None:
    told = described()
    told["forecast"]["url"] = f"{scheme}://grid.example/x?{query}"
    with pytest.raises(ForecastError, match=r"write \[source.params\], then") as refused:
        made(told, lambda source, name: None)
    assert "s3cr3t" not in str(refused.value)


def test_zone_may_stand_in_a_parameter_that_sounds_like_a_key() -> None:
    told = described()
    told["forecast"]["url"] = "https://grid.example/x?zone_key={zone}"
    assert made(told, lambda source, name: None).cadence.forecast_every


def test_credential_may_go_into_a_parameter_and_stays_hidden() -> None:
    with KeyedServer() as server:
        told = described(server.url) | {"params": {"api_key": {"secret": "key"}, "format": "full"}}
        del told["headers"]
        secrets = {"key": Secret(server.token)}
        asking = made(told, lambda source, name: secrets.get(name), transport("in-house"))
        assert asking.fetch_forecast("DE", NOON).issued
        assert asking.fetch_observations("DE", NOON - DAY, NOON, NOON).observed
        assert {each.value("format") for each in server.requests} == {"full"}
        server.fail(Fault(response=Response(400, f"no {server.token} here".encode())))
        with pytest.raises(FeedError, match=r"no \(hidden\) here"):
            asking.fetch_forecast("DE", NOON)
        server.token = "another"
        with pytest.raises(FeedError, match=r"accepts no such credential \(401\): check IN_HOUSE_KEY"):
            asking.fetch_forecast("DE", NOON)


class KeyedServer(OwnSignalServer):
    """Takes its token as the parameter `api_key`."""

    def answer(self, request: Request) -> Response:
        """The answer to this request."""
        words = {"authorization": f"Bearer {request.value('api_key')}"}
        query = tuple(pair for pair in request.query if pair[0] not in ("api_key", "format"))
        return super().answer(replace(request, headers=words, query=query))
