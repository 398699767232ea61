"""entsoe-py reads the stand-in's documents as we do: so neither it nor we flatter the other."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.grid.asking import transport
from tests.grid.clients import told
from tests.grid.entsoe_server import GERMANY, NOW, EntsoeServer
from tidewatt.forecasting.feeds.entsoe import Entsoe
from tidewatt.forecasting.feeds.entsoe_documents import (
    DRIVEN_AHEAD,
    GENERATION,
    Asked,
    Document,
    document,
    parameters,
)
from tidewatt.forecasting.feeds.secret import Secret
from tidewatt.forecasting.series import instant

HOUR = timedelta(hours=1)
START, END = NOW - timedelta(days=2), NOW - 3 * HOUR
AHEAD = NOW + timedelta(days=1)
Told = dict[str, list[tuple[float, float]]]

CLIENT = """
import pandas
import entsoe.entsoe
from entsoe.mappings import PSRTYPE_MAPPINGS
codes = {name: code for code, name in PSRTYPE_MAPPINGS.items()}
start, end, now, ahead = (pandas.Timestamp(settings[name]) for name in ("start", "end", "now", "ahead"))
def rows(series):
    return [[at.isoformat(), value] for at, value in series.dropna().items()]
def part(name):
    if not isinstance(name, tuple):
        return codes.get(name, name)
    return codes[name[0]] + (" taken" if "Consumption" in name[1] else "")
def parts(table):
    return {part(name): rows(table[name]) for name in table.columns}
def told(url):
    entsoe.entsoe.URL = url
    client = entsoe.entsoe.EntsoePandasClient(api_key=settings["token"])
    driven = {process: parts(client.query_wind_and_solar_forecast(
        "DE_LU", start=now, end=ahead, process_type=process)) for process in ("A18", "A01")}
    load = client.query_load("DE_LU", start=start, end=end)["Actual Load"]
    mix = parts(client.query_generation("DE_LU", start=start, end=end))
    return {"mix": mix, "load": rows(load), "driven": driven}
print(json.dumps([told(url) for url in settings["urls"]]))
"""


@pytest.fixture(autouse=True)
def clients(require_engine: Callable[[str], None]) -> None:
    require_engine("clients")


def ours(server: EntsoeServer, asked: Asked, start: datetime, end: datetime) -> Told:
    query = {"securityToken": server.token, **parameters(asked, GERMANY, start, end)}
    found = document(transport("ENTSO-E").get(f"{server.url}/api", params=query).body, "the reply")
    return by_part(found)


def by_part(found: Document) -> Told:
    read: Told = {}
    for track in found.tracks:
        name = track.part + (" taken" if track.taken else "")
        values = [(instant(p.start_ms).timestamp(), p.value) for p in track.points if p.value is not None]
        read[name] = sorted([*read.get(name, []), *values])
    return read


def as_told(rows: list[list[object]]) -> list[tuple[float, float]]:
    return sorted((datetime.fromisoformat(str(at)).timestamp(), float(str(value))) for at, value in rows)


def test_entsoe_py_reads_the_same_whether_repeats_are_left_out_or_not(tmp_path: Path) -> None:
    with EntsoeServer() as repeating, EntsoeServer() as plain:
        plain.repeating = False
        for server in (repeating, plain):
            server.gaps = {("B04", START + 5 * HOUR), ("B19", START + 7 * HOUR), ("B10", NOW - 10 * HOUR)}
        times = {"start": START, "end": END, "now": NOW, "ahead": AHEAD}
        theirs = told(
            CLIENT,
            tmp_path,
            urls=[f"{server.url}/api" for server in (repeating, plain)],
            token=repeating.token,
            **{name: at.isoformat() for name, at in times.items()},
        )
        for server, read in zip((repeating, plain), theirs, strict=True):
            check(server, read)


def check(server: EntsoeServer, theirs: dict[str, Any]) -> None:
    mix = ours(server, GENERATION, START, END)
    assert {part: as_told(rows) for part, rows in theirs["mix"].items()} == mix
    assert len(mix["B04"]) == len(mix["B02"]) - 1
    assert mix["B10 taken"]
    for asked in (each for each in DRIVEN_AHEAD if each.process != "A40"):
        read = {part: as_told(rows) for part, rows in theirs["driven"][asked.process].items()}
        assert read == ours(server, asked, NOW, AHEAD)
    feed = Entsoe({"base_url": f"{server.url}/api"}, {"key": Secret(server.token)}, transport("ENTSO-E"))
    observed = feed.fetch_observations("DE", START, END, NOW).observed
    (load,) = [each.steps for each in observed if each.quantity == "mw demand"]
    starts = [instant(at).timestamp() for at in load.start_ms.tolist()]
    assert as_told(theirs["load"]) == list(zip(starts, load.gco2_per_kwh.tolist(), strict=True))
