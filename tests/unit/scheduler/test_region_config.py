"""Regions and rules in the configuration: what is understood, and what refused, with file and line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tidewatt.scheduler.config import Loaded, load, policy_of
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.region_tables import described, limits_of

Write = Callable[[str], Path]
A = '[[region]]\nname = "a"\ncpus = 1\n'  # three lines
RULE = '[[policy]]\nname = "x"\nbecause = "y"\nverdict = "prefer"\n'  # four
LINK = "[link]\ngbit_per_s = 10\nprice_per_gb = 0.02\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


def loaded(path: Path) -> Loaded:
    return load(path, {}, {})


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        (A + 'open = "always"', 4, "region[1].open: 'always' are no opening hours"),
        (A + "open = 3", 4, 'region[1].open: must be hours in quotes, such as "Mon-Fri 18:00-08:00"'),
        (A + 'open = "18:00-08:00"', 1, "region[1]: has open without time_zone: add it"),
        (A + 'open = "18:00-08:00"\ntime_zone = "Berlin"', 5, "'Berlin' is no time zone"),
        (A + 'zone = "DE"\ncloud_region = "aws:eu-west-1"', 1, "has both zone and cloud_region: keep one"),
        (A + 'cloud_region = "aws:moon-1"', 4, "unknown zone 'aws:moon-1'"),
        (A + "place = [95, 1]", 4, "is nowhere on Earth"),
        (A + 'place = "Atlantis"', 4, "the place 'Atlantis' is in no zone that is known by it"),
        (A + "place = [50.0, 8.3, 1]", 4, "must be [latitude, longitude], or the name of a place"),
        (A + "host_limits = { nic = 1 }", 4, "unknown key region[1].host_limits.nic: did you mean nice?"),
        (A + "host_limits = { nice = 99 }", 4, "region[1].host_limits.nice must be at most 19"),
        (A + 'queue_wait = "soon"', 4, "region[1].queue_wait: the value 'soon' is not a duration"),
        (A + 'data = ["x", ""]', 4, "region[1].data"),
        (A + "options = { x = 1 }", 4, "unknown key region[1].options.x"),
        (A + 'backend = "slurm"\n[region.options]\nclustr = "eu"', 6, "did you mean cluster?"),
        (A + 'backend = "slurm"\nhost_limits = { nice = 1 }', 1, "has host_limits, which its backend"),
        (A + '[[policy]]\nname = "x"\nverdict = "forbid"', 4, "policy[1].because is missing"),
        (A + RULE.replace("prefer", "deny"), 7, "must be 'allow', 'prefer' or 'forbid'"),
        (A + RULE + 'regions = ["b"]', 8, "there is no region 'b': there are a"),
        (A + RULE + RULE, 9, "the rule 'x' is there twice: rename one"),
        (A + RULE + 'user = "y"', 8, "unknown key policy[1].user: did you mean users?"),
        (A + '[project.vision]\nprio = 1', 5, "unknown key project.vision.prio: did you mean priority?"),
        (A + '[project."my own"]\nregions = ["b"]', 5, "there is no region 'b'"),
        (A + '[project.vision]\nslack = "soon"', 5, "the value 'soon' is not a duration"),
        (A + '[[transfer]]\nfrom = "a"\nto = "b"', 6, "there is no region 'b': there are a"),
        (A + '[[transfer]]\nfrom = "a"', 4, "transfer[1].to is missing"),
        (A + '[[region]]\nname = "a"\ncpus = 1', 5, "the region 'a' is defined twice"),
    ],
)  # fmt: skip
def test_mistake_is_told_with_file_line_and_key(write: Write, text: str, line: int, sentence: str) -> None:
    with pytest.raises(BadInput) as raised:
        loaded(write(text))
    assert str(raised.value).startswith(f"{write(text)}:{line}: ")
    assert sentence in str(raised.value)


@pytest.mark.parametrize(
    ("named", "zone", "told"),
    [
        ('cloud_region = "aws:eu-west-1"', "IE", "looked up by its cloud region"),
        ("place = [52.5, 13.4]", "DE", "the nearest centre to 52.5, 13.4: "),
        ('zone = "deu"', "DE", ""),
    ],
)
def test_zone_is_looked_up_and_how_is_said(write: Write, named: str, zone: str, told: str) -> None:
    settings = loaded(write(A + named)).settings
    assert described(settings)[0].zones == {"average": zone, "marginal": zone}
    assert settings.regions[0].zone_source.startswith(told)
    assert bool(settings.regions[0].zone_source) == bool(told)


def test_place_between_two_zones_is_not_guessed(write: Write) -> None:
    with pytest.raises(BadInput, match=r"may be in [A-Z-]+ .* or in [A-Z-]+ .*: say which with zone"):
        loaded(write(A + "place = [48.9, 8.0]"))  # on the Rhine


def test_rules_know_where_they_stand(write: Write) -> None:
    path = write(A + RULE + '[[transfer]]\nfrom = "a"\nto = "*"\nallowed = false\n[project.v]\npriority = 1')
    rules = loaded(path).rules
    assert [rule.place for rule in rules.rules] == [f"{path}:4"]
    assert [wall.place for wall in rules.barriers] == [f"{path}:8"]
    assert rules.places == {"v": f"{path}:12"}


def test_way_between_two_regions_differs_from_the_link(write: Write) -> None:
    text = (
        A
        + '[link]\ngbit_per_s = 10\nprice_per_gb = 0.02\n[[transfer]]\nfrom = "a"\nto = "*"\ngbit_per_s = 1\n'
    )
    link = policy_of(loaded(write(text)).settings).link
    assert (link.between("a", "b").gbit_per_s, link.between("a", "b").price_per_gb) == (1, 0.02)
    assert link.between("b", "a").gbit_per_s == 10
    assert link.between("a", "").gbit_per_s == 1  # to a region that is not named: the slowest


def test_limits_of_jobs_on_this_host(write: Write) -> None:
    settings = loaded(write(A + 'host_limits = { nice = 3, memory = "2G", log_mb = 5 }')).settings
    limits = limits_of(settings.regions[0])
    assert limits is not None
    assert (limits.nice, limits.memory_mb, limits.log_mb, limits.cores, limits.io_idle) == (
        3,
        2048,
        5,
        None,
        False,
    )
    assert limits_of(loaded(write(A)).settings.regions[0]) is None
