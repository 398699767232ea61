"""Providers and chains made of a configuration."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from tidewatt.forecasting import sources
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.fake import FakeProvider
from tidewatt.forecasting.provider import Provider
from tidewatt.forecasting.recorded import FileProvider

ROW = (
    "zone,start,step_s,gco2_per_kwh,signal,basis,boundary\n"
    "DE,2026-03-01T06:00:00+00:00,3600,320,average,lifecycle,production\n"
)


def test_a_file_source_is_made_with_its_options(tmp_path: Path) -> None:
    (tmp_path / "grid.csv").write_text(ROW)
    made = sources.provider({"type": "file", "path": str(tmp_path / "grid.csv"), "hindsight": True})
    assert isinstance(made, FileProvider)
    assert made.hindsight


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"type": "oracle"}, "unknown type of source 'oracle'; known are: file"),
        ({}, "unknown type of source None"),
        ({"type": "file"}, "needs a path"),
        ({"type": "file", "path": "none.csv"}, r"none\.csv"),
        (
            {"type": "file", "path": "none.csv", "lenient": True, "hindsigt": True},
            "no option 'hindsigt'; known are",
        ),
        ({"type": "file", "path": "none.csv", "hindsight": "yes"}, "hindsight of a source is true or false"),
    ],
)
def test_wrong_sources_are_refused(config: Mapping[str, object], message: str) -> None:
    with pytest.raises(ForecastError, match=message):
        sources.provider(config)


def test_chain_asks_its_sources_in_order(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(ROW)
    configs = [{"type": "file", "path": tmp_path / name} for name in ("a.csv", "b.csv")]
    made = sources.chain(configs, hindsight=True)
    assert [asked.provider.name for asked in made.providers] == ["file a.csv", "file b.csv"]
    assert made.hindsight


def invented(config: Mapping[str, object]) -> Provider:
    return FakeProvider(name=str(config["label"]))


def test_an_installed_package_can_add_a_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("invented", f"{__name__}:invented", sources.ENTRY_POINTS)
    monkeypatch.setattr(EntryPoint, "load", lambda self: invented)
    monkeypatch.setattr(sources, "entry_points", lambda group: EntryPoints([point]).select(group=group))
    assert sources.provider({"type": "invented", "label": "hello"}).name == "hello"
