"""Prices of electricity: by the time of use, from a file, and in how the configuration states them."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tidewatt.backends.clock import moment, time_ms
from tidewatt.scheduler.config import load
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.policies.opening import parse_hours
from tidewatt.scheduler.prices.recorded import Recorded, parsed, recorded
from tidewatt.scheduler.prices.tariff import BandTariff, FixedTariff, RecordedTariff, cost
from tidewatt.scheduler.prices.tariffs import priced
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.settings_record import record, restored

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
HEAD = "zone,start,step_s,price_per_kwh,currency\n"
TWO = HEAD + "DE,2026-03-02T00:00Z,3600,0.10,EUR\nDE,2026-03-02T01:00Z,3600,-0.02,EUR\n"
EXAMPLES = sorted(Path("configs").rglob("*.toml"))


def test_price_by_the_time_of_use_follows_the_clock_on_the_wall() -> None:
    bands = ((parse_hours("Mon-Fri 07:00-20:00"),), 0.34)
    tariff = BandTariff(0.21, (bands,), ZoneInfo("Europe/Berlin"))
    steps = tariff.steps(MONDAY, MONDAY + timedelta(days=1))
    assert [(moment(each.start_ms).hour, each.per_kwh) for each in steps] == [
        (0, 0.21),
        (6, 0.34),
        (19, 0.21),
    ]
    weekend = tariff.steps(MONDAY + timedelta(days=5), MONDAY + timedelta(days=7))
    assert {each.per_kwh for each in weekend} == {0.21}


def test_steps_cover_all_of_the_time_also_when_the_clocks_are_put_forward() -> None:
    start = datetime(2026, 3, 28, 12, tzinfo=UTC)
    bands = ((parse_hours("00:00-06:00"),), 0.1)
    steps = BandTariff(0.3, (bands,), ZoneInfo("Europe/Berlin")).steps(start, start + timedelta(days=2))
    assert all(a.end_ms == b.start_ms for a, b in pairwise(steps))
    assert sum(each.end_ms - each.start_ms for each in steps) == 48 * 3_600_000
    short_night = next(each for each in steps if each.per_kwh == 0.1)
    assert short_night.end_ms - short_night.start_ms == 5 * 3_600_000  # an hour of that night is not there


def test_file_of_prices_may_go_below_zero_and_says_where_it_ends() -> None:
    by_zone, currency = parsed(TWO, "prices.csv")
    assert currency == "EUR"
    assert [each.per_kwh for each in by_zone["DE"]] == [0.10, -0.02]
    tariff = RecordedTariff(Recorded(by_zone["DE"], currency), "recorded")
    steps = tariff.steps(MONDAY, MONDAY + timedelta(hours=4))
    assert [(each.per_kwh, each.known) for each in steps] == [(0.10, True), (-0.02, True), (0.04, False)]
    assert cost(steps, time_ms(MONDAY), time_ms(MONDAY + timedelta(hours=2))) == pytest.approx(0.08)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zone,start,step_s,price,currency\nDE,2026-03-02T00:00Z,3600,1,EUR\n", "line 1: must name"),
        (HEAD + "DE,2026-03-02T00:00,3600,0.1,EUR\n", "line 2: 2026-03-02T00:00 has no time zone"),
        (HEAD + "DE,2026-03-02T00:00Z,0,0.1,EUR\n", "line 2: a step of 0 s"),
        (HEAD + "DE,2026-03-02T00:00Z,3600,nan,EUR\n", "line 2: nan is no price"),
        (HEAD + "DE,2026-03-02T00:00Z,3600,0.1,€\n", "is no currency"),
        (TWO + "DE,2026-03-02T01:30Z,3600,0.1,EUR\n", "line 4: begins before"),
        (TWO + "DE,2026-03-02T02:00Z,3600,0.1,USD\n", "line 4: has USD"),
        (HEAD, "holds no price"),
        ("", "holds no price"),
        (HEAD + "nowhere at all,2026-03-02T00:00Z,3600,0.1,EUR\n", "line 2:"),
    ],
)
def test_mistake_in_a_file_of_prices_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said.replace("(", r"\(")):
        parsed(text, "prices.csv")


def test_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(TWO)
    assert len(recorded(file).steps) == 2
    file.write_text(TWO + "DE,2026-03-02T02:00Z,3600,0.30,EUR\n")
    assert len(recorded(file).steps) == 3


REGION = '[[region]]\nname = "a"\nzone = "DE"\ncpus = 4\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[price]]\nregion = "b"\ncurrency = "EUR"\nprice_per_kwh = 1\n', "there is no region 'b'"),
        ('[[price]]\nregion = "a"\ncurrency = "euro"\nprice_per_kwh = 1\n', "currency"),
        ('[[price]]\ncurrency = "EUR"\nprice_per_kwh = 1\n', "neither of which region"),
        ('[[price]]\nregion = "a"\ncurrency = "EUR"\n', "one of price_per_kwh and file"),
        (
            '[[price]]\nregion = "a"\ncurrency = "EUR"\nprice_per_kwh = 1\n'
            'bands = [{ hours = "Mon 07:00-20:00", price_per_kwh = 2 }]\n',
            "bands and time_zone together",
        ),
        (
            '[[price]]\nregion = "a"\ncurrency = "EUR"\nprice_per_kwh = 1\n'
            '[[price]]\nzone = "DE"\ncurrency = "USD"\nprice_per_kwh = 1\n',
            "weighs one alone",
        ),
        ('[[freeze]]\nwhat = "starts"\nbecause = "x"\n', "says when by start and end"),
        ('[[freeze]]\nwhat = "all"\nhours = "Mon 07:00-20:00"\nbecause = "x"\n', "what"),
        ('[[policy]]\nname = "x"\nbecause = "y"\n', "says nothing"),
        ('[[policy]]\nname = "x"\nshift = false\nregions = ["a"]\nbecause = "y"\n', "take regions out"),
    ],
)
def test_mistake_in_the_tables_of_prices_and_freezes_is_one_sentence(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(REGION + text)
    with pytest.raises(BadInput) as found:
        load(file, {}, {})
    assert said in str(found.value)
    assert "config.toml:" in str(found.value)


def test_own_price_of_a_region_goes_before_that_of_its_zone(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    tables = (
        '[[region]]\nname = "b"\nzone = "DE"\ncpus = 4\n'
        '[[price]]\nzone = "DE"\ncurrency = "EUR"\nprice_per_kwh = 0.2\n'
        '[[price]]\nregion = "a"\ncurrency = "EUR"\nfile = "prices.csv"\n'
    )
    file.write_text(REGION + tables)
    (tmp_path / "prices.csv").write_text(TWO)
    settings = load(file, {}, {}).settings
    own, other = (priced(Region(name, zones={"average": "DE"}), settings) for name in ("a", "b"))
    assert own is not None
    assert other is not None
    assert own.tariff.source == "recorded in prices.csv"
    assert other.tariff == FixedTariff(0.2)
    assert priced(Region("c", zones={"average": "FR"}), settings) is None


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_settings_survive_their_way_to_another_process(path: Path) -> None:
    settings = load(path, {}, {}).settings
    again = restored(json.loads(json.dumps(record(settings))))
    plain = {"regions"}
    assert again.model_dump(exclude=plain) == settings.model_dump(exclude=plain)
    assert [each.one_zone for each in again.regions] == [each.one_zone for each in settings.regions]
    dropped = {"place", "zone"}
    before, after = ([each.model_dump(exclude=dropped) for each in s.regions] for s in (settings, again))
    assert after == before
