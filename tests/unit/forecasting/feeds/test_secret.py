"""Credentials: found where official clients look, refused where others could read them, never shown."""

import copy
import json
import os
import pickle
from base64 import b64encode
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.secret import NAMES, Secret, credential, scrub, variables

KEY = "s3cr et/&key+"


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "credentials.toml"
    file.write_text(text)
    file.chmod(mode)
    return file


@pytest.mark.parametrize("template", ["{}", "{!s}", "{!r}", "{:>20}", "{!r:>30}"])
def test_a_secret_shows_itself_in_no_text(template: str) -> None:
    assert KEY not in template.format(Secret(KEY))
    assert KEY not in "%s %r" % (Secret(KEY), Secret(KEY))  # noqa: UP031
    assert Secret(KEY).reveal() == KEY


def test_a_secret_does_not_travel() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret(KEY))
    with pytest.raises(TypeError):
        json.dumps(Secret(KEY))
    assert not hasattr(Secret(KEY), "__dict__")


def test_a_record_that_holds_a_secret_can_be_copied_and_shown() -> None:
    @dataclass
    class Login:
        user: str
        password: Secret

    login = Login("me", Secret(KEY))
    assert copy.deepcopy(login) == login
    assert KEY not in f"{asdict(login)} {login}"


def test_equal_secrets_are_equal_and_an_empty_one_is_false() -> None:
    assert Secret(KEY) == Secret(KEY)
    assert len({Secret(KEY), Secret(KEY)}) == 1
    assert Secret(KEY) != KEY
    assert not Secret("")


@pytest.mark.parametrize(("feed", "name"), NAMES)
def test_the_environment_is_asked_by_the_names_of_the_official_clients(feed: str, name: str) -> None:
    for variable in variables(feed, name):
        found = credential(feed, name, {variable: f" {KEY}\n"}, None)
        assert found == Secret(KEY)


def test_a_feed_outside_the_table_has_a_variable_too() -> None:
    assert credential("in-house", "token", {"IN_HOUSE_TOKEN": KEY}, None) == Secret(KEY)


def test_the_environment_comes_before_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, '[eia]\nkey = "of the file"\n')
    assert credential("eia", "key", {"EIA_API_KEY": KEY}, file) == Secret(KEY)
    assert credential("eia", "key", {"EIA_API_KEY": "  "}, file) == Secret("of the file")


@pytest.mark.parametrize("text", ["", "[entsoe]\n", '[eia]\nuser = "me"\n', '[eia]\nkey = " "\n'])
def test_what_stands_nowhere_is_none(tmp_path: Path, text: str) -> None:
    assert credential("eia", "key", {}, written(tmp_path, text)) is None
    assert credential("eia", "key", {}, tmp_path / "missing.toml") is None
    assert credential("eia", "key", {}, None) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622, 0o644, 0o777])
def test_a_file_that_others_can_read_or_write_is_not_used(tmp_path: Path, mode: int) -> None:
    file = written(tmp_path, f'[eia]\nkey = "{KEY}"\n', mode)
    with pytest.raises(ForecastError, match=f"chmod 600 {file}") as caught:
        credential("eia", "key", {}, file)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_this_user_alone_is_used(tmp_path: Path, mode: int) -> None:
    assert credential("eia", "key", {}, written(tmp_path, f'[eia]\nkey = "{KEY}"\n', mode)) == Secret(KEY)


def test_a_file_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, f'[eia]\nkey = "{KEY}"\n')
    if os.geteuid() == 0:
        os.chown(file, 12_345, 12_345)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    with pytest.raises(ForecastError, match="another user"):
        credential("eia", "key", {}, file)


def test_a_pipe_or_a_folder_is_not_used(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(ForecastError, match=r"not a regular file|cannot be read"):
            credential("eia", "key", {}, path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f'[eia]\nkey = "{KEY}\n', r"not valid TOML \(at line 2\)"),
        (f"eia = '{KEY}'\n", "must be a table"),
        (f"[eia]\nkey = ['{KEY}']\n", "must be a text"),
        (f'[eia]\nkey = "{KEY}\\u0007"\n', "characters that no credential has"),
        (f'[eia]\nkey = "{KEY}\\r\\nHost: x"\n', "characters that no credential has"),
        ("#" * 70_000, "too large"),
    ],
)
def test_a_wrong_file_is_told_by_place_and_never_by_content(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ForecastError, match=says) as caught:
        credential("eia", "key", {}, written(tmp_path, text))
    assert KEY not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "shape", [KEY, quote(KEY), quote(KEY, safe=""), quote_plus(KEY), b64encode(KEY.encode()).decode()]
)
def test_a_text_is_scrubbed_of_every_shape_of_a_credential(shape: str) -> None:
    assert scrub(f"GET /?key={shape} failed", [Secret(KEY), Secret("")]) == "GET /?key=(hidden) failed"


@pytest.mark.parametrize("shape", [r"pa\"ss<\/&", 'pa\\"ss</&', "pa&quot;ss&lt;/&amp;"])
def test_a_text_is_scrubbed_of_a_credential_that_json_or_a_page_quotes(shape: str) -> None:
    assert scrub(f"no user {shape} here", [Secret('pa"ss</&')]) == "no user (hidden) here"


def test_the_longer_credential_goes_first() -> None:
    assert scrub("abcdef", [Secret("abc"), Secret("abcdef")]) == "(hidden)"
