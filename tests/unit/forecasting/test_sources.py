"""Providers and feeds made of a configuration."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from tidewatt.forecasting import sources
from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.fake import FakeProvider
from tidewatt.forecasting.feeds.feed import Feed
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
        ({"type": "oracle"}, "unknown type of source 'oracle'; known are: .*file"),
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


def test_sources_stay_in_the_operators_order_and_feeds_answer_from_the_archive(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ROW)
    configs: list[dict[str, object]] = [
        {"type": "great_britain"},
        {"type": "file", "path": tmp_path / "a.csv"},
    ]
    with Archive(tmp_path / "grid.db") as archive:
        made = sources.sources(configs, no_secrets, archive)
        assert [provider.name for provider in made.providers] == ["GB Carbon Intensity", "file a.csv"]
        assert [feed.name for feed in made.feeds] == ["GB Carbon Intensity"]


def test_a_service_that_is_configured_twice_is_refused(tmp_path: Path) -> None:
    twice: list[dict[str, object]] = [{"type": "great_britain"}, {"type": "great_britain"}]
    with Archive(tmp_path / "grid.db") as archive, pytest.raises(ForecastError, match="configured twice"):
        sources.sources(twice, no_secrets, archive)


@pytest.mark.parametrize("kind", sorted({*sources.FEEDS} - {"http"}))  # which has no defaults
def test_every_service_is_made_without_credentials_and_refuses_unknown_options(kind: str) -> None:
    config: dict[str, object] = {"type": kind}
    made = sources.feed(config, no_secrets)
    assert made is not None
    with pytest.raises(ForecastError, match="no option 'colour'"):
        sources.feed(config | {"colour": "green"}, no_secrets)


@pytest.mark.parametrize("kind", sorted({*sources.FEEDS} - {"http"}))
@pytest.mark.parametrize(
    ("base_url", "message"),
    [
        ("http://api.example", "must begin with https:// and name a host, not 'http://api.example'"),
        ("https://", "must begin with https:// and name a host"),
        ("api.example/v2", "must begin with https:// and name a host"),
        ("https://api.example:port", "must begin with https:// and name a host"),
        ("https://me:pass-w0rd@api.example", "must hold no login"),
        ("http://me:pass-w0rd@api.example", "must hold no login"),
        ("https://api.example/v2?key=pass-w0rd", "must hold host and path alone"),
        ("https://api.example/v2#top", "must hold host and path alone"),
        ("https://api.example/\nv2", "holds characters that no address has"),
        (443, "must be a text, not 443"),
    ],
)
def test_wrong_address_of_a_service_is_refused_before_it_is_asked(
    kind: str, base_url: object, message: str
) -> None:
    with pytest.raises(ForecastError) as refused:
        sources.feed({"type": kind, "base_url": base_url}, no_secrets)
    assert f"base_url of the source {kind} {message}" in str(refused.value)
    assert "pass-w0rd" not in str(refused.value)


@pytest.mark.parametrize("kind", sorted({*sources.FEEDS} - {"http"}))
def test_name_is_an_option_of_own_signals_alone_and_never_that_of_a_service(kind: str) -> None:
    made = sources.feed({"type": kind}, no_secrets)
    assert made is not None
    with pytest.raises(ForecastError, match="no option 'name'"):
        sources.feed({"type": kind, "name": "mine"}, no_secrets)
    called = made.name.replace(" ", "-")
    for name in (kind, called, called.upper()):
        with pytest.raises(ForecastError, match=f"must not be called {name}, as a service is"):
            sources.feed({"type": "http", "name": name}, no_secrets)


def invented(config: Mapping[str, object]) -> Provider:
    return FakeProvider(name=str(config["label"]))


def no_secrets(feed: str, name: str) -> None:
    return None


def test_an_installed_package_can_add_a_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("invented", f"{__name__}:invented", sources.PROVIDER_POINTS)
    monkeypatch.setattr(EntryPoint, "load", lambda self: invented)
    monkeypatch.setattr(sources, "entry_points", lambda group: EntryPoints([point]).select(group=group))
    assert sources.feed({"type": "invented"}, no_secrets) is None
    assert sources.provider({"type": "invented", "label": "hello"}).name == "hello"


def test_an_installed_package_can_add_a_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("invented", f"{__name__}:invented_feed", sources.FEED_POINTS)
    monkeypatch.setattr(EntryPoint, "load", lambda self: invented_feed)
    monkeypatch.setattr(sources, "entry_points", lambda group: EntryPoints([point]).select(group=group))
    made = sources.feed({"type": "invented"}, no_secrets)
    assert made is not None
    assert made.name == "GB Carbon Intensity"


def invented_feed(config: Mapping[str, object], secrets: sources.Secrets) -> Feed:
    made = sources.feed({"type": "great_britain"}, secrets)
    assert made is not None
    return made
