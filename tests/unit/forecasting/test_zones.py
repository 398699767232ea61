"""Every name of a grid leads to its one zone, and no zone is ever guessed."""

import csv
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.profile import profile
from tidewatt.forecasting.zones import find, keyed, nearest, zone

MIX = (
    "AECI AT AZPS BPAT CH CISO DE DK DUK EPE ERCO FPC FPL FR GRID IE IPCO ISNE LDWP MISO NEVP NL NWMT NYIS"
    " PACE PACW PJM PL PSCO PSEI PT RO SCEG SOCO SPA SRP SWPP TIDC TVA WACM WALC eia:SC"
)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("US-CAL-CISO", "US-CAL-CISO"),
        ("us-cal-ciso", "US-CAL-CISO"),
        ("CISO", "US-CAL-CISO"),
        (" caiso ", "US-CAL-CISO"),
        ("DEU", "DE"),
        ("de_lu", "DE"),
        ("10Y1001A1001A82H", "DE"),
        ("uk", "GB"),
        ("BPA", "US-NW-BPAT"),
        ("aws:eu-west-1", "IE"),
        ("eu-west-1", "IE"),
        ("europe-west1", "BE"),
        ("azure:westus", "US-CAL-CISO"),
        ("SGIP_CAISO_PGE", "WT:SGIP_CAISO_PGE"),
        ("wt:sgip_caiso_sce", "WT:SGIP_CAISO_SCE"),
    ],
)
def test_every_kind_of_name_leads_to_its_zone(name: str, key: str) -> None:
    assert zone(name).key == key


def test_unknown_zone_names_near_matches_and_the_search() -> None:
    with pytest.raises(
        ForecastError, match=r"unknown zone 'Germani'; did you mean DE \(Germany\).*tidewatt zones TEXT"
    ):
        zone("Germani")


@pytest.mark.parametrize("name", ["", "  ", "XX", "no such place at all"])
def test_nonsense_is_no_zone(name: str) -> None:
    with pytest.raises(ForecastError, match="unknown zone"):
        zone(name)


def test_a_code_of_two_grids_is_refused_and_both_are_named() -> None:
    with pytest.raises(ForecastError, match=r"ambiguous: say iso2:SC \(Seychelles\) or US-CAR-SC"):
        zone("SC")
    assert zone("iso2:SC").key == zone("SYC").key == "SC"
    assert zone("eia:SC").key == "US-CAR-SC"
    seychelles = keyed("SC")
    assert seychelles is not None
    assert seychelles.name == "Seychelles"


@pytest.mark.parametrize("name", MIX.split())
def test_each_zone_of_the_generation_data_has_a_shaped_profile(name: str) -> None:
    usual = profile(zone(name).key)
    assert usual is not None
    assert not usual.flat


def test_all_countries_and_cloud_regions_of_the_data_are_known(shared_data: Path) -> None:
    with (shared_data / "country_annual.csv").open() as file:
        assert {zone(row["iso3"]).name for row in csv.DictReader(file)} >= {"Poland", "Kenya", "Japan"}
    with (shared_data / "cloud_regions.csv").open() as file:
        regions = [f"{row['provider']}:{row['region']}" for row in csv.DictReader(file)]
    assert [r for r in regions if r != "azure:asiapacific" and not zone(r).key] == []


def test_every_zone_has_a_real_time_zone_and_what_contains_it_exists() -> None:
    for each in find(""), find("e"):
        for z in each:
            ZoneInfo(z.timezone)
            assert -90 <= z.latitude <= 90
            assert -180 <= z.longitude <= 180
            assert not z.within or keyed(z.within) is not None


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("germany", "DE"),
        ("Frankfurt", "DE"),
        ("são paulo", "BR-CS"),
        ("sao paulo", "BR-CS"),
        ("aws eu-north-1", "SE"),
        ("texas", "US-TEX-ERCO"),
        ("california iso", "US-CAL-CISO"),
    ],
)
def test_search_finds_by_name_place_and_cloud_region(text: str, first: str) -> None:
    assert find(text)[0].key == first


def test_search_for_nothing_finds_nothing() -> None:
    assert find("") == []
    assert find("zzzzzz") == []


@pytest.mark.parametrize(
    ("place", "key"),
    [
        ((52.5, 13.4), "DE"),
        ((40.4, -3.7), "ES"),
        ((55.7, 12.5), "DK-DK2"),
        ((-33.9, 151.2), "AU-NSW"),
        ((30.3, -97.7), "US-TEX-ERCO"),
    ],
)
def test_nearest_zone_is_the_one_around(place: tuple[float, float], key: str) -> None:
    found, distance_km = nearest(*place)[0]
    assert found.key == key
    assert 0 <= distance_km < 500
