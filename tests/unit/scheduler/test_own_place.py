"""Folders of users in one of root's, where nobody else can come before them."""

import os
from pathlib import Path

import pytest

from tidewatt.backends.backend import BackendError, Owner
from tidewatt.scheduler.daemon.ownership import own_place
from tidewatt.scheduler.daemon.serving import prepared
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.settings import Settings

ALICE, BOB = Owner(61001, 61001, (), "alice"), Owner(61002, 61002, (), "bob")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """One of root's."""
    if os.geteuid() != 0:
        pytest.skip("only root can make folders of others")
    folder = tmp_path / "checkpoints"
    folder.mkdir(mode=0o711)
    return folder


def test_the_folder_is_its_users_alone_and_stays_so(place: Path) -> None:
    for _ in range(2):
        own_place(place, "job-7", ALICE)
        found = (place / "job-7").stat()
        assert (found.st_uid, found.st_mode & 0o777) == (ALICE.uid, 0o700)


def test_one_that_a_crash_left_to_root_becomes_its_users(place: Path) -> None:
    (place / "job-7").mkdir(mode=0o700)
    own_place(place, "job-7", ALICE)
    assert (place / "job-7").stat().st_uid == ALICE.uid


def test_somebody_elses_folder_or_link_is_not_used(place: Path) -> None:
    own_place(place, "job-7", BOB)
    (place / "job-8").symlink_to("/etc")
    for name in ("job-7", "job-8"):
        with pytest.raises(BackendError):
            own_place(place, name, ALICE)
    assert Path("/etc").stat().st_uid == 0


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770])
def test_a_folder_that_others_may_write_to_is_none(place: Path, mode: int) -> None:
    place.chmod(mode)
    with pytest.raises(BackendError, match="root's alone"):
        own_place(place, "job-7", ALICE)
    assert not (place / "job-7").exists()
    settings = Settings.model_validate({"region": [{"name": "local", "checkpoints": str(place)}]})
    with pytest.raises(BadInput, match="replace each other's"):
        prepared(Paths(place, place, system=True), settings, "0")


def test_a_daemon_of_ones_own_makes_nothing(tmp_path: Path) -> None:
    own_place(tmp_path / "nowhere", "job-7", None)
