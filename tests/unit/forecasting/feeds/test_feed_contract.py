"""What every feed promises before it is asked anything."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from tests.grid.asking import transport
from tests.grid.server import Fault, GridServer, Response
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.electricitymaps import ElectricityMaps
from tidewatt.forecasting.feeds.feed import Feed
from tidewatt.forecasting.feeds.great_britain import GreatBritain
from tidewatt.forecasting.feeds.secret import Secret
from tidewatt.forecasting.feeds.watttime import WattTime
from tidewatt.forecasting.quantity import kind_of

SECRETS = {name: Secret("not-to-be-seen-42") for name in ("user", "password", "key")}
Maker = Callable[[Mapping[str, object]], Feed]
FEEDS: dict[str, tuple[Maker, str]] = {
    "watttime": (lambda config: WattTime(config, SECRETS, transport("x")), "WT:CAISO_NORTH"),
    "electricitymaps": (lambda config: ElectricityMaps(config, SECRETS, transport("x")), "DE"),
    "great_britain": (lambda config: GreatBritain(config, SECRETS, transport("x")), "GB"),
}
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(params=FEEDS)
def made(request: pytest.FixtureRequest) -> tuple[Maker, str]:
    return FEEDS[request.param]


def test_feed_knows_what_it_may_have_without_asking(made: tuple[Maker, str]) -> None:
    make, zone = made
    quantities = make({}).quantities(zone)
    assert quantities
    assert all(kind_of(quantity) is not None for quantity in quantities)


def test_zone_that_does_not_exist_is_not_covered(made: tuple[Maker, str]) -> None:
    make, _ = made
    assert make({}).quantities("XX-NOWHERE") == ()


def test_cadence_is_polite_and_useful(made: tuple[Maker, str]) -> None:
    make, _ = made
    cadence = make({}).cadence
    for every in (cadence.forecast_every, cadence.observed_every):
        assert every is None or timedelta(minutes=5) <= every <= timedelta(days=1)
    assert timedelta(days=1) <= cadence.span <= cadence.backfill
    assert cadence.revised_for < cadence.span


def test_options_that_are_no_options_are_refused(made: tuple[Maker, str]) -> None:
    make, _ = made
    make({"type": "x"})
    with pytest.raises(ForecastError, match="has no option 'colour'; known are: "):
        make({"colour": "green"})


def test_other_address_than_https_is_refused(made: tuple[Maker, str]) -> None:
    make, _ = made
    with pytest.raises(ForecastError, match="must begin with https:// and name a host"):
        make({"base_url": "http://example.org"})


@pytest.mark.parametrize("name", ["watttime", "electricitymaps"])
def test_credentials_show_nowhere(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    make, zone = FEEDS[name]
    with GridServer() as server:
        server.fail(Fault("/login", response=Response(200, {"token": "a-token-43"})))
        server.fail(Fault(response=Response(400, {"message": "not-to-be-seen-42 and a-token-43"}), times=9))
        feed = make({"base_url": server.url})
        with pytest.raises(ForecastError, match=r"\(hidden\) and") as refused:
            feed.fetch_forecast(zone, NOW)
    login = b64encode(b"not-to-be-seen-42:not-to-be-seen-42").decode()
    shown = f"{refused.value!r}{refused.value}{caplog.text}{feed!r}{vars(feed)}"
    assert "not-to-be-seen-42" not in shown
    assert login not in shown
    assert name != "watttime" or "a-token-43" not in shown
