"""Packed readings: the same lines, read like any others, whatever happens while they are packed."""

import gzip
import os
from pathlib import Path

import pytest

from tests.nvml.kept import NOON_MS, Kept, gpu
from tidewatt.backends.meters.compaction import compact, forget
from tidewatt.backends.meters.energy import usage
from tidewatt.backends.meters.excerpt import export
from tidewatt.backends.meters.reading import Usage

DAY_MS = 86_400_000


class CutError(Exception):
    """The machine stops here."""


def two_days(folder: Path) -> Kept:
    kept = Kept(folder, (gpu(),), interval_ms=3_600_000).tick(0, "start 1.1", d0=0)
    for hour in range(30):
        kept.tick(3600, d0=100 + hour % 7)
    return kept.tick(10, "end 1.1", d0=100)


def used(kept: Kept) -> Usage:
    return usage(kept.folder, "1.1", ["GPU-a"], NOON_MS, kept.time_ms)


def test_packed_readings_give_the_same_usage_and_digest(tmp_path: Path) -> None:
    kept = two_days(tmp_path)
    before = used(kept)
    stored = {path.name: path.read_bytes() for path in tmp_path.glob("*.jsonl")}
    assert compact(tmp_path, kept.time_ms) == 1
    assert used(kept) == before
    [packed] = tmp_path.glob("*.gz")
    assert gzip.decompress(packed.read_bytes()) == stored[packed.name.removesuffix(".gz")]
    assert not (tmp_path / packed.name.removesuffix(".gz")).exists()
    assert packed.stat().st_mode & 0o077 == 0
    assert compact(tmp_path, kept.time_ms) == 0


def test_todays_file_is_left_alone(tmp_path: Path) -> None:
    kept = two_days(tmp_path)
    compact(tmp_path, kept.time_ms)
    assert len(list(tmp_path.glob("*.jsonl"))) == 1


@pytest.mark.parametrize("step", ["open", "fsync", "replace", "unlink"])
def test_a_crash_while_packing_leaves_every_reading_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    kept = two_days(tmp_path)
    before = used(kept)

    def cut(*_: object, **__: object) -> None:
        raise CutError

    with monkeypatch.context() as crash:
        if step == "unlink":
            crash.setattr(Path, "unlink", cut)
        else:
            crash.setattr(os, step, cut)
        with pytest.raises(CutError):
            compact(tmp_path, kept.time_ms)
    assert used(kept) == before
    assert compact(tmp_path, kept.time_ms) == 1, "the next time it is packed all the same"
    assert used(kept) == before
    assert not list(tmp_path.glob(".*")), "nothing is left over"


def test_readings_that_come_into_a_packed_day_are_added(tmp_path: Path) -> None:
    kept = two_days(tmp_path)
    compact(tmp_path, kept.time_ms)
    kept.time_ms -= DAY_MS  # somebody set the clock back by a day
    kept.tick(3600, d0=100).tick(3600, d0=100)
    kept.time_ms += DAY_MS
    kept.tick(3600, d0=100)
    before = usage(tmp_path, "2.1", ["GPU-a"], NOON_MS, kept.time_ms)
    assert compact(tmp_path, kept.time_ms) == 1
    assert usage(tmp_path, "2.1", ["GPU-a"], NOON_MS, kept.time_ms) == before
    assert len(list(tmp_path.glob("*.gz"))) == 1


def test_damaged_packed_file_is_a_gap_not_a_crash(tmp_path: Path) -> None:
    kept = two_days(tmp_path)
    compact(tmp_path, kept.time_ms)
    [packed] = tmp_path.glob("*.gz")
    os.truncate(packed, packed.stat().st_size // 2)
    assert 0 < used(kept).coverage["gpu"] < 1


def test_reader_that_meets_a_file_being_packed_finds_it_packed(tmp_path: Path) -> None:
    from tidewatt.backends.meters.stored import blocks, files

    kept = two_days(tmp_path)
    listed = files(tmp_path, NOON_MS, kept.time_ms)
    count = sum(len(block) for block in blocks(listed))
    compact(tmp_path, kept.time_ms)
    assert sum(len(block) for block in blocks(listed)) == count


def test_forgetting_spares_the_days_that_are_still_needed(tmp_path: Path) -> None:
    kept = two_days(tmp_path)
    compact(tmp_path, kept.time_ms)
    assert forget(tmp_path, kept.time_ms, keep=lambda day: day == "2024-06-01") == 0
    assert forget(tmp_path, kept.time_ms) == 1
    assert used(kept).coverage["gpu"] == pytest.approx(18 / 30, abs=0.01)


def test_exported_readings_give_the_same_usage_without_the_days_before(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "all", (gpu(),)).tick(0, d0=0)
    for _ in range(20):
        kept.tick(10, d0=60)
    start_ms = kept.time_ms
    kept.read("start 1.1")
    for _ in range(20):
        kept.tick(10, d0=300)
    kept.read("end 1.1")
    end_ms = kept.time_ms
    for _ in range(20):
        kept.tick(10, d0=50)
    run = "1.1", ["GPU-a"], start_ms, end_ms
    whole = usage(kept.folder, *run)
    digest = export(kept.folder, tmp_path / "some", start_ms, end_ms, "1.1")
    assert digest == whole.digest
    assert usage(tmp_path / "some", *run, idle_mw=whole.idle_mw) == whole
    assert whole.idle_mw == {"gpu:GPU-a": 60_000}, "as of the run's end"
    [part], [all_of] = (list((tmp_path / name).iterdir()) for name in ("some", "all"))
    assert part.stat().st_size < all_of.stat().st_size
    assert export(kept.folder, tmp_path / "some", start_ms, end_ms, "1.1") == digest, "again, not twice"
    assert usage(tmp_path / "some", *run, idle_mw=whole.idle_mw) == whole
