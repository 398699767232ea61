"""What a job keeps of its submitter's environment, and where it waits."""

import os
import subprocess
from pathlib import Path

import pytest

from tidewatt.backends import environment
from tidewatt.backends.backend import BackendError

MINE = {"PATH": "/bin", "HOME": "/home/ada", "WANDB_API_KEY": "secret", "LR": "0.1"}


@pytest.mark.parametrize(
    ("keep", "none", "deny", "kept"),
    [
        (None, False, [], MINE),
        (None, True, [], {}),
        (["LR"], False, [], {"LR": "0.1"}),
        (["LR=0.2"], False, [], MINE | {"LR": "0.2"}),
        (["LR=0.2"], True, [], {"LR": "0.2"}),
        (["PATH", "LR=a=b"], False, [], {"PATH": "/bin", "LR": "a=b"}),
        (["LR="], True, [], {"LR": ""}),
        (None, False, ["*_KEY"], {"PATH": "/bin", "HOME": "/home/ada", "LR": "0.1"}),
        (["WANDB_API_KEY=mine"], True, ["WANDB_*"], {}),
        (None, False, ["lr"], MINE),
    ],
)
def test_what_is_kept(keep: list[str] | None, none: bool, deny: list[str], kept: dict[str, str]) -> None:
    assert environment.select(MINE, keep, none, deny) == kept


@pytest.mark.parametrize(
    ("entry", "sentence"), [("SEED", "SEED is not set"), ("=1", "not the name"), ("", "name")]
)
def test_what_cannot_be_kept_is_refused(entry: str, sentence: str) -> None:
    with pytest.raises(BackendError, match=sentence):
        environment.select(MINE, [entry], False, [])


def test_environment_comes_back_as_it_was_written(tmp_path: Path) -> None:
    values = {"NAME": "grüße\n", "RAW": os.fsdecode(b"\xff\xfe"), "EMPTY": ""}
    environment.write(tmp_path / "environment", values)
    assert environment.read(tmp_path / "environment") == values


def test_environment_is_its_owners_alone_even_with_an_open_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        environment.write(tmp_path / "environment", MINE)
    finally:
        os.umask(before)
    assert (tmp_path / "environment").stat().st_mode & 0o777 == 0o600


def test_environment_never_goes_through_a_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("{}")
    (tmp_path / "environment").symlink_to(target)
    with pytest.raises(BackendError, match="cannot be read"):
        environment.read(tmp_path / "environment")
    environment.write(tmp_path / "environment", MINE)
    assert target.read_text() == "{}"


def test_environment_that_others_may_read_is_refused(tmp_path: Path) -> None:
    environment.write(tmp_path / "environment", MINE)
    (tmp_path / "environment").chmod(0o640)
    with pytest.raises(BackendError, match="mode 0600"):
        environment.read(tmp_path / "environment")


def test_damaged_environment_is_refused_without_quoting_it(tmp_path: Path) -> None:
    path = tmp_path / "environment"
    path.touch(mode=0o600)
    path.write_text('{"KEY": "s3cr3t')
    with pytest.raises(BackendError) as raised:
        environment.read(path)
    assert "s3cr3t" not in str(raised.value)


def test_deleting_takes_the_drafts_of_killed_writers_along(tmp_path: Path) -> None:
    environment.write(tmp_path / "environment", MINE)
    (tmp_path / ".environment.123.abcd").write_text("secret")
    for _ in range(2):
        environment.delete(tmp_path / "environment")
    assert not list(tmp_path.iterdir())


def test_least_environment_finds_home_and_commands() -> None:
    values = environment.base({"PATH": "/opt/bin", "SECRET": "x"})
    assert values["PATH"] == "/opt/bin"
    assert values["HOME"]
    assert set(values) <= set(environment.BASE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_cannot_read_it(own_home: Path) -> None:
    own_home.chmod(0o755)
    environment.write(own_home / "environment", MINE)
    tried = subprocess.run(
        ["cat", own_home / "environment"], user="nobody", capture_output=True, text=True, check=False
    )
    assert tried.returncode
    assert not tried.stdout
