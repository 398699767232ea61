"""`forecast`, `zones`, `config` and `doctor`: what works without a daemon."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.scheduler.cli.fake_daemon import FakeDaemon
from tidewatt.scheduler import cli
from tidewatt.scheduler.cli import offline

Tidewatt = Callable[..., Any]


def test_forecast_draws_what_is_known_and_says_from_where(tidewatt: Tidewatt) -> None:
    said = tidewatt("forecast", "DE", "--now", "2026-11-22T00:00Z", "--hours", "48")
    lines = said.out.splitlines()
    assert lines[0] == "DE Germany: average lifecycle CO2eq, production, g/kWh, shaded from p10 to p90"
    assert all(any(shade in line for line in lines) for shade in "█▓░")
    assert all(len(line) <= 100 for line in lines[:11])
    assert "least" in said.out
    assert "built-in profile of DE" in said.out
    view = tidewatt("forecast", "DE", "--json").json
    assert {"steps", "segments", "kind", "note"} <= set(view)


def test_forecast_of_a_file_marks_its_seams(tidewatt: Tidewatt, tmp_path: Path) -> None:
    lines = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary,issued_at"]
    lines += [
        f"DE,2026-11-22T{hour:02}:00:00Z,3600,{300 + hour},average,lifecycle,production,2026-11-21T22:00:00Z"
        for hour in range(12)
    ]
    (tmp_path / "de.csv").write_text("\n".join(lines) + "\n")
    out = tidewatt("forecast", "DE", "--grid", "de.csv", "--now", "2026-11-22T00:00Z", "--hours", "24").out
    assert "┴" in out
    assert "until today 13:00 CET: file de.csv (live, issued 2 h ago)" in out
    assert "now 300 g/kWh; least" in out


def test_a_dead_network_keeps_nobody_waiting_longer_for_more_zones(
    tidewatt: Tidewatt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline, "ASKED_WITHIN_S", 0.7)
    zones = ("DE", "FR", "ES", "GB", "PL", "NL")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = f"""
            [[source]]
            type = "http"
            name = "in-house"
            zones = {list(zones)}
            basis = "lifecycle"
            boundary = "production"
            [source.forecast]
            url = "http://127.0.0.1:{silent.getsockname()[1]}/{{zone}}"
            time = "t[*]"
            value = "v[*]"
            unit = "g/kWh"
            step_s = 3600
            """
        regions = "".join(f'[[region]]\nname = "{zone}"\nzone = "{zone}"\ncpus = 1\n' for zone in zones)
        (tmp_path / "grid.toml").write_text(source + regions)
        began = time.monotonic()
        out = tidewatt("forecast", "DE", "--config", "grid.toml").out
    assert "built-in profile of DE" in out
    assert time.monotonic() - began < 6 * 0.7


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "no zone is configured"),
        (("Atlantis",), "Atlantis"),
        (("DE", "--hours", "0"), "0 h"),
        (("DE", "--now", "x"), "--now"),
    ],
)
def test_forecast_that_cannot_be_shown_is_one_sentence(
    tidewatt: Tidewatt, arguments: tuple[str, ...], word: str
) -> None:
    said = tidewatt("forecast", *arguments)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert word in said.err


def test_zones_are_found_by_the_nearest_centre_with_its_distance(tidewatt: Tidewatt) -> None:
    lines = tidewatt("zones", "--near", "52.5,13.4").out.splitlines()
    assert lines[1].startswith("DE ")
    assert lines[1].endswith("km away")
    assert len(lines) == 4
    south = tidewatt("zones", "--near", "-33.87,151.2", "--json").json["zones"]
    assert south[0]["key"] == "AU-NSW"
    assert south[0]["distance_km"] < south[1]["distance_km"]


@pytest.mark.parametrize("place", ["52.5", "nan,1", "91,0", "a,b", "1,2,3"])
def test_a_place_that_is_none_is_refused(tidewatt: Tidewatt, place: str) -> None:
    said = tidewatt("zones", "--near", place)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "--near" in said.err


def test_zones_are_found_by_place_and_cloud_region(tidewatt: Tidewatt) -> None:
    assert tidewatt("zones", "germany").out.splitlines()[1].startswith("DE ")
    assert "eu-west-1" in tidewatt("zones", "eu-west-1").out
    assert tidewatt("zones", "germany", "--json").json["zones"][0]["key"] == "DE"
    nothing = tidewatt("zones", "Atlantis")
    assert (nothing.code, nothing.out) == (1, "")


def test_config_shows_values_with_their_origin(
    tidewatt: Tidewatt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.toml").write_text('zone = "DE"\n[[region]]\nname = "here"\n')
    monkeypatch.setenv("TIDEWATT_MARGIN", "4m")
    rows = [line.split() for line in tidewatt("config", "--config", "own.toml").out.splitlines()]
    assert ["zone", "DE", "own.toml:1"] in rows
    assert ["margin", "4m", "TIDEWATT_MARGIN"] in rows
    assert ["region", "here", "own.toml:2"] in rows
    assert ["shares", "none", "default"] in rows
    assert tidewatt("config", "--json").json["margin"] == {"value": "4m", "from": "TIDEWATT_MARGIN"}


def test_config_check_reads_the_sources_too(tidewatt: Tidewatt, tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text('zone = "DE"\n')
    (tmp_path / "bad.toml").write_text('[[source]]\npath = "gone.csv"\n')
    assert tidewatt("config", "--check", "good.toml").out == "good.toml: good\n"
    said = tidewatt("config", "--check", "bad.toml")
    assert (said.code, "gone.csv" in said.err) == (2, True)


def test_doctor_tries_everything_and_says_what_to_do(tidewatt: Tidewatt, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('zone = "DE"\n')
    said = tidewatt("doctor", "--config", "own.toml", "--json")
    verdicts = {finding["subject"]: finding["verdict"] for finding in said.json["findings"]}
    assert verdicts["backend local"] == "ok"
    assert verdicts["state"] == "ok"
    assert verdicts["outlook DE"] == "ok"
    assert any(subject.startswith("meter") for subject in verdicts)
    assert said.code == 0


def test_doctor_fails_where_a_source_is_broken(tidewatt: Tidewatt, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('zone = "DE"\n[[source]]\npath = "gone.csv"\n')
    said = tidewatt("doctor", "--config", "own.toml")
    assert said.code == 1
    assert "fail  source 1 (file)" in said.out


@pytest.fixture
def daemon_with(fake_daemon: FakeDaemon) -> Iterator[Callable[..., None]]:
    """Makes the daemon one that was started with these flags: a process that has them on its command line."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*flags: str) -> None:
        started.append(subprocess.Popen([sys.executable, "-c", "input()", *flags], stdin=subprocess.PIPE))
        fake_daemon.status = fake_daemon.status.model_copy(update={"pid": started[-1].pid})

    yield start
    for each in started:
        each.communicate(b"\n")


def test_doctor_checks_what_the_running_daemon_runs_with(
    tidewatt: Tidewatt, tmp_path: Path, daemon_with: Callable[..., None]
) -> None:
    (tmp_path / "site.toml").write_text('[[region]]\nname = "north"\nzone = "SE"\n')
    (tmp_path / "other.toml").write_text('zone = "DE"\n')
    daemon_with("--config", str(tmp_path / "site.toml"))
    said = tidewatt("doctor").out
    assert f"ok    configuration: {tmp_path}/site.toml (the running daemon's); regions north" in said
    assert "outlook SE" in said
    said = tidewatt("doctor", "--config", "other.toml").out
    assert f"warn  configuration: other.toml; regions local; but the daemon runs with {tmp_path}/site" in said
    assert "leave out --config" in said


def test_doctor_knows_the_zone_that_the_daemon_was_started_with(
    tidewatt: Tidewatt, daemon_with: Callable[..., None]
) -> None:
    daemon_with("--zone", "FR")
    said = tidewatt("doctor").out
    assert "configuration: defaults with --zone FR (the running daemon's)" in said
    assert "none is configured" not in said


@pytest.mark.parametrize(
    ("told", "finding"),
    [
        ("12.5 W", "ok    node meter (node meter): measured, 12.5 W now"),
        ("no meter", "warn  node meter (node meter): answers 'no meter', in which the pattern is not found"),
    ],
)
def test_doctor_asks_the_node_meter(tidewatt: Tidewatt, tmp_path: Path, told: str, finding: str) -> None:
    (tmp_path / "own.toml").write_text(
        f'zone = "DE"\n[node]\ncommand = ["echo", "{told}"]\npattern = "([0-9.]+) W"\n'
    )
    assert finding in tidewatt("doctor", "--config", "own.toml").out


def test_unexpected_error_is_one_sentence_and_a_log(
    tidewatt: Tidewatt, monkeypatch: pytest.MonkeyPatch, own_home: Path
) -> None:
    def broken(_text: str) -> None:
        raise RuntimeError("the table is bent")

    monkeypatch.setattr("tidewatt.forecasting.zones.find", broken)
    said = tidewatt("zones", "x")
    log = own_home / "home" / "log" / "cli.log"
    assert said.code == 1
    assert "RuntimeError: the table is bent" in said.err
    assert str(log) in said.err
    assert "Traceback" not in said.err
    assert "Traceback" in log.read_text()


def test_other_systems_are_told_that_this_is_for_linux(
    tidewatt: Tidewatt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.sys, "platform", "win32")  # type: ignore[attr-defined]
    said = tidewatt("zones")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "Linux only" in said.err


@pytest.mark.parametrize(
    ("arguments", "word"), [(("sumbit",), "submit"), (("--nope",), "--nope"), (("queue", "--nope"), "--nope")]
)
def test_wrong_usage_is_one_sentence(tidewatt: Tidewatt, arguments: tuple[str, ...], word: str) -> None:
    said = tidewatt(*arguments)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert word in said.err


def test_help_lists_every_command_in_full(tidewatt: Tidewatt) -> None:
    said = tidewatt("--help")
    assert said.code == 0
    assert "..." not in said.out.partition("Commands:")[2]
    assert "tidewatt 0." in tidewatt("--version").out


def test_reader_that_leaves_is_no_error() -> None:
    script = f"{sys.executable} -c 'from tidewatt.scheduler.cli import main; main()' zones united | head -1"
    line = ["bash", "-c", f"set -o pipefail; {script}"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("ZONE")
    assert (done.stderr, done.returncode in (0, 141)) == ("", True)


@pytest.mark.parametrize("command", ["--help", "status", "queue"])
def test_quick_commands_import_nothing_heavy(command: str) -> None:
    script = (
        "import sys\nfrom tidewatt.scheduler.cli import main\ntry:\n    main([sys.argv[1]])\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'pandas', 'sklearn', 'sqlalchemy', 'numpy', 'rich', 'requests', 'fastapi'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script, command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
