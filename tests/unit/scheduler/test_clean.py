"""Waiting for clean electricity in a script or a program: without a daemon, a credential or a network."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidewatt.scheduler import clean
from tidewatt.scheduler.clean import sleep_through, when_clean
from tidewatt.scheduler.clean_start import Finder, Timing, wish_of
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.plan import Plan

EVENING = datetime(2026, 11, 22, 17, 0, tzinfo=UTC)
SECRET = "hunter2-of-watttime"


class Passing:
    """A clock that sleeping moves on; `skip` is what the machine sleeps through at the first nap."""

    def __init__(self, skip: timedelta = timedelta()) -> None:
        self.now = EVENING
        self.naps = 0
        self._skip = skip

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps += 1
        self.now += timedelta(seconds=seconds) + self._skip
        self._skip = timedelta()


@pytest.fixture
def finder(own_home: Path) -> Iterator[Finder]:
    made = Finder.of("DE", None)
    yield made
    made.known.archive.close()


def _waited(finder: Finder, timing: Timing, clock: Passing, said: list[str]) -> Plan:
    return sleep_through(
        finder,
        lambda plan: finder.find(timing, clock(), plan),
        said.append,
        clock=clock,
        sleep=clock.sleep,
    )


def test_it_sleeps_until_the_cleanest_start_and_says_what_that_was_found_by(finder: Finder) -> None:
    clock, said = Passing(), list[str]()
    plan = _waited(finder, wish_of("12h", "1h", EVENING), clock, said)
    assert plan.window.start <= clock.now < plan.window.start + timedelta(seconds=1)
    assert plan.window.start > EVENING + timedelta(hours=1)
    assert plan.window.end <= EVENING + timedelta(hours=12)
    assert plan.mean_gco2_per_kwh is not None
    assert plan.immediate_gco2_per_kwh is not None
    assert plan.mean_gco2_per_kwh < plan.immediate_gco2_per_kwh
    assert any("built-in profile of DE" in line for line in said)


def test_a_plan_whose_start_has_come_while_the_machine_slept_starts_at_once(finder: Finder) -> None:
    clock = Passing(skip=timedelta(days=2))
    plan = _waited(finder, wish_of("12h", "1h", EVENING), clock, [])
    assert clock.now - EVENING < timedelta(days=2, minutes=1)
    assert plan.window.start <= clock.now


def test_what_cannot_be_in_time_is_said_before_anything_is_waited_for(finder: Finder) -> None:
    with pytest.raises(Refused, match="give a later --finish-by"):
        finder.find(wish_of("30m", "1h", EVENING), EVENING)
    with pytest.raises(BadInput, match="has passed"):
        wish_of("2020-01-01T00:00Z", "1h", EVENING)


def test_a_zone_is_never_guessed(own_home: Path) -> None:
    with pytest.raises(BadInput, match="none is ever guessed"):
        Finder.of(None, None)


def test_the_configured_home_is_taken_where_no_zone_is_named(own_home: Path) -> None:
    _configured('[[region]]\nname = "far"\ncpus = 4\nzone = "FR"\n'
                '[[region]]\nname = "near"\ncpus = 4\nhome = true\nzone = "PL"\n')  # fmt: skip
    for named, zones in ((None, ("PL",)), ("DE", ("DE",))):
        finder = Finder.of(named, None)
        assert finder.zones == zones
        finder.known.archive.close()


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ('[[source]]\ntype = "electricitymaps"\n', "electricitymaps"),
        ('credentials = "nowhere.toml"\n[[source]]\ntype = "eia"\n', "nowhere.toml"),
        ('[[source]]\ntype = "file"\npath = "gone.csv"\n', "gone.csv"),
    ],
    ids=["no credential", "no credentials file", "no file"],
)
def test_a_source_that_cannot_be_used_keeps_nothing_from_starting(
    own_home: Path, config: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ELECTRICITYMAPS_API_KEY", raising=False)
    _configured(config)
    finder = Finder.of("DE", None)
    plan = finder.find(wish_of("12h", "1h", EVENING), EVENING)
    said = "\n".join((*finder.notes, *finder.lines(plan, EVENING)))
    finder.known.archive.close()
    assert told in said
    assert any("built-in profile" in source for source in plan.sources)


def test_a_dead_network_holds_nothing_up_for_long(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EIA_API_KEY", SECRET)
    _configured('[[source]]\ntype = "eia"\nurl = "http://127.0.0.1:9"\n')
    finder = Finder.of("US-CAL-CISO", None)
    plan = finder.find(wish_of("12h", "1h", EVENING), EVENING)
    said = "\n".join((*finder.notes, *finder.lines(plan, EVENING)))
    finder.known.archive.close()
    assert plan.window.end <= EVENING + timedelta(hours=12)
    assert SECRET not in said


def test_a_folder_that_cannot_be_written_keeps_nothing_from_starting(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = own_home / "file"
    blocked.write_text("")
    monkeypatch.setenv("TIDEWATT_HOME", str(blocked / "home"))
    _configured('[[source]]\ntype = "great_britain"\n')
    finder = Finder.of("GB", None)
    plan = finder.find(wish_of("12h", "1h", EVENING), EVENING)
    assert any("(profile)" in source for source in plan.sources)
    said = "\n".join((*finder.notes, *finder.lines(plan, EVENING)))
    assert "cannot be made" in said or "not yours" in said


def test_a_decorated_function_waits_and_then_runs_with_its_own_arguments(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    @when_clean(zone="DE", finish_by="61m", duration="1h", tell=said.append)
    def train(epochs: int, *, rate: float) -> tuple[int, float]:
        """Trains."""
        return epochs, rate

    assert train(3, rate=0.1) == (3, 0.1)
    assert train.__doc__ == "Trains."
    assert any("built-in profile of DE" in line for line in said)
    with pytest.raises(BadInput, match="no unit"):
        when_clean(zone="DE", finish_by="6h", duration="60")


def test_the_decorator_costs_next_to_nothing_to_import() -> None:
    heavy = "{'pandas', 'sklearn', 'sqlalchemy', 'pydantic', 'numpy', 'fastapi'}"
    code = f"import sys; import tidewatt.scheduler.clean; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _command(*args: str) -> subprocess.CompletedProcess[str]:
    command = str(Path(sys.executable).parent / "tidewatt")
    return subprocess.run([command, "wait-clean", *args], capture_output=True, text=True)


def test_the_command_exits_with_0_at_the_start_and_keeps_stdout_for_results(own_home: Path) -> None:
    done = _command("--zone", "DE", "--finish-by", "61m", "--duration", "1h", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sources"] == ["built-in profile of DE, 2019-2022 (profile)"]
    assert "built-in profile" in done.stderr


def test_the_command_becomes_what_stands_behind_the_dashes(own_home: Path) -> None:
    done = _command(
        "-q",
        "--zone",
        "DE",
        "--finish-by",
        "61m",
        "--duration",
        "1h",
        "--",
        "sh",
        "-c",
        "echo $0; exit 7",
        "x",
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "x\n", "")
    missing = _command("--zone", "DE", "--finish-by", "61m", "--duration", "1h", "--", "no-such-program")
    assert missing.returncode == 2
    assert "does not exist" in missing.stderr


def test_the_command_needs_a_deadline_and_a_length(own_home: Path) -> None:
    done = _command("--zone", "DE")
    assert done.returncode == 2
    assert "--finish-by 6h --duration 1h" in done.stderr


def _configured(text: str) -> None:
    from os import environ

    from tidewatt.scheduler.paths import user_config

    path = user_config(environ)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_the_real_clock_is_aware() -> None:
    assert clean.now().tzinfo is UTC
