"""Room that is kept for latest starts, and given back when a disk is full."""

import errno
import os
from pathlib import Path

import pytest

from tidewatt.scheduler.daemon.reserve import Reserve
from tidewatt.scheduler.store import StoreError

FULL = OSError(errno.ENOSPC, "No space left on device")
SLICE, SLICES = 8192, 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reserve"


@pytest.fixture
def reserve(path: Path) -> Reserve:
    made = Reserve(path, SLICE, SLICES, pause_s=0)
    made.keep()
    return made


def test_room_is_taken_in_blocks_and_not_only_in_name(reserve: Reserve, path: Path) -> None:
    assert path.stat().st_size == SLICE * SLICES
    assert path.stat().st_blocks * 512 >= SLICE * SLICES
    assert path.stat().st_mode & 0o077 == 0


def test_full_disk_gets_a_slice_at_a_time_until_nothing_is_left(reserve: Reserve, path: Path) -> None:
    assert [reserve.give(FULL) for _ in range(4)] == [True, True, True, False]
    assert path.stat().st_size == 0
    reserve.keep()
    assert path.stat().st_size == SLICE * SLICES


def test_slice_that_was_just_given_is_to_be_used_before_the_next(path: Path) -> None:
    patient = Reserve(path, SLICE, SLICES, pause_s=60)
    patient.keep()
    assert patient.give(FULL)
    assert patient.give(FULL)
    assert path.stat().st_size == SLICE * (SLICES - 1)


@pytest.mark.parametrize(
    ("error", "given"),
    [
        (StoreError("cannot write to the store x: database or disk is full"), True),
        (StoreError("another daemon serves the store x now"), False),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (OSError(errno.EIO, "Input/output error"), False),
    ],
)
def test_only_want_of_room_is_a_reason(reserve: Reserve, error: Exception, given: bool) -> None:
    assert reserve.give(error) is given


def test_cause_of_an_error_counts(reserve: Reserve) -> None:
    error = StoreError("the attempt cannot be started")
    error.__cause__ = FULL
    assert reserve.give(error)


def test_reserve_takes_no_room_that_others_would_miss(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = os.statvfs(path.parent)
    scarce = os.statvfs_result((*found[:4], (2 * SLICE * SLICES - 1) // found.f_frsize, *found[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _path: scarce)
    Reserve(path, SLICE, SLICES).keep()
    assert not path.exists()


def test_start_takes_a_slice_only_of_a_disk_that_is_full(
    reserve: Reserve, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve.open_up()
    assert path.stat().st_size == SLICE * SLICES
    found = os.statvfs(path.parent)
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result((*found[:4], 0, *found[5:])))
    reserve.open_up()
    assert path.stat().st_size == SLICE * (SLICES - 1)
