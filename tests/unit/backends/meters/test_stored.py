"""Stored readings: of this version and of earlier ones, whole and torn."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.nvml.kept import NOON_MS, Kept, gpu, package
from tidewatt.backends.meters.energy import usage
from tidewatt.backends.meters.journal import readings_of
from tidewatt.backends.meters.reading import Reading, Usage
from tidewatt.backends.meters.stored import blocks


def kept_for(folder: Path, count: int = 12) -> Kept:
    kept = Kept(folder, (gpu(), package()), power_mw={"gpu:GPU-a": 200_000}).work(0, a1_1=0)
    kept.tick(0, d0=0, d1=0)
    for _ in range(count):
        kept.work(9000, a1_1=5000).tick(10, d0=200, d1=80)
    return kept


def stored(folder: Path) -> Path:
    [path] = folder.glob("*.jsonl")
    return path


def used(kept: Kept) -> Usage:
    return usage(kept.folder, "1.1", ["GPU-a"], NOON_MS, kept.time_ms)


def older(path: Path) -> None:
    """Writes the file as earlier versions did: each reading an object."""
    header = path.read_bytes().split(b"\n", 1)[0]
    forms = [asdict(reading) for reading in readings_of(path)]
    for form in forms:
        del form["slept_ms"]
    lines = [json.dumps(form, separators=(",", ":")) for form in forms]
    path.write_bytes(b"\n".join([header, *(line.encode() for line in lines), b""]))


def rows(path: Path) -> int:
    return sum(len(block) for block in blocks([path]))


def test_files_of_earlier_versions_give_the_same_usage(tmp_path: Path) -> None:
    kept = kept_for(tmp_path)
    before = used(kept)
    older(stored(tmp_path))
    after = used(kept)
    assert tuple(after.spans) == tuple(before.spans)
    assert (after.coverage, after.notes, after.idle_mw) == (before.coverage, before.notes, before.idle_mw)


def test_file_that_an_earlier_version_began_goes_on(tmp_path: Path) -> None:
    kept = kept_for(tmp_path)
    older(stored(tmp_path))
    kept = replace(kept, _journal=None)  # another meter
    kept.tick(10, d0=200, d1=80).tick(10, d0=200, d1=80)
    assert used(kept).coverage == {"gpu": 1.0, "cpu": 1.0, "dram": 0.0}
    assert rows(stored(tmp_path)) == len(readings_of(stored(tmp_path))) == 15


@pytest.mark.parametrize(
    "rubbish",
    [
        b"[1717243200500,1001\n",
        b"[]\n",
        b"[1,2,3]\n",
        b"[[1717243200500,1001]]\n",
        b"]\n[\n",
        b"\n\n",
        b"[1717243200500,,1001,0,1,2,3,4,5]\n",
        b"[1717243200500,1001000,0,1,2,-3,4,5]\n",
        b"[1717243200500,1001000,0,1e3,2,3,4,5]\n",
        b"[1717243200500,1001000,0,99999999999999999999999,2,3,4,5]\n",
        b'[1717243200500,1001000,0,1,2,3,4,"5"]\n',
        b'{"columns":1,"boot_id":"b"}\n',
        b'{"header":1}\n',
        b"\x00\xff\xfe\n",
        b"\x00" * 4096 + b"\n",
    ],
)
def test_line_that_is_no_reading_spoils_none_beside_it(tmp_path: Path, rubbish: bytes) -> None:
    kept = kept_for(tmp_path)
    before = used(kept)
    lines = stored(tmp_path).read_bytes().splitlines(keepends=True)
    middle = len(lines) // 2
    stored(tmp_path).write_bytes(b"".join([*lines[:middle], rubbish, *lines[middle:]]))
    assert used(kept) == before, "its digest, too"


def test_readings_before_any_columns_are_passed_over(tmp_path: Path) -> None:
    kept = kept_for(tmp_path)
    lines = stored(tmp_path).read_bytes().splitlines(keepends=True)
    stored(tmp_path).write_bytes(b"".join([lines[0], *lines[2:]]))
    assert used(kept).coverage["gpu"] == 0


def test_reading_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = kept_for(tmp_path, 0)
    kept.slept_ms = 7000
    kept.tick(10, "start 1.1", d0=100, d1=50)
    expected = Reading(
        kept.time_ms, kept.mono_ms, kept.boot, "start 1.1", kept.energy_uj, kept.power_mw, kept.cpu_ms, 7000
    )
    assert readings_of(stored(tmp_path))[-1] == expected
