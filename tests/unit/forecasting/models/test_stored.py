"""Models on the disk: the same again, or refused with a reason; nothing in a file is ever run."""

import json
import os
import pickle
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.forecasting.models.pasts import DAY_H, QUANTITY, QUICK, ZONE, past, small
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.models import stored
from tidewatt.forecasting.models.stored import load, path_of, save
from tidewatt.forecasting.models.training import trained


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = path_of(tmp_path / "models", ZONE, QUANTITY)
    save(small(), path)
    return path


def test_a_stored_model_predicts_exactly_as_before(path: Path) -> None:
    whole = past(90 * DAY_H)
    before, after = small().predict(whole, 168), load(path).predict(whole, 168)
    assert before is not None
    assert after is not None
    for name in ("gco2_per_kwh", "p10", "p90"):
        assert np.array_equal(getattr(before, name), getattr(after, name))


def test_a_stored_model_still_says_what_it_is(path: Path) -> None:
    model, again = small(), load(path)
    for name in ("zone", "quantity", "from_ms", "to_ms", "features", "captured", "judged_days", "coverage"):
        assert getattr(again, name) == getattr(model, name)


def test_a_young_model_without_trees_is_stored_too(tmp_path: Path) -> None:
    young = trained(past(10 * DAY_H), QUICK, QUANTITY)
    assert young is not None
    save(young, tmp_path / "young.npz")
    before, after = (each.predict(past(11 * DAY_H), 24) for each in (young, load(tmp_path / "young.npz")))
    assert before is not None
    assert after is not None
    assert np.array_equal(before.gco2_per_kwh, after.gco2_per_kwh)


def test_only_the_owner_may_read_it_and_nothing_is_left_beside_it(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_a_save_that_fails_leaves_the_old_model(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(small(), path)
    assert list(path.parent.iterdir()) == [path]
    assert load(path).zone == ZONE


def test_zones_and_kinds_do_not_share_files(tmp_path: Path) -> None:
    pairs = [("WT:A B", "x"), ("WT:A-B", "x"), ("WT:A", "B x"), ("wt:a b", "x")]
    assert len({path_of(tmp_path, *pair).name.lower() for pair in pairs}) == len(pairs)
    assert all("/" not in path_of(tmp_path, "../..", quantity).name for quantity in ("/etc", "..", ""))


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_what_others_can_write_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(ForecastError, match="can be written by others"):
        load(path)


def test_the_file_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(ForecastError, match="belongs to another user"):
        load(path)


def test_links_folders_and_pipes_are_refused(path: Path) -> None:
    link, pipe = path.with_name("link.npz"), path.with_name("pipe.npz")
    link.symlink_to(path)
    os.mkfifo(pipe)
    for other in (link, pipe, path.parent, path.with_name("absent.npz")):
        with pytest.raises(ForecastError, match=r"cannot be read|not a regular file"):
            load(other)


def test_another_format_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "FORMAT", stored.FORMAT + 1)
    with pytest.raises(ForecastError, match="has format 1"):
        load(path)


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    touched = tmp_path / "touched"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (touched,)

    np.savez(tmp_path / "array.npz", header=np.array([Trap()], dtype=object), allow_pickle=True)
    (tmp_path / "plain.npz").write_bytes(pickle.dumps(Trap()))
    for name in ("array.npz", "plain.npz"):
        (tmp_path / name).chmod(0o600)
        with pytest.raises(ForecastError, match="damaged"):
            load(tmp_path / name)
    assert not touched.exists()


def test_trees_that_point_outside_of_themselves_are_refused(tmp_path: Path) -> None:
    model = small()
    direct = model.blocks[0].direct
    assert direct is not None
    for bad in (
        replace(direct, left=direct.left + 10**6),
        replace(direct, right=direct.right - 10**6),
        replace(direct, feature=direct.feature + 1000),
        replace(direct, root=direct.root - 1),
        replace(direct, depth=10**9),
        replace(direct, value=direct.value[:-1]),
    ):
        save(replace(model, blocks=(replace(model.blocks[0], direct=bad),)), tmp_path / "bad.npz")
        with pytest.raises(ForecastError, match="damaged"):
            load(tmp_path / "bad.npz")


def test_a_header_that_lies_about_shapes_is_refused(path: Path) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(bytes(arrays["header"]))
    for place in (["float64", 10**9, [4]], ["float64", -8, [4]], ["float64", 0, [2, -2]], ["object", 0, [1]]):
        lying = header | {"arrays": header["arrays"] | {"0.line.centre": place}}
        stored.write(arrays | {"header": np.frombuffer(json.dumps(lying).encode(), np.uint8)}, path)
        with pytest.raises(ForecastError, match="damaged"):
            load(path)


@cache
def whole() -> bytes:
    folder = Path(tempfile.mkdtemp())
    save(small(), folder / "whole.npz")
    content = (folder / "whole.npz").read_bytes()
    shutil.rmtree(folder)
    return content


@settings(max_examples=50, deadline=None)
@given(cut=st.floats(0, 1), flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), max_size=4))
def test_a_damaged_file_is_refused_or_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, cut: float, flips: list[tuple[float, int]]
) -> None:
    damaged = bytearray(whole() if cut > 0.5 else whole()[: int(2 * cut * len(whole()))])
    for place, flip in flips if damaged else []:
        damaged[min(int(place * len(damaged)), len(damaged) - 1)] ^= flip
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(damaged)
    path.chmod(0o600)
    try:
        again = load(path)
    except ForecastError:
        return
    first, second = (each.predict(past(90 * DAY_H), 24) for each in (small(), again))
    assert first is not None
    assert second is not None
    assert np.array_equal(first.gco2_per_kwh, second.gco2_per_kwh)
