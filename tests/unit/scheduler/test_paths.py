"""Where the daemon's things are."""

import os
import stat
from pathlib import Path

import pytest

from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.memory import parse_memory
from tidewatt.scheduler.paths import LONGEST_SOCKET, paths


def test_folders_are_made_for_their_owner_only(own_home: Path) -> None:
    place = paths({"TIDEWATT_HOME": str(own_home / "fresh"), "XDG_RUNTIME_DIR": str(own_home / "run")})
    place.make()
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (place.home, place.jobs, place.runtime)} == {
        0o700
    }
    assert len(os.fsencode(place.socket)) <= LONGEST_SOCKET


def test_one_folder_has_one_socket_by_whatever_name(own_home: Path) -> None:
    real = own_home / "real"
    real.mkdir()
    (own_home / "alias").symlink_to(real)
    environ = {"XDG_RUNTIME_DIR": str(own_home / "run")}
    assert paths(environ, real).socket == paths(environ, own_home / "alias").socket
    assert paths(environ, real).socket != paths(environ, own_home).socket


def test_socket_path_that_the_kernel_cannot_hold_is_told(own_home: Path) -> None:
    long = own_home / ("x" * 100)
    with pytest.raises(BadInput, match="shorter folder"):
        paths({"XDG_RUNTIME_DIR": str(long)}, own_home / "home").make()


def test_folder_that_is_a_file_is_told(own_home: Path) -> None:
    (own_home / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be made"):
        paths({"XDG_RUNTIME_DIR": str(own_home)}, own_home / "file" / "home").make()


def test_runtime_folder_that_somebody_laid_out_as_a_link_is_refused(own_home: Path) -> None:
    (own_home / "elsewhere").mkdir()
    (own_home / "run" / "tidewatt").symlink_to(own_home / "elsewhere")
    with pytest.raises(BadInput, match="is a link"):
        paths({"XDG_RUNTIME_DIR": str(own_home / "run")}, own_home / "home").make()


@pytest.mark.parametrize(
    ("text", "mb"), [("16G", 16384), ("512", 512), ("1.5GiB", 1536), ("1k", 1), ("2TB", 2097152)]
)
def test_memory_is_read_as_slurm_reads_it(text: str, mb: int) -> None:
    assert parse_memory(text) == mb


@pytest.mark.parametrize("text", ["lots", "-1G", "", "16 GB each"])
def test_what_is_no_memory_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="16G"):
        parse_memory(text)
