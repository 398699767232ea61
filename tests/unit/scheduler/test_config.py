"""Settings, where they come from, and what is said about wrong ones."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidewatt.backends.host import Gpu, Host
from tidewatt.scheduler.config import described, grid, load, policy_of, regions
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.plan import Window
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.region import Pool
from tidewatt.scheduler.settings import Settings

GRID = """\
zone,start,step_s,gco2_per_kwh,signal,basis,boundary
DE,2026-01-01T00:00Z,3600,400,average,lifecycle,production
"""


def place(folder: Path) -> Paths:
    return Paths(folder, folder)


def host(gpus: int = 2, cpus: int = 8) -> Host:
    found = tuple(Gpu(f"GPU-{n}", "A100" if n < 2 else "H100", n, 400) for n in range(gpus))
    return Host(found, cpus, 64000, "cpu", 100.0, "assumed", "" if gpus else "no NVIDIA driver")


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def settings(folder: Path, text: str) -> Settings:
    return load(written(folder, text), {}, {}).settings


def test_each_value_says_where_it_came_from(tmp_path: Path) -> None:
    path = written(tmp_path, 'signal = "marginal"\n\nmargin = "4m"\nmin_wait = "0m"\n')
    loaded = load(path, {"TIDEWATT_MARGIN": "5m", "TIDEWATT_TICK_S": "2"}, {"tick_s": 3.0, "grace_s": None})
    assert (loaded.settings.margin, loaded.settings.tick_s) == (timedelta(minutes=5), 3.0)
    assert loaded.settings.min_wait == timedelta()
    assert loaded.origins["signal"] == f"{path}:1"
    assert loaded.origins["margin"] == "TIDEWATT_MARGIN"
    assert loaded.origins["tick_s"] == "--tick-s"
    assert loaded.origins["grace_s"] == "default"


def test_user_file_is_read_where_none_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "tidewatt"
    folder.mkdir()
    path = written(folder, 'zone = "deu"\n')
    loaded = load(None, {"XDG_CONFIG_HOME": str(tmp_path)}, {})
    assert (loaded.path, loaded.settings.zone) == (path, "DE")


def test_without_any_file_the_defaults_stand(tmp_path: Path) -> None:
    loaded = load(None, {"XDG_CONFIG_HOME": str(tmp_path)}, {})
    assert (loaded.path, loaded.settings) == (None, Settings())
    assert set(loaded.origins.values()) == {"default"}


def test_variable_may_hold_a_list_or_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "tdp_w = 65\n")
    loaded = load(path, {"TIDEWATT_ENV_DENY": "AWS_*, *_TOKEN", "TIDEWATT_TDP_W": ""}, {})
    assert loaded.settings.env_deny == ("AWS_*", "*_TOKEN")
    assert loaded.settings.tdp_w is None


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ('zon = "DE"', 1, "unknown key zon: did you mean zone?"),
        ('\nmin_saving = "much"', 2, "min_saving must be a number, it is 'much'"),
        ("min_saving = 1.5", 1, "min_saving must be less than 1"),
        ("margin = 5", 1, "margin: needs a unit: write 5m or 5h"),
        ('margin = "soon"', 1, "margin: .*not a duration"),
        ('default_duration = "0s"', 1, "default_duration must be more than 0 seconds"),
        ('signal = "neither"', 1, "signal must be 'average', 'marginal' or 'both', it is 'neither'"),
        ("min_chance = 1", 1, "min_chance must be less than 1"),
        ("g_per_hour = -1", 1, "g_per_hour must be at least 0"),
        ("[link]\ngbit_per_s = 0", 2, "link.gbit_per_s must be more than 0"),
        ("[link]\nkwh_per_gib = 1", 2, "unknown key link.kwh_per_gib: did you mean kwh_per_gb?"),
        ("[shares]\nada = 0", 2, "shares.ada must be more than 0"),
        ('[[region]]\nname = "a"\npools = [{ kind = "a100", gpu = 1 }]', 3, "did you mean gpus?"),
        ('[[region]]\nname = "a"\npools = [{ kind = "a" }, { kind = "A" }]', 1, "two pools of kind 'a'"),
        (
            '[[region]]\nname = "a"\nclosed = [{ start = 2026-12-01T06:00:00, end = 2026-12-02T06:00:00Z }]',
            3,
            "region.1..closed.1..start: 2026-12-01T06:00:00 has no time zone: add Z",
        ),
        (
            '[[region]]\nname = "a"\nclosed = [{ start = 2026-12-02T06:00:00Z, end = 2026-12-01T06:00:00Z }]',
            3,
            "region.1..closed.1.: is closed until .* not after its start",
        ),
        ('zone = "Atlantis"', 1, "zone: .*tidewatt zones"),
        ("zone = 3", 1, "zone must be text in quotes, it is 3"),
        ("region = 3", 1, "region must be a list"),
        ('[[region]]\nname = "a"\npue = 0.5', 3, r"region\[1\].pue must be at least 1"),
        ('[[region]]\nname = "a"\nmem = "lots"', 3, r"region\[1\].mem: .*16G"),
        ('[[region]]\nname = "a"\ngpus = true', 3, r"region\[1\].gpus: must be how many GPUs"),
        (
            '[[region]]\nname = "a"\nbackend = "mainframe"',
            3,
            r"region\[1\].backend: there is no backend 'mainframe'",
        ),
        ('[[region]]\nname = "a b"', 2, r"region\[1\].name must be letters"),
        ("[[region]]\ncpus = 1", 1, r"region\[1\].name is missing"),
        ('[[region]]\nname = "a"\n[region.zones]\naverag = "DE"', 4, "did you mean average?"),
        ('[[region]]\nname = "a"\n[[region]]\nname = "b"\ngpu = 1', 5, "unknown key region.2..gpu"),
        ('[[source]]\ntype = "file"', 1, "a source of type file needs a path"),
        ('[[source]]\npath = "x"\nurl = "y"', 1, "a source of type file has no key 'url'"),
    ],
)
def test_mistake_is_told_with_file_line_and_key(tmp_path: Path, text: str, line: int, sentence: str) -> None:
    with pytest.raises(BadInput, match=rf"config\.toml:{line}: .*{sentence}"):
        settings(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            '[[region]]\nname="a"\nhome=true\ncpus=1\n[[region]]\nname="b"\nhome=true\ncpus=1',
            "a and b both have home",
        ),
        ('[[region]]\nname="a"\ncpus=1\n[[region]]\nname="a"\ncpus=1', "'a' is defined twice"),
        ('[[region]]\nname="a"\n[[region]]\nname="b"\ncpus=1', "'a' does not say how many cores"),
        ("zone = DE", "is not TOML: .*line 1"),
    ],
)
def test_tables_that_contradict_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        settings(tmp_path, text)


def test_wrong_variable_or_flag_is_told_by_its_own_name(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    with pytest.raises(BadInput, match=r"^TIDEWATT_TICK_S: tick_s must be a number"):
        load(None, environ | {"TIDEWATT_TICK_S": "often"}, {})
    with pytest.raises(BadInput, match=r"^--zone: zone: "):
        load(None, environ, {"zone": "Atlantis"})


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.toml does not exist"):
        load(tmp_path / "nowhere.toml", {}, {})


def test_source_lies_beside_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "grid.csv").write_text(GRID)
    found = settings(tmp_path, '[[source]]\npath = "grid.csv"\n')
    assert found.sources[0].path == tmp_path / "grid.csv"
    assert len(grid(found, place(tmp_path)).chain.providers) == 1


def test_credentials_that_others_can_read_are_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text('[watttime]\nuser = "ada"\npassword = "hunter2"\n')
    (tmp_path / "keys.toml").chmod(0o644)
    found = settings(tmp_path, 'credentials = "keys.toml"\n[[source]]\ntype = "watttime"\n')
    with pytest.raises(BadInput, match=r"chmod 600 .*keys\.toml") as refused:
        grid(found, place(tmp_path))
    assert "hunter2" not in str(refused.value)


def test_missing_credentials_file_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"keys\.toml does not exist"):
        grid(settings(tmp_path, 'credentials = "keys.toml"\n'), place(tmp_path))


def test_missing_source_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone\.csv"):
        grid(settings(tmp_path, '[[source]]\npath = "gone.csv"\n'), place(tmp_path))


def test_host_without_configuration_is_one_region_with_all_it_has() -> None:
    (local,) = regions(Settings(zone="DE"), host(gpus=3))
    assert (local.name, local.home, local.cpus, local.pue, local.pue_source) == (
        "local",
        True,
        8,
        1.0,
        "assumed",
    )
    assert [(pool.name, pool.gpus) for pool in local.pools] == [("A100", 2), ("H100", 1)]
    assert local.gpu_uuids == ("GPU-0", "GPU-1", "GPU-2")
    assert local.zones == {"average": "DE", "marginal": "DE"}


def test_without_a_zone_none_is_guessed() -> None:
    (local,) = regions(Settings(), host())
    assert local.zones == {}


def test_named_gpus_are_taken_before_counted_ones(tmp_path: Path) -> None:
    text = '[[region]]\nname="a"\ncpus=4\ngpus=1\n[[region]]\nname="b"\ncpus=4\ngpus=["GPU-0"]\npue=1.2\n'
    one, other = regions(settings(tmp_path, text), host())
    assert (one.gpu_uuids, other.gpu_uuids) == (("GPU-1",), ("GPU-0",))
    assert (one.home, other.home) == (True, False)
    assert (one.pue_source, other.pue_source) == ("assumed", "stated")


@pytest.mark.parametrize(
    ("gpus", "sentence"),
    [("3", "is given 3 GPUs, but this host has 2"), ('["GPU-9"]', "names the GPU GPU-9")],
)
def test_gpu_that_is_not_there_is_refused(tmp_path: Path, gpus: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        regions(settings(tmp_path, f'[[region]]\nname="a"\ngpus={gpus}\n'), host())


def test_signals_may_come_from_different_zones(tmp_path: Path) -> None:
    text = '[[region]]\nname="a"\nzones={average="US-CAL-CISO", marginal="WT:SGIP_CAISO_PGE"}\n'
    (found,) = regions(settings(tmp_path, text), host())
    assert found.zones == {"average": "US-CAL-CISO", "marginal": "WT:SGIP_CAISO_PGE"}


FARM = """
[[region]]
name = "farm"
zone = "DE"
pue = 1.2
power_limit_kw = 40
price_per_kwh = 0.12
signal = "marginal"
closed = [{ start = 2026-12-01T06:00:00Z, end = 2026-12-01T12:00:00Z }]
pools = [
    { kind = "a100", gpus = 64, node_gpus = 8 },
    { kind = "h100", gpus = 16, node_gpus = 8, speed = 2, power = 1.4 },
]
"""


def test_region_elsewhere_is_taken_as_it_is_described(tmp_path: Path) -> None:
    (farm,) = described(settings(tmp_path, FARM))
    assert farm.pools == (Pool("a100", 64, 8), Pool("h100", 16, 8, speed=2.0, power=1.4))
    assert (farm.power_limit_kw, farm.price_per_kwh, farm.signal) == (40.0, 0.12, "marginal")
    assert farm.closed == (
        Window(datetime(2026, 12, 1, 6, tzinfo=UTC), datetime(2026, 12, 1, 12, tzinfo=UTC)),
    )
    assert (farm.home, farm.cpus) == (True, 0)


def test_region_of_one_kind_may_just_count_its_gpus(tmp_path: Path) -> None:
    text = '[[region]]\nname="a"\ngpus=4\ncpus=8\n[[region]]\nname="b"\ncpus=16\n'
    one, other = described(settings(tmp_path, text))
    assert (one.pools, other.pools, other.cpus) == ((Pool("GPU", 4),), (), 16)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no region is described"),
        ('[[region]]\nname="a"\n', "neither how many GPUs nor how many cores"),
        ('[[region]]\nname="a"\ngpus=["GPU-0"]', "lists GPUs by their UUIDs"),
        ('[[region]]\nname="a"\ngpus=4\npools=[{kind="a100", gpus=4}]', "counts its GPUs twice"),
        (
            '[[region]]\nname="a"\npools=[{kind="a100", gpus=4}, {kind="h100"}]',
            "pool 'h100' of the region 'a' does not say",
        ),
        (
            '[[region]]\nname="a"\npools=[{kind="a100", gpus=12, node_gpus=8}]',
            "do not divide into nodes of 8",
        ),
    ],
)
def test_region_elsewhere_that_lacks_something_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        described(settings(tmp_path, text))


def test_pool_of_this_host_has_the_ratios_of_its_kind(tmp_path: Path) -> None:
    text = '[[region]]\nname="a"\npools=[{ kind = "h100", speed = 2.0, power = 1.4 }]\n'
    (found,) = regions(settings(tmp_path, text), host(gpus=3))
    assert found.pools == (Pool("A100", 2), Pool("H100", 1, speed=2.0, power=1.4))


def test_regions_of_one_host_divide_its_cores_by_hand(tmp_path: Path) -> None:
    text = '[[region]]\nname="a"\ngpus=1\n[[region]]\nname="b"\ngpus=1\ncpus=1'
    with pytest.raises(BadInput, match="'a' does not say how many cores"):
        regions(settings(tmp_path, text), host())


def test_gpus_of_this_host_are_not_counted_by_hand(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="counts GPUs in its pools, but it is on this host"):
        regions(settings(tmp_path, FARM), host())


def test_policy_is_what_the_operator_wrote(tmp_path: Path) -> None:
    text = """
signal = "both"
min_chance = 0.8
max_postponed = 3
g_per_price = 900
g_per_hour = 5
[link]
gbit_per_s = 10
price_per_gb = 0.02
"""
    found = policy_of(settings(tmp_path, text))
    assert (found.signal, found.min_chance, found.max_postponed) == ("both", 0.8, 3)
    assert (found.g_per_price, found.g_per_hour) == (900.0, 5.0)
    assert (found.link.gbit_per_s, found.link.price_per_gb) == (10.0, 0.02)
    assert (found.link.low, found.link.kwh_per_gb, found.link.high) == (0.001, 0.06, 0.06)
    assert "Aslan" in found.link.source


def test_link_of_the_operators_own_figure_has_no_published_range(tmp_path: Path) -> None:
    link = policy_of(settings(tmp_path, "[link]\nkwh_per_gb = 0.004\n")).link
    assert (link.low, link.kwh_per_gb, link.high, link.source) == (0.004, 0.004, 0.004, "stated")


def test_defaults_of_settings_and_policy_are_the_same() -> None:
    found, plain = policy_of(Settings()), Policy()
    assert (found.min_saving, found.min_wait, found.margin) == (
        plain.min_saving,
        plain.min_wait,
        plain.margin,
    )
    assert (found.min_chance, found.max_postponed) == (plain.min_chance, plain.max_postponed)
