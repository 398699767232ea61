"""Services that fail while the real daemon runs: jobs are done in time, people are told, no key is shown.

Every job is submitted from an environment without credentials: what a job's own environment holds is its
submitter's business, and is kept in its folder until it has ended.
"""

import json
import os
import sqlite3
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from tests.grid.fault_scene import silent
from tests.grid.fault_table import BY_KEY
from tests.grid.faults import Case
from tests.grid.server import BadRequest, GridServer, Request, Response
from tests.grid.services import SERVICES

REGIONS = {"california": "US-CAL-CISO", "germany": "DE", "france": "FR", "britain": "GB"}
ORDER = ("watttime", "http", "entsoe", "great_britain", "eia", "electricitymaps", "open_meteo")
TOLD = {  # of each zone: whose trouble its users are told of
    "US-CAL-CISO": ("eia", "electricitymaps"),
    "DE": ("http", "electricitymaps"),
    "FR": ("entsoe",),
    "GB": ("great_britain",),
}
NEVER = {
    "watttime": "ahead",  # as if this machine's clock were a day late
    "http": "blank",
    "entsoe": "slow",
    "great_britain": "dead",
    "eia": "broken",
    "electricitymaps": "parrot",
    "open_meteo": "dropped",
}
AFTERWARDS = (
    {
        "watttime": "scope",
        "http": "unit",
        "entsoe": "key",
        "great_britain": "object",
        "eia": "parrot",
        "electricitymaps": "busy",
        "open_meteo": "dead",
    },
    {
        "watttime": "parrot",
        "http": "parrot",
        "entsoe": "parrot",
        "great_britain": "busier",
        "eia": "cut",
        "electricitymaps": "pages",
        "open_meteo": "bomb",
    },
)
HANGING_S = 90.0


class Street:
    """A house, its services, and everything that its commands have said."""

    def __init__(self, house: Any, servers: Mapping[str, GridServer], credentials: Mapping[str, str]) -> None:
        self.house, self.servers, self.credentials = house, servers, credentials
        self.said: list[str] = []

    def ask(self, *args: str, code: int = 0, key: bool = False, timeout_s: float = 60.0) -> str:
        """What a command prints; `key`: with the credentials in its environment."""
        environ = self.house.environ | (self.credentials if key else {})
        done = self.house.tidewatt(*args, env=environ, timeout_s=timeout_s)
        self.said.append(done.stdout + done.stderr)
        assert done.returncode == code, (args, done.stdout, done.stderr)
        assert "Traceback" not in done.stdout + done.stderr
        return str(done.stdout)

    def up(self, *, key: bool, addresses: Mapping[str, str] | None = None, file: str = "") -> None:
        """Starts the daemon with all sources; some at other addresses than their stand-in's."""
        config = _config(self.servers, addresses or {}, file)
        (self.house.folder / "config.toml").write_text(config, encoding="utf-8")
        self.ask("up", *self.house.flags, key=key)

    def runs_in_time(self) -> None:
        """Submits a job to each region, and sees it done before its deadline."""
        numbers = []
        for region in REGIONS:
            args = ("--region", region, "--finish-by", "2m", "--duration", "2s", "--", "env")
            numbers.append(json.loads(self.ask("submit", "--json", *args))["job"]["id"])
        for number in numbers:
            job = self.house.ended(number)
            assert (job["state"], job["at_risk"]) == ("done", ""), job
            assert moment(job["attempts"][-1]["ended"]) < moment(job["finish_by"])
        self.ask("wait", str(numbers[0]))
        self.ask("show", "--json", str(numbers[0]))

    def plans_in_time(self) -> None:
        """A job for tonight is planned in each region."""
        for region in REGIONS:
            args = ("--region", region, "--finish-by", "20h", "--duration", "4h")
            deadline = datetime.now(UTC) + timedelta(hours=20, minutes=1)
            assert moment(json.loads(self.ask("plan", "--json", *args))["plan"]["end"]) < deadline

    def note(self, zone: str) -> str:
        """What the daemon notes below the outlook of a zone."""
        return str(self.house.client().forecast(zone, "", 48)["note"])

    def rungs(self) -> dict[str, str]:
        """Which step of the chain each outlook begins with."""
        asked = {zone: self.house.client().forecast(zone, "", 48) for zone in REGIONS.values()}
        return {zone: str(told["segments"][0]["rung"]) for zone, told in asked.items()}


@pytest.fixture
def servers() -> Iterator[dict[str, GridServer]]:
    now = datetime.now(UTC).replace(microsecond=0)
    with ExitStack() as stack:
        yield {name: stack.enter_context(SERVICES[name].serve(now)) for name in ORDER}


@pytest.fixture
def credentials() -> dict[str, str]:
    return {key: value for name in ORDER for key, value in SERVICES[name].credentials.items()}


@pytest.fixture
def street(house: Any, servers: dict[str, GridServer], credentials: dict[str, str]) -> Street:
    house.environ = {key: value for key, value in os.environ.items() if key not in credentials}
    house.environ |= {"TZ": "UTC", "NO_COLOR": "1"}
    return Street(house, servers, credentials)


def test_services_that_never_answer_well_delay_no_job(street: Street) -> None:
    addresses = _befall(street, NEVER)
    street.up(key=True, addresses=addresses)
    with ThreadPoolExecutor() as beside:
        checked = beside.submit(_doctor, street)  # it waits for the service that hangs
        street.runs_in_time()
        street.plans_in_time()
        _check_doctor(checked.result(), NEVER)
    _check_told(street)
    assert not any(rung == "live" for rung in street.rungs().values())
    _search(street)


def test_services_that_fail_after_a_good_time_leave_their_last_forecasts(street: Street) -> None:
    file = _credentials_file(street)
    street.up(key=False, file=file)
    street.house.until(lambda: set(street.rungs().values()) <= {"live", "own"}, every_s=0.5)
    for faults in AFTERWARDS:
        street.ask("down")
        _let_hours_pass(street)
        street.up(key=False, file=file, addresses=_befall(street, faults))
        street.runs_in_time()
        _check_told(street)
        assert {street.rungs()[zone] for zone in ("DE", "FR", "GB")} == {"last good"}
        _check_doctor(_doctor(street), faults)
    _search(street)


def test_credentials_that_others_may_read_are_refused(street: Street) -> None:
    file = Path(_credentials_file(street))
    file.chmod(0o644)
    config = _config(street.servers, {}, str(file))
    (street.house.folder / "config.toml").write_text(config, encoding="utf-8")
    for command in ("up", "doctor"):
        street.ask(command, *street.house.flags, code={"up": 2, "doctor": 1}[command])
        assert "others may read it (mode 0644): chmod 600" in street.said[-1]
    _search(street)


def _let_hours_pass(street: Street) -> None:
    """What was fetched is older now, and more is due: a restart alone is no reason to ask again."""
    hours_ms = 5 * 3_600_000
    with closing(sqlite3.connect(street.house.home / "grid.db")) as archive, archive:
        archive.execute(
            "UPDATE issue SET issued_ms = issued_ms - ?, received_ms = received_ms - ?", (hours_ms,) * 2
        )
        archive.execute("UPDATE attempt SET next_ms = at_ms, good_ms = good_ms - ?", (hours_ms,))


def moment(text: str) -> datetime:
    """A time as commands print it."""
    return datetime.fromisoformat(text)


def _doctor(street: Street) -> str:
    return street.ask("doctor", *street.house.flags, key=True, timeout_s=HANGING_S)


def _befall(street: Street, faults: Mapping[str, str]) -> dict[str, str]:
    """Brings each service into its fault; returns the addresses of those that are not to be reached."""
    addresses = {}
    for name, fault in faults.items():
        server = street.servers[name]
        server.faults.clear()
        if fault == "dead":
            addresses[name] = silent()
        elif fault == "parrot":
            server.answer = _parrot  # type: ignore[method-assign]
        else:
            case = BY_KEY[fault].cases[name]
            assert isinstance(case, Case)
            case.bring(server)
    return addresses


def _parrot(request: Request) -> Response:
    """A service that repeats all that it was told, credentials too, as some pages of errors do."""
    raise BadRequest(Response(400, {"error": "not understood", "query": request.query, **request.headers}))


def _check_told(street: Street) -> None:
    """Every outlook names the services that ail it, and `status` names all of them."""
    for zone, names in TOLD.items():
        street.house.until(lambda zone=zone, names=names: _named(street.note(zone), names), every_s=0.2)
        told = street.ask("forecast", zone)
        assert _named(told[told.index("note: ") :], names)
    assert _named(street.ask("status"), [name for names in TOLD.values() for name in names])


def _named(text: str, names: Sequence[str]) -> bool:
    return all(_called(name) in text for name in names)


def _check_doctor(told: str, faults: Mapping[str, str]) -> None:
    lines = told.splitlines()
    for number, name in enumerate(ORDER, start=1):
        mine = [line for line in lines if f"source {number} ({name}):" in line]
        assert mine, told
        assert all(line.startswith("warn") for line in mine) or faults[name] == "ahead", mine


def _called(name: str) -> str:
    """How people are told of a service."""
    return {"http": "in-house", "great_britain": "GB Carbon Intensity"}.get(name, SERVICES[name].title)


def _search(street: Street) -> None:
    """No credential is anywhere: not in what was said, nor in any file below the state folder."""
    street.ask("config", *street.house.flags, key=True)
    files = [path for path in street.house.home.rglob("*") if path.is_file()]
    texts = {str(path): path.read_bytes() for path in files} | {"said": "\n".join(street.said).encode()}
    secrets = [*street.credentials.values(), *getattr(street.servers["watttime"], "_tokens", {})]
    assert _holding(texts, secrets) == []


def _holding(texts: Mapping[str, bytes], secrets: Sequence[str]) -> list[str]:
    """The texts in which a credential stands, in whatever shape."""
    shapes = [shape for secret in secrets for shape in _shapes(secret)]
    return [where for where, text in texts.items() if any(shape in text for shape in shapes)]


def _shapes(secret: str) -> set[bytes]:
    """A credential in plain, for a URL, and in base 64 wherever in a longer text it stands."""
    shapes = {each.encode() for each in (secret, quote(secret, safe=""), quote_plus(secret))}
    for before in range(3):
        told = b64encode(b"\0" * before + secret.encode())
        shapes.add(told[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6])
    return shapes


def test_search_finds_credentials_in_every_shape() -> None:
    texts = {
        "plain": b'{"reason": "no such user: freddo"}',
        "in an address": b"GET /v2?api_key=the%2Bkey%2F1 HTTP/1.1",
        "of a login": b"Authorization: Basic " + b64encode(b"somebody:the+key/1"),
        "in another place of it": b64encode(b"x the+key/1 and more"),
        "nowhere": b"Authorization: (hidden)",
    }
    assert _holding(texts, ["freddo", "the+key/1"]) == [where for where in texts if where != "nowhere"]


def _credentials_file(street: Street) -> str:
    """The same credentials in a file of the owner alone."""
    tables: dict[str, dict[str, str]] = {}
    names = {"WATTTIME_USER": ("watttime", "user"), "WATTTIME_PASSWORD": ("watttime", "password")}
    names |= {"ELECTRICITYMAPS_API_KEY": ("electricitymaps", "key"), "EIA_API_KEY": ("eia", "key")}
    names |= {"ENTSOE_API_KEY": ("entsoe", "key"), "IN_HOUSE_TOKEN": ("in-house", "token")}
    for variable, value in street.credentials.items():
        table, key = names[variable]
        tables.setdefault(table, {})[key] = value
    text = "".join(
        f"[{table}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in entries.items())
        for table, entries in tables.items()
    )
    path = Path(street.house.folder) / "credentials.toml"
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return str(path)


def _config(servers: Mapping[str, GridServer], addresses: Mapping[str, str], file: str) -> str:
    """All sources and one region for each zone."""
    lines = ["tick_s = 0.2", "own_models = false"]
    lines += [f"credentials = {json.dumps(file)}"] if file else []
    for name in ORDER:
        lines += ["[[source]]", *_toml(SERVICES[name].source(addresses.get(name, servers[name].url)))]
    for region, zone in REGIONS.items():
        lines += ["[[region]]", f'name = "{region}"', f'zone = "{zone}"', "cpus = 2"]
    return "\n".join(lines) + "\n"


def _toml(table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        yield f"{key} = {_inline(value)}"


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_inline(each)}" for key, each in value.items()) + "}"
    return json.dumps(value)
