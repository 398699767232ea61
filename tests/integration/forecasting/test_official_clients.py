"""Official clients read the stand-ins as we do: so neither they nor we flatter the other."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.grid.asking import PATIENCE_S, issued, observed, transport
from tests.grid.clients import told
from tests.grid.electricitymaps_server import KEY, ElectricityMapsServer
from tests.grid.great_britain_server import GreatBritainServer
from tests.grid.server import NOON
from tests.grid.watttime_server import PASSWORD, USER, WattTimeServer
from tidewatt.forecasting.feeds.electricitymaps import ElectricityMaps
from tidewatt.forecasting.feeds.great_britain import GreatBritain
from tidewatt.forecasting.feeds.secret import Secret
from tidewatt.forecasting.feeds.watttime import WattTime
from tidewatt.forecasting.feeds.watttime_replies import GRAMS_PER_KWH
from tidewatt.forecasting.series import Steps, instant

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

WATTTIME = """
import os
os.environ["WATTTIME_API_URL"] = settings["url"]
from watttime import WattTimeForecast, WattTimeHistorical, WattTimeMyAccess
login = settings["user"], settings["password"]
def told(table):
    return [[str(at), value] for at, value in zip(table["point_time"].map(str), table["value"])]
history = WattTimeHistorical(*login)
past = history.get_historical_pandas(settings["start"], settings["end"], "CAISO_NORTH",
                                     include_imputed_marker=True)
ahead = WattTimeForecast(*login).get_forecast_pandas("CAISO_NORTH", horizon_hours=72)
issues = WattTimeForecast(*login).get_historical_forecast_pandas(
    settings["hour"], settings["end"], "CAISO_NORTH")
access = WattTimeMyAccess(*login).get_access_pandas()
print(json.dumps({
    "history": told(past), "forecast": told(ahead), "imputed": int(past["imputed_data_used"].sum()),
    "issues": len(issues), "region": history.region_from_loc(36.8, -119.8)["region"],
    "access": sorted(set(access["endpoint"][access["region"] == "CAISO_NORTH"]))}))
"""

ELECTRICITYMAPS = """
import electricitymaps.client
electricitymaps.client.HOST = settings["url"]
api = electricitymaps.create_client(settings["key"]).carbon_intensity
history = api.history(zone_key="DE", disable_caller_lookup="true")
forecast = api.forecast(zone_key="DE", disable_caller_lookup="true", horizon_hours=72)
latest = api.latest(zone_key="DE", disable_caller_lookup="true")
def told(items):
    rows = [item.to_dict() for item in items]
    return [[str(row["datetime"]), row["carbonIntensity"]] for row in rows]
print(json.dumps({"history": told(history.history), "forecast": told(forecast.forecast),
                  "latest": told([latest])}))
"""

CATS = """
import datetime
from cats.providers import UKCarbonIntensityProvider
provider = UKCarbonIntensityProvider(base_url=settings["url"])
told = provider.get_data(datetime.datetime.fromisoformat(settings["now"]), "RG10")
print(json.dumps([[each.datetime.isoformat(), each.value] for each in told.values]))
"""

BIO_PYPE = """
import datetime
from carbon_intensity.config import ProviderConfig
from carbon_intensity.providers import uk
uk._BASE = settings["url"]
start, now, end = (datetime.datetime.fromisoformat(settings[name]) for name in ("start", "now", "end"))
provider = uk.UKProvider(ProviderConfig())
def told(zone, start, end):
    found = provider.fetch_window([zone], start, end)[zone]
    return [[each.start.isoformat(), each.intensity_g_per_kwh, each.accounting] for each in found]
print(json.dumps({"past": told("GB", start, now), "ahead": told("GB", now, end),
                  "london": told("GB-LONDON", now, end)}))
"""


@pytest.fixture(autouse=True)
def clients(require_engine: Callable[[str], None]) -> None:
    require_engine("clients")


def as_told(rows: list[list[object]], factor: float = 1.0) -> list[tuple[int, float]]:
    """Unix seconds and g/kWh of what a client told."""
    return [
        (round(datetime.fromisoformat(str(row[0])).timestamp()), round(float(str(row[1])) * factor, 9))
        for row in rows
    ]


def as_read(steps: Steps) -> list[tuple[int, float]]:
    """The same of what we read."""
    starts = [round(instant(int(ms)).timestamp()) for ms in steps.start_ms]
    return list(zip(starts, (round(float(value), 9) for value in steps.gco2_per_kwh), strict=True))


def test_watttime_client_reads_the_same(tmp_path: Path) -> None:
    with WattTimeServer() as server:
        server.imputed = {NOON - HOUR}
        credentials = {"user": Secret(USER), "password": Secret(PASSWORD)}
        feed = WattTime({"base_url": server.url}, credentials, transport("WattTime", patience_s=PATIENCE_S))
        zone = "WT:CAISO_NORTH"
        start, last = NOON - 40 * DAY, NOON - timedelta(minutes=5)
        theirs = told(
            WATTTIME,
            tmp_path,
            url=server.url,
            user=USER,
            password=PASSWORD,
            start=start.isoformat(),
            hour=(last - HOUR).isoformat(),
            end=last.isoformat(),
        )
        ours = [
            *as_read(observed(feed.fetch_observations(zone, start, start + 30 * DAY, NOON))),
            *as_read(observed(feed.fetch_observations(zone, start + 30 * DAY, NOON, NOON))),
        ]
        assert as_told(theirs["history"], GRAMS_PER_KWH) == ours
        ahead = as_read(issued(feed.fetch_forecast(zone, NOON)))
        assert as_told(theirs["forecast"], GRAMS_PER_KWH) == ahead
        assert theirs["imputed"] == 1
        assert theirs["issues"] == 13 * 288
        assert theirs["region"] == "CAISO_NORTH"
        assert theirs["access"] == ["v3/forecast", "v3/historical"]
        assert feed.access(zone, NOON).may == ("forecast", "history")


def test_electricitymaps_client_reads_the_same(tmp_path: Path) -> None:
    with ElectricityMapsServer() as server:
        url = f"{server.url}/v3"
        feed = ElectricityMaps(
            {"base_url": url}, {"key": Secret(KEY)}, transport("Electricity Maps", patience_s=PATIENCE_S)
        )
        theirs = told(ELECTRICITYMAPS, tmp_path, url=url, key=KEY)
        ours = as_read(observed(feed.fetch_observations("DE", NOON - 23 * HOUR, NOON, NOON)))
        assert as_told(theirs["history"])[:-1] == ours
        assert as_told(theirs["latest"]) == as_told(theirs["history"])[-1:]  # the running hour
        assert as_told(theirs["forecast"]) == as_read(issued(feed.fetch_forecast("DE", NOON)))


def test_climate_aware_task_scheduler_reads_the_same(tmp_path: Path) -> None:
    now = NOON + timedelta(minutes=17)
    with GreatBritainServer(now) as server:
        feed = GreatBritain(
            {"base_url": server.url, "postcode": "RG10"}, {}, transport("GB", patience_s=PATIENCE_S)
        )
        theirs = told(CATS, tmp_path, url=server.url, now=now.isoformat())
        assert as_told(theirs) == as_read(issued(feed.fetch_forecast("GB", now)))
        assert server.requests[0].path == server.requests[1].path


def test_bio_pype_reads_the_same(tmp_path: Path) -> None:
    start, end = NOON - 20 * DAY, NOON + 2 * DAY
    with GreatBritainServer() as server:
        server.actual_delay = timedelta(0)
        national = GreatBritain({"base_url": server.url}, {}, transport("GB", patience_s=PATIENCE_S))
        london = GreatBritain(
            {"base_url": server.url, "region_id": 13}, {}, transport("GB", patience_s=PATIENCE_S)
        )
        theirs = told(
            BIO_PYPE,
            tmp_path,
            url=server.url,
            start=start.isoformat(),
            now=NOON.isoformat(),
            end=end.isoformat(),
        )
        ours = [
            *as_read(observed(national.fetch_observations("GB", start, start + 13 * DAY, NOON))),
            *as_read(observed(national.fetch_observations("GB", start + 13 * DAY, NOON, NOON))),
        ]
        assert as_told(theirs["past"]) == ours
        assert as_told(theirs["ahead"]) == as_read(issued(national.fetch_forecast("GB", NOON)))
        assert as_told(theirs["london"]) == as_read(issued(london.fetch_forecast("GB", NOON)))
        assert {row[2] for row in theirs["past"]} == {"consumption"}
