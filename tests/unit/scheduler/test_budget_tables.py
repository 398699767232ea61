"""Budgets, sites and hardware in the configuration: what is understood, and what refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tidewatt.backends.host import Host
from tidewatt.scheduler.cli import main
from tidewatt.scheduler.config import load, regions
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.settings import Settings

CONFIGS = Path(__file__).parents[3] / "configs"
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


def loaded(path: Path) -> Settings:
    return load(path, {}, {}).settings


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('project = "a"', ":1: budget[1]: a budget is in kg or in kwh: write one of them"),
        ('project = "a"\nkg = 1\nkwh = 1', "a budget is in kg or in kwh: write one of them"),
        ("kg = 1", "a budget is of a project or of a user: write one of them"),
        ('project = "a"\nuser = "b"\nkg = 1', "a budget is of a project or of a user: write one of them"),
        ('project = "a"\nkg = 0', "budget[1].kg must be more than 0"),
        ('project = "a"\nkwh = 1\ncredit = 0.1', "a budget in kwh has neither signal nor credit"),
        ('project = "a"\nkwh = 1\nsignal = "average"', "a budget in kwh has neither signal nor credit"),
        ('project = "a"\nkg = 1\ncredit = 2', "budget[1].credit must be at most 1"),
        ('project = "a"\nkg = 1\nwhen = "stop"', "budget[1].when must be 'warn', 'hold' or 'ask'"),
        ('project = "a"\nkg = 1\nper = "week"', "budget[1].per must be 'month'"),
        ('project = "a"\nkg = 1\nsignals = "average"', "unknown key budget[1].signals: did you mean signal?"),
        (
            'project = "a"\nkg = 1\n[[budget]]\nproject = "a"\nkg = 2',
            "the budget of project a is defined twice: keep one of them",
        ),
    ],
)
def test_wrong_budget_is_refused_in_one_sentence(write: Write, text: str, complaint: str) -> None:
    with pytest.raises(BadInput) as raised:
        loaded(write(f"[[budget]]\n{text}"))
    assert complaint in str(raised.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("embodied = { gpu_kg = 100 }", "figures of your own need a source"),
        ("embodied = { gpu_kgs = 100 }", "unknown key region[1].embodied.gpu_kgs: did you mean gpu_kg?"),
        ("embodied = { lifetime_years = 0 }", "lifetime_years must be more than 0"),
        ('pue_class = "measured"', "has pue_class = 'measured' without a pue"),
        ('pue = 1.2\npue_class = "guessed"', "pue_class must be 'survey', 'site' or 'measured'"),
    ],
)
def test_wrong_region_is_refused_in_one_sentence(write: Write, text: str, complaint: str) -> None:
    with pytest.raises(BadInput) as raised:
        loaded(write(f'[[region]]\nname = "a"\n{text}'))
    assert complaint in str(raised.value)


def test_one_project_may_have_a_budget_of_each_kind(write: Write) -> None:
    text = '[[budget]]\nproject = "a"\n'
    settings = loaded(write(f'{text}kg = 1\n{text}kg = 1\nsignal = "marginal"\n{text}kwh = 9'))
    assert [(each.kg, each.kwh, each.signal) for each in settings.budgets] == [
        (1, None, "average"),
        (1, None, "marginal"),
        (None, 9, "average"),
    ]


def test_example_says_where_the_pue_is_from_and_what_making_emitted() -> None:
    settings = loaded(CONFIGS / "reporting.toml")
    [region] = regions(settings, Host((), 8, 64_000, "cpu", 10.0, "assumed", ""))
    assert region.pue_source == "measured: building meter, 2025"
    [table] = settings.regions
    assert (table.site, table.cloud, table.embodied.server_kg) == ("Main Street 1", "", 1500)
    assert [(each.called, each.when) for each in settings.budgets] == [
        ("project vision", "warn"),
        ("project speech", "hold"),
        ("user guest", "ask"),
    ]


def test_configuration_shows_budgets_in_words_and_whole_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(CONFIGS / "reporting.toml")
    with pytest.raises(SystemExit):
        main(["config", "--config", path])
    told = "vision 20 kg a month (warn), speech 5 kg a month (hold), guest 10 kWh a month (ask)"
    assert told in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["config", "--config", path, "--json"])
    whole = json.loads(capsys.readouterr().out)
    assert whole["budget"]["value"][1] == {
        "project": "speech", "per": "month", "kg": 5.0, "signal": "average", "when": "hold", "credit": 0.1,
    }  # fmt: skip
