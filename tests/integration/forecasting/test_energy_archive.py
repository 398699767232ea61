"""Generation and weather on their way from the service through the archive to the chain."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.grid.asking import transport
from tests.grid.eia_server import EiaServer
from tests.grid.entsoe_server import NOW, EntsoeServer
from tests.grid.open_meteo_server import OpenMeteoServer
from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.archived import Archived
from tidewatt.forecasting.feeds.eia import Eia
from tidewatt.forecasting.feeds.entsoe import Entsoe
from tidewatt.forecasting.feeds.feed import Feed
from tidewatt.forecasting.feeds.open_meteo import OpenMeteo
from tidewatt.forecasting.feeds.secret import Secret
from tidewatt.forecasting.kind import Basis
from tidewatt.forecasting.mix import kind
from tidewatt.forecasting.refresh import Refresher

DAY = timedelta(days=1)
LATER = NOW + timedelta(minutes=5)  # what was asked for at NOW came a moment after


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive(tmp_path / "grid.db") as opened:
        yield opened


def gathered(feeds: list[Feed], archive: Archive, zone: str) -> None:
    """Asks for everything that is due at `NOW`, the first fill included."""
    refresher = Refresher(feeds, archive, lambda: [zone], seed="here", patience_s=60)
    for _ in range(4):
        refresher.turn(NOW)
    assert all(each.ok for each in refresher.health()), refresher.health()


def test_europe_has_an_intensity_ahead_and_a_past_that_is_kept(archive: Archive) -> None:
    with EntsoeServer() as server:
        feed = Entsoe(
            {"base_url": f"{server.url}/api", "backfill_days": 20},
            {"key": Secret(server.token)},
            transport("ENTSO-E"),
        )
        gathered([feed], archive, "DE")
    known = Archived(feed, archive)
    lifecycle = kind(Basis.LIFECYCLE)
    assert lifecycle in known.kinds("DE")
    ahead = known.forecast("DE", lifecycle, LATER)
    assert ahead is not None
    assert ahead.issued_at == NOW
    assert len(ahead.steps.start_ms) == 116  # quarters until tomorrow midnight
    past = known.observations("DE", lifecycle, NOW - 19 * DAY, NOW, LATER).steps
    assert len(past.start_ms) > 18 * 96
    assert np.isfinite(past.gco2_per_kwh).all()
    held = {quantity for source, quantity in archive.quantities("DE") if source == "ENTSO-E"}
    assert {"mw wind", "mw solar", "mw demand", "mw generation", "mw storage"} <= held


def test_america_has_a_past_and_weather_ahead(archive: Archive) -> None:
    zone = "US-CAL-CISO"
    with ExitStack() as servers:
        eia = servers.enter_context(EiaServer(NOW))
        weather = servers.enter_context(OpenMeteoServer(NOW))
        feeds: list[Feed] = [
            Eia({"base_url": eia.url, "backfill_days": 10}, {"key": Secret(eia.key)}, transport("EIA")),
            OpenMeteo({"base_url": weather.url}, {}, transport("Open-Meteo")),
        ]
        gathered(feeds, archive, zone)
    lifecycle = kind(Basis.LIFECYCLE)
    known = Archived(feeds[0], archive)
    assert known.forecast(zone, lifecycle, LATER) is None
    assert len(known.observations(zone, lifecycle, NOW - 9 * DAY, NOW, LATER).steps.start_ms) > 8 * 24
    demand = archive.issue("EIA", zone, "mw demand", LATER)
    assert demand is not None
    wind = archive.issue("Open-Meteo", zone, "weather wind_m_s", LATER)
    assert wind is not None
    assert len(wind.steps.start_ms) == 7 * 24
    analysed = archive.observations("Open-Meteo", zone, "weather wind_m_s", NOW - 20 * DAY, NOW, LATER)
    assert len(analysed.start_ms) > 18 * 24
